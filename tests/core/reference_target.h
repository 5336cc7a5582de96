// The teacher's side of a tap in float64, by plain loops: what test_target.c and test_tap.c compare with.
#ifndef VKD_TESTS_CORE_REFERENCE_TARGET_H
#define VKD_TESTS_CORE_REFERENCE_TARGET_H

#include "../numerics/support.h"

#include "core/options.h"

// Mean and population covariance over batch and locations of x (batch,n,locations).
static inline void reference_moments(const double *x, int batch, int n, int locations,
                                     double *mean, // (n) =
                                     double *cov)  // (n,n) =
{
    double count = (double)batch * locations;
    for (int i = 0; i < n; ++i) {
        mean[i] = 0;
        for (int b = 0; b < batch; ++b)
            for (int l = 0; l < locations; ++l)
                mean[i] += x[(b * n + i) * locations + l] / count;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            cov[i * n + j] = 0;
            for (int b = 0; b < batch; ++b)
                for (int l = 0; l < locations; ++l)
                    cov[i * n + j] += (x[(b * n + i) * locations + l] - mean[i]) *
                                      (x[(b * n + j) * locations + l] - mean[j]) / count;
        }
}

// Jacobi's method: S (n,n) symmetric becomes diagonal, V (n,n) = its eigenvectors, in columns.
static inline void reference_eigen(double *S, int n, double *V) {
    for (int i = 0; i < n * n; ++i)
        V[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60; ++sweep)
        for (int p = 0; p < n; ++p)
            for (int q = p + 1; q < n; ++q) {
                double angle = 0.5 * atan2(2 * S[p * n + q], S[q * n + q] - S[p * n + p]);
                double c = cos(angle), s = sin(angle);
                for (int i = 0; i < n; ++i) {
                    double a = S[i * n + p], b = S[i * n + q];
                    S[i * n + p] = c * a - s * b;
                    S[i * n + q] = s * a + c * b;
                }
                for (int i = 0; i < n; ++i) {
                    double a = S[p * n + i], b = S[q * n + i];
                    S[p * n + i] = c * a - s * b;
                    S[q * n + i] = s * a + c * b;
                    a = V[i * n + p], b = V[i * n + q];
                    V[i * n + p] = c * a - s * b;
                    V[i * n + q] = s * a + c * b;
                }
            }
}

// W of the target for this covariance: Sigma^-1/2 with its `rank` leading directions, or L^-1.
static inline void reference_whitening(const double *cov, int n, const vkd_whiten_options *o,
                                       double *W) // (n,n) =
{
    double *S = doubles((size_t)n * n), *V = doubles((size_t)n * n), trace = 0;
    for (int i = 0; i < n; ++i)
        trace += cov[i * n + i];
    for (int i = 0; i < n * n; ++i)
        S[i] = (1 - o->shrinkage) * cov[i] + (i % (n + 1) == 0 ? o->shrinkage * trace / n : 0);
    double least = o->eps * (trace > 0 ? trace / n : 1);
    if (o->whitening == VKD_OPTION_WHITENING_ZCA) {
        reference_eigen(S, n, V);
        memset(W, 0, (size_t)n * n * sizeof *W);
        for (int d = 0; d < n; ++d) {
            int larger = 0;
            for (int e = 0; e < n; ++e)
                larger += S[e * n + e] > S[d * n + d];
            if (o->rank && larger >= o->rank) continue;
            for (int i = 0; i < n * n; ++i)
                W[i] += V[i / n * n + d] * V[i % n * n + d] / sqrt(fmax(S[d * n + d], least));
        }
    } else { // L L' = Sigma row by row (no eigenvalue lies below the floor where this is used), then L^-1
        for (int i = 0; i < n; ++i)
            for (int j = 0; j <= i; ++j) {
                double sum = S[i * n + j];
                for (int l = 0; l < j; ++l)
                    sum -= V[i * n + l] * V[j * n + l];
                V[i * n + j] = i == j ? sqrt(sum) : sum / V[j * n + j];
            }
        for (int j = 0; j < n; ++j)
            for (int i = 0; i < n; ++i) {
                double sum = i == j;
                for (int l = j; l < i; ++l)
                    sum -= V[i * n + l] * W[l * n + j];
                W[i * n + j] = i < j ? 0 : sum / V[i * n + i];
            }
    }
    free(S);
    free(V);
}

// y = the normalised x with these statistics (mode none and layernorm: they are not looked at).
static inline void reference_normalize(const double *x, int batch, int n, int locations,
                                       const vkd_whiten_options *o,
                                       const double *mean, // (n)
                                       const double *cov,  // (n,n)
                                       double *y)          // (batch,n,locations) =
{
    double *W = doubles((size_t)n * n);
    if (o->mode == VKD_OPTION_MODE_WHITEN) reference_whitening(cov, n, o, W);
    if (o->mode == VKD_OPTION_MODE_STANDARDIZE)
        for (int i = 0; i < n; ++i)
            W[i * n + i] = 1 / sqrt(cov[i * n + i] + o->eps);
    for (int b = 0; b < batch; ++b)
        for (int l = 0; l < locations; ++l) {
            const double *in = x + (size_t)b * n * locations + l;
            double *out = y + (size_t)b * n * locations + l, average = 0, variance = 0;
            for (int i = 0; i < n; ++i)
                average += in[i * locations] / n;
            for (int i = 0; i < n; ++i)
                variance += (in[i * locations] - average) * (in[i * locations] - average) / n;
            for (int i = 0; i < n; ++i) {
                double sum = 0;
                for (int j = 0; j < n; ++j)
                    sum += W[i * n + j] * (in[j * locations] - mean[j]);
                if (o->mode == VKD_OPTION_MODE_NONE) sum = in[i * locations];
                if (o->mode == VKD_OPTION_MODE_LAYERNORM)
                    sum = (in[i * locations] - average) / sqrt(variance + o->eps);
                out[i * locations] = sum;
            }
        }
    free(W);
}

#endif
