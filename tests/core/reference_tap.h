// The loss of a tap in float64, by plain loops, as core/tap.h documents it.
#ifndef VKD_TESTS_CORE_REFERENCE_TAP_H
#define VKD_TESTS_CORE_REFERENCE_TAP_H

#include "reference_target.h"

#include "core/tap.h"

// Input i of a row of `size` weighs so much in output j of out_size: areas where they divide, else bilinear
// between pixel centres, held at the edges.
static inline double reference_resampling(int i, int size, int j, int out_size, bool areas) {
    if (areas) return i / (size / out_size) == j ? (double)out_size / size : 0;
    double at = fmin(fmax((j + 0.5) * size / out_size - 0.5, 0), size - 1);
    return fmax(0, 1 - fabs(at - i));
}

// y (planes,locations) = x (planes,h,w) on the tap's grid, or its plane's mean.
static inline void reference_regrid(const float *x, int planes, int h, int w, double *y, int out_h,
                                    int out_w) {
    bool areas = h % out_h == 0 && w % out_w == 0;
    for (int p = 0; p < planes; ++p)
        for (int j = 0; j < out_h * out_w; ++j) {
            double sum = 0;
            for (int i = 0; i < h * w; ++i)
                sum += reference_resampling(i / w, h, j / out_w, out_h, areas) *
                       reference_resampling(i % w, w, j % out_w, out_w, areas) * x[p * h * w + i];
            y[p * out_h * out_w + j] = sum;
        }
}

// Which locations count: all, or a pattern that leaves one of every image in.
static inline float reference_mask(const vkd_tap_options *o, int b, int l) {
    return !o->mask_padding || l == 0 || (5 * b + l) % 3 != 0;
}

// T (B,n,locations) with the batch's own statistics. A global pool is the area average onto one location.
static inline double *reference_teacher(const vkd_tap_options *o, const vkd_tap_shape *s, const float *t) {
    bool global = o->pool == VKD_OPTION_POOL_GLOBAL;
    int h = global ? 1 : s->h, w = global ? 1 : s->w;
    size_t size = (size_t)s->batch * s->n * h * w;
    double *grid = doubles(size), *T = doubles(size);
    double *mean = doubles((size_t)s->n), *cov = doubles((size_t)s->n * s->n);
    reference_regrid(t, s->batch * s->n, s->th, s->tw, grid, h, w);
    // The locations that count, as one image of so many.
    double *counting = doubles(size);
    int samples = 0;
    for (int b = 0; b < s->batch; ++b)
        for (int l = 0; l < h * w; ++l)
            samples += reference_mask(o, b, l) != 0;
    for (int b = 0, j = 0; b < s->batch; ++b)
        for (int l = 0; l < h * w; ++l) {
            if (!reference_mask(o, b, l)) continue;
            for (int i = 0; i < s->n; ++i)
                counting[i * samples + j] = grid[(b * s->n + i) * h * w + l];
            ++j;
        }
    reference_moments(counting, 1, s->n, samples, mean, cov);
    free(counting);
    reference_normalize(grid, s->batch, s->n, h * w, &o->whiten, mean, cov, T);
    free(grid);
    free(mean);
    free(cov);
    return T;
}

// A weight for every location, so that none is like its neighbours; 1 where the tap has none.
static inline float reference_emphasis(const vkd_tap_options *o, int b, int l) {
    return o->foreground > 0 ? 0.25f + 0.5f * (float)((7 * b + 3 * l) % 5) : 1;
}

// X (B,k,locations), pooled, <- normalised as student_norm says. Locations that do not count enter no
// statistics.
static inline void reference_student(const vkd_tap_options *o, const vkd_tap_shape *s, int locations,
                                     double gain, double *X) {
    bool by_channel = o->student_norm == VKD_OPTION_STUDENT_STANDARDIZE;
    bool by_sample = o->student_norm == VKD_OPTION_STUDENT_LAYERNORM;
    int k = s->k, samples = s->batch * locations;
    for (int i = 0; i < k * samples && o->student_norm == VKD_OPTION_STUDENT_GAIN; ++i)
        X[i] *= gain;
    for (int group = 0; group < (by_channel ? k : by_sample ? samples : 0); ++group) {
        double count = 0, mean = 0, variance = 0;
        for (int pass = 0; pass < 4; ++pass)
            for (int i = 0; i < k * samples; ++i) {
                int l = i % locations, c = i / locations % k, b = i / locations / k;
                if ((by_channel ? c : b * locations + l) != group) continue;
                if (by_channel && !reference_mask(o, b, l)) continue;
                if (pass == 0) ++count;
                if (pass == 1) mean += X[i] / count;
                if (pass == 2) variance += (X[i] - mean) * (X[i] - mean) / count;
                if (pass == 3) X[i] = (X[i] - mean) / sqrt(variance + 1e-5f);
            }
    }
}

static inline double reference_distance(const vkd_tap_options *o, double e) {
    if (o->loss == VKD_OPTION_LOSS_L2) return e * e;
    return fabs(e) < 1 ? e * e / 2 : fabs(e) - 0.5;
}

// B / (n samples) sum over samples of s d(P X, T), s the location's weight.
static inline double reference_tap_loss(const vkd_tap_options *o, const vkd_tap_shape *s, double gain,
                                        const double *x, // (B,k,h,w)
                                        const double *T, // (B,n,locations)
                                        const double *P) // (n,k)
{
    int grid = s->h * s->w, locations = o->pool == VKD_OPTION_POOL_GLOBAL ? 1 : grid;
    int pool = grid / locations, samples = 0;
    double *X = doubles((size_t)s->batch * s->k * locations), loss = 0;
    for (int i = 0; i < s->batch * s->k * grid; ++i)
        X[i / pool] += x[i] / pool;
    reference_student(o, s, locations, gain, X);
    for (int b = 0; b < s->batch; ++b)
        for (int l = 0; l < locations; ++l) {
            if (!reference_mask(o, b, l)) continue;
            ++samples;
            for (int i = 0; i < s->n; ++i) {
                double e = -T[(b * s->n + i) * locations + l];
                for (int c = 0; c < s->k; ++c)
                    e += P[i * s->k + c] * X[(b * s->k + c) * locations + l];
                loss += reference_emphasis(o, b, l) * reference_distance(o, e);
            }
        }
    free(X);
    return loss * s->batch / ((double)s->n * samples);
}

// The loss's central differences in x, or in P where `in_P`: d (as long as x or P) =.
static inline void reference_tap_gradient(const vkd_tap_options *o, const vkd_tap_shape *s, double gain,
                                          double *x, const double *T, double *P, bool in_P, double *d) {
    double *v = in_P ? P : x;
    int size = in_P ? s->n * s->k : s->batch * s->k * s->h * s->w;
    for (int i = 0; i < size; ++i) {
        const double h = 1e-5, at = v[i];
        v[i] = at + h;
        double above = reference_tap_loss(o, s, gain, x, T, P);
        v[i] = at - h;
        d[i] = (above - reference_tap_loss(o, s, gain, x, T, P)) / (2 * h);
        v[i] = at;
    }
}

#endif
