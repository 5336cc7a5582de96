// What the tests of numerics/ share: assertions that a NaN fails, random data, plain float64 twins.
#ifndef VKD_TESTS_NUMERICS_SUPPORT_H
#define VKD_TESTS_NUMERICS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numerics/rng.h"
#include "numerics/status.h"

#define EPS32    0x1p-23
#define EPS64    0x1p-52
#define COUNT(a) (sizeof(a) / sizeof *(a))

// !(x <= bound) and not x > bound: a NaN must fail.
#define assert_below(x, bound)                                                                               \
    do {                                                                                                     \
        const double x_ = (x), bound_ = (bound);                                                             \
        if (!(x_ <= bound_)) fail_msg("%s = %g, not <= %g (%s)", #x, x_, bound_, #bound);                    \
    } while (0)
#define assert_ok(call) assert_int_equal(call, VKD_OK)

static inline void *alloc(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

static inline float *floats(size_t n) {
    return alloc(n, sizeof(float));
}

static inline double *doubles(size_t n) {
    return alloc(n, sizeof(double));
}

static inline float *normal_floats(size_t n, uint64_t seed) {
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 1, n);
    float *x = floats(n);
    for (size_t i = 0; i < n; ++i)
        x[i] = (float)vkd_rng_normal(&rng);
    return x;
}

static inline float *copy_floats(const float *x, size_t n) {
    float *y = floats(n);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static inline double *widened(const float *x, size_t n) {
    double *y = doubles(n);
    for (size_t i = 0; i < n; ++i)
        y[i] = x[i];
    return y;
}

static inline double dot_floats(const float *x, const float *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (double)x[i] * y[i];
    return sum;
}

static inline double norm_floats(const float *x, size_t n) {
    return sqrt(dot_floats(x, x, n));
}

static inline double norm_doubles(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += x[i] * x[i];
    return sqrt(sum);
}

// |x - y| / |y|
static inline double relative_floats(const float *x, const float *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return sqrt(sum) / norm_floats(y, n);
}

static inline double relative_mixed(const float *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum) / norm_doubles(y, n);
}

static inline double relative_doubles(const double *x, const double *y, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum) / norm_doubles(y, n);
}

// C (m,n) = A (m,l) B (l,n), the three loops.
static inline void plain_product(const double *A, const double *B, int m, int l, int n, double *C) {
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) {
            double sum = 0;
            for (int p = 0; p < l; ++p)
                sum += A[i * l + p] * B[p * n + j];
            C[i * n + j] = sum;
        }
}

#endif
