// What the tests of a projection share: one of any size, how far its matrix is from another and from I.
#ifndef VKD_TESTS_CORE_PROJECTION_CASES_H
#define VKD_TESTS_CORE_PROJECTION_CASES_H

#include "../numerics/support.h"

#include "core/projection.h"

typedef struct size_pair {
    int n, k;
} size_pair;

static inline vkd_tap_options options_of(vkd_option_map map) {
    return (vkd_tap_options){.map = (int)map, .rebase = 1, .momentum = 0.9f};
}

static inline vkd_projection make(vkd_option_map map, int n, int k, uint64_t seed, uint64_t index) {
    vkd_projection p;
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 80, index);
    vkd_tap_options options = options_of(map);
    assert_ok(vkd_projection_create(&p, &options, n, k, &rng));
    return p;
}

static inline size_t elements(const vkd_projection *p) {
    return (size_t)p->rows * (size_t)p->cols;
}

// |V'V - I|_F by three loops.
static inline double defect(const float *V, int rows, int cols) {
    double sum = 0;
    for (int a = 0; a < cols; ++a)
        for (int b = 0; b < cols; ++b) {
            double dot = 0;
            for (int i = 0; i < rows; ++i)
                dot += (double)V[i * cols + a] * V[i * cols + b];
            sum += (dot - (a == b)) * (dot - (a == b));
        }
    return sqrt(sum);
}

static inline double distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

// The projection's gradient of |P x - t|^2, accumulated once; e is scratch (n,samples).
static inline void add_gradient(vkd_projection *p, const float *x, const float *t, int samples, float *e) {
    vkd_projection_apply(p, x, samples, e);
    for (int i = 0; i < p->n * samples; ++i)
        e[i] -= t[i];
    vkd_projection_accumulate(p, e, x, samples, 2);
}

#endif
