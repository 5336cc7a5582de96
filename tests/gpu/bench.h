// A kernel's workbench: a device for one way of launching, and memory that goes with it.
#ifndef VKD_TESTS_GPU_BENCH_H
#define VKD_TESTS_GPU_BENCH_H

#include "support.h"

#include "gpu/state.h"

// Rows and columns of matrices: one of either, odd ones, more than a block's threads.
static const int matrix_shapes[][2] = {{1, 1}, {1, 7}, {5, 1}, {3, 4}, {8, 37}, {37, 8}, {2, 300}};

// Opened for one way of launching; what a test makes on the device goes with `drop`.
typedef struct bench {
    vkd_device *device;
    const vkd_launch *launch;
    void *made[16];
    int count;
} bench;

static inline bench open_bench(const int *shape) {
    bench b = {.device = open_device()};
    vkd_device_set_launch(b.device, shape[0], shape[1], shape[2]);
    b.launch = vkd_device_launch(b.device);
    return b;
}

static inline void *keep(bench *b, void *memory) {
    assert_true(b->count < 16);
    return b->made[b->count++] = memory;
}

static inline void drop(bench *b) {
    while (b->count > 0)
        vkd_device_free(b->device, b->made[--b->count]);
}

static inline void close_bench(bench *b) {
    drop(b);
    close_device(b->device);
}

static inline float *give(bench *b, const float *x, size_t n) {
    return keep(b, floats_on_device(b->device, x, n));
}

static inline void *zeroes(bench *b, size_t bytes) {
    return keep(b, on_device(b->device, NULL, bytes));
}

static inline double *parts(bench *b) {
    return zeroes(b, (size_t)b->launch->parts * sizeof(double));
}

static inline int flag_of(const bench *b, const int *flag) {
    int value;
    read_device(b->device, &value, flag, sizeof value);
    return value;
}

static inline void check_near(const bench *b, const float *device, const float *expected, size_t n,
                              double bound) {
    float *x = floats_of_device(b->device, device, n);
    assert_near(x, expected, n, 0, bound);
    free(x);
}

static inline void check_near_doubles(const bench *b, const double *device, const double *expected, size_t n,
                                      double bound) {
    double *x = doubles(n);
    read_device(b->device, x, device, n * sizeof *x);
    for (size_t i = 0; i < n; ++i)
        assert_below(fabs(x[i] - expected[i]), bound);
    free(x);
}

#define EACH_LAUNCH(b)                                                                                       \
    for (size_t launch_ = 0; launch_ < COUNT(launches); ++launch_)                                           \
        for (bench b = open_bench(launches[launch_]); b.device; close_bench(&b), b.device = NULL)

static inline vkd_device_state *state_with(bench *b, vkd_device_state state) {
    return keep(b, on_device(b->device, &state, sizeof state));
}

#endif
