// What the tests of a tap share, on the CPU and on a device: sizes, features, the shapes at the edge.
#ifndef VKD_TESTS_CORE_TAP_SUPPORT_H
#define VKD_TESTS_CORE_TAP_SUPPORT_H

#include "numerics/support.h"

#include "core/tap.h"

#include <stdbool.h>

// One location, one image, one channel, and all of them: a covariance of zero.
static const vkd_tap_shape degenerate_grids[] = {
    {1, 1, 1, 1, 1, 1, 1}, {1, 3, 1, 1, 5, 1, 1}, {1, 5, 1, 1, 3, 7, 2}, {4, 1, 3, 2, 1, 3, 2},
    {1, 2, 3, 2, 3, 1, 1}, {2, 1, 1, 1, 4, 2, 2}, {2, 4, 2, 3, 1, 4, 6}};

static inline size_t student_size(const vkd_tap_shape *s) {
    return (size_t)s->batch * s->k * s->h * s->w;
}

static inline size_t teacher_size(const vkd_tap_shape *s) {
    return (size_t)s->batch * s->n * s->th * s->tw;
}

// x (B,k,h,w) with channels of unlike means and scales.
static inline float *student_floats(const vkd_tap_shape *s, uint64_t seed) {
    float *x = normal_floats(student_size(s), seed);
    for (size_t i = 0; i < student_size(s); ++i) {
        int c = (int)(i / (size_t)(s->h * s->w)) % s->k;
        x[i] = x[i] * (float)(1 + c) / 2 + 0.5f - (float)c;
    }
    return x;
}

static inline bool all_are_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return false;
    return true;
}

// What the gradient of `loss`, a sum over the batch, is a difference of: normalising takes dX's mean and its
// part along X away, which may leave nothing. |dX| = |2c P'(P X - T)| <= 2 sqrt(c loss).
static inline double size_before_cancelling(const vkd_tap *tap, double loss) {
    const vkd_tap_shape *s = &tap->shape;
    bool by_sample = tap->options.student_norm == VKD_OPTION_STUDENT_LAYERNORM;
    int scales = by_sample                                                     ? tap->samples.count
                 : tap->options.student_norm == VKD_OPTION_STUDENT_STANDARDIZE ? s->k
                                                                               : 0;
    double largest = 1;
    for (int i = 0; i < scales; ++i)
        largest = i && largest > tap->student.inv_std[i] ? largest : tap->student.inv_std[i];
    double c = s->batch / ((double)s->n * tap->samples.count), pool = (double)s->h * s->w / tap->locations;
    return largest * 2 * sqrt(c * loss / pool);
}

#endif
