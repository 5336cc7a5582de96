#include "numerics/whiten.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/parallel.h"

enum { CHUNK = 256 }; // samples per rank update

size_t vkd_covariance_workspace(int c) {
    return (size_t)c * CHUNK;
}

vkd_status vkd_covariance(const float *x, int batch, int c, int hw, const double *mean, double *cov,
                          double *work) {
    if (batch < 1 || c < 1 || hw < 1) return VKD_INVALID_ARGUMENT;
    if (!vkd_all_finite_double(mean, (size_t)c)) return VKD_NOT_FINITE;
    memset(cov, 0, (size_t)c * c * sizeof *cov);
    for (int b = 0; b < batch; ++b)
        for (int begin = 0; begin < hw; begin += CHUNK) {
            const int width = hw - begin < CHUNK ? hw - begin : CHUNK;
            VKD_PARALLEL_FOR
            for (int i = 0; i < c; ++i) {
                const float *row = x + ((size_t)b * c + i) * hw + begin;
                for (int j = 0; j < width; ++j)
                    work[(size_t)i * width + j] = row[j] - mean[i];
            }
            cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, c, width, 1, work, width, 1, cov, c);
        }
    const double scale = 1 / ((double)batch * hw);
    for (int i = 0; i < c; ++i)
        for (int j = 0; j <= i; ++j)
            cov[(size_t)j * c + i] = cov[(size_t)i * c + j] = scale * cov[(size_t)i * c + j];
    return vkd_all_finite_double(cov, (size_t)c * c) ? VKD_OK : VKD_NOT_FINITE;
}

// dsyevd wants 1 + 6 c + 2 c^2 doubles and 3 + 5 c integers.
static size_t eigen_doubles(int c) {
    return 1 + 6 * (size_t)c + 2 * (size_t)c * c;
}

size_t vkd_whitening_matrix_workspace(int c) {
    return 2 * (size_t)c * c + c + eigen_doubles(c) + 3 + 5 * (size_t)c;
}

// out (c,c) = sum over i >= first of f_i v_i v_i', v_i the rows of V; V is scaled in place by
// sqrt(f_i).
static void rebuild(double *V, const double *f, int first, int c, double *out) {
    for (int i = first; i < c; ++i)
        cblas_dscal(c, sqrt(f[i]), V + (size_t)i * c, 1);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c, c, c - first, 1, V + (size_t)first * c, c,
                V + (size_t)first * c, c, 0, out, c);
}

static vkd_status cholesky_inverse(double *S, int c) {
    // Column-major 'U' of the transpose is row-major 'L' in place, without a copy.
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', c, S, c) != 0) return VKD_SINGULAR;
    if (LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', c, S, c) != 0) return VKD_SINGULAR;
    for (int i = 0; i < c; ++i)
        for (int j = i + 1; j < c; ++j)
            S[(size_t)i * c + j] = 0;
    return VKD_OK;
}

// ZCA: Bell, Sejnowski 1997; Cholesky: Kessy, Lewin, Strimmer 2018, table 1. With samples in
// columns, y = L^-1 x has covariance L^-1 Sigma L^-T = I (in rows that is X L^-T; X L^-1 is not
// white).
vkd_status vkd_whitening_matrix(const double *cov, int c, double shrinkage, int rank, double eps,
                                vkd_whitening kind, float *W, int *kept, double *condition, double *work) {
    if (c < 1 || !(shrinkage >= 0 && shrinkage <= 1) || rank < 0 || rank > c || !(eps > 0) ||
        (kind != VKD_WHITEN_ZCA && kind != VKD_WHITEN_CHOLESKY) || (kind == VKD_WHITEN_CHOLESKY && rank != 0))
        return VKD_INVALID_ARGUMENT;
    const size_t cc = (size_t)c * c;
    if (!vkd_all_finite_double(cov, cc)) return VKD_NOT_FINITE;
    double *V = work, *S = V + cc, *lambda = S + cc, *eigen = lambda + c;
    lapack_int *integers = (lapack_int *)(eigen + eigen_doubles(c));

    double trace = 0;
    for (int i = 0; i < c; ++i)
        trace += cov[(size_t)i * c + i];
    const double average = trace / c, floor = eps * (average > 0 ? average : 1);
    for (size_t i = 0; i < cc; ++i)
        V[i] = (1 - shrinkage) * cov[i];
    for (int i = 0; i < c; ++i)
        V[(size_t)i * c + i] += shrinkage * average;

    // Eigenvectors are LAPACK's columns, hence the rows of V here; eigenvalues ascend.
    if (LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', c, V, c, lambda, eigen, (lapack_int)eigen_doubles(c),
                            integers, 3 + 5 * c) != 0)
        return VKD_SINGULAR;
    const int first = rank > 0 ? c - rank : 0;
    *kept = 0;
    for (int i = first; i < c; ++i) {
        if (lambda[i] > floor)
            ++*kept;
        else
            lambda[i] = floor;
    }
    *condition = lambda[c - 1] / lambda[first];

    if (kind == VKD_WHITEN_ZCA) {
        for (int i = first; i < c; ++i)
            lambda[i] = 1 / sqrt(lambda[i]);
        rebuild(V, lambda, first, c, S);
    } else {
        rebuild(V, lambda, first, c, S);
        const vkd_status status = cholesky_inverse(S, c);
        if (status != VKD_OK) return status;
    }
    for (size_t i = 0; i < cc; ++i) // tiny variances make what float32 cannot hold
        if (!vkd_is_finite((float)S[i])) return VKD_NOT_FINITE;
    for (size_t i = 0; i < cc; ++i)
        W[i] = (float)S[i];
    return VKD_OK;
}

void vkd_whiten_apply(const float *x, int batch, int c, int hw, const float *W, const float *mean, float *y,
                      float *scratch) {
    for (int b = 0; b < batch; ++b) {
        const float *in = x + (size_t)b * c * hw;
        VKD_PARALLEL_FOR
        for (int i = 0; i < c; ++i)
            for (int j = 0; j < hw; ++j)
                scratch[(size_t)i * hw + j] = in[(size_t)i * hw + j] - mean[i];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c, hw, c, 1, W, c, scratch, hw, 0,
                    y + (size_t)b * c * hw, hw);
    }
}
