// What the tests of gpu/ share. They run on a CPU by cuda_on_cpu.h, and with VKD_ON_GPU on a GPU.
#ifndef VKD_TESTS_GPU_SUPPORT_H
#define VKD_TESTS_GPU_SUPPORT_H

#include "numerics/support.h"

#include <cblas.h>

#include "gpu/device.h"
#include "numerics/parallel.h"

// Threads of a block, of a tile's row, blocks of a sum: what must not change a result beyond rounding.
#ifdef VKD_ON_GPU
static const int launches[][3] = {{32, 32, 1}, {64, 8, 5}, {128, 32, 64}, {512, 32, 512}, {256, 16, 3}};
#else
static const int launches[][3] = {{1, 1, 1}, {4, 2, 3}, {8, 8, 2}, {16, 4, 5}};
#endif

// Matrices here are smaller than what waking a thread costs.
static inline void on_one_thread(void) {
    openblas_set_num_threads(1);
#ifdef _OPENMP
    omp_set_num_threads(1);
#endif
}

static inline vkd_device *open_device(void) {
    vkd_device *device;
    if (vkd_device_open(&device, 0, NULL)) fail_msg("%s", vkd_device_error(device));
    return device;
}

static inline void close_device(vkd_device *device) {
    if (vkd_device_status(device)) fail_msg("%s", vkd_device_error(device));
    vkd_device_close(device);
}

// Everything enqueued so far has happened.
static inline void wait_for(vkd_device *device) {
    vkd_event *event = vkd_event_create(device);
    assert_non_null(event);
    vkd_event_mark(device, event);
    vkd_event_wait(device, event);
    vkd_event_free(device, event);
}

static inline void set_on_device(vkd_device *device, void *to, const void *from, size_t bytes) {
    void *pinned = vkd_pinned_alloc(device, bytes);
    assert_non_null(pinned);
    memcpy(pinned, from, bytes);
    vkd_device_send(device, to, pinned, bytes);
    wait_for(device);
    vkd_pinned_free(device, pinned);
}

// Memory of the device with `from` in it, or zeroes; freed with vkd_device_free.
static inline void *on_device(vkd_device *device, const void *from, size_t bytes) {
    void *to = vkd_device_alloc(device, bytes);
    assert_non_null(to);
    if (from)
        set_on_device(device, to, from, bytes);
    else
        wait_for(device);
    return to;
}

static inline void read_device(vkd_device *device, void *to, const void *from, size_t bytes) {
    void *pinned = vkd_pinned_alloc(device, bytes);
    assert_non_null(pinned);
    vkd_device_fetch(device, pinned, from, bytes);
    wait_for(device);
    memcpy(to, pinned, bytes);
    vkd_pinned_free(device, pinned);
}

static inline float *floats_on_device(vkd_device *device, const float *from, size_t n) {
    return on_device(device, from, n * sizeof(float));
}

static inline float *floats_of_device(vkd_device *device, const float *from, size_t n) {
    float *x = floats(n);
    read_device(device, x, from, n * sizeof(float));
    return x;
}

// The sum that a kernel left in parts.
static inline double sum_of_parts(vkd_device *device, const double *partial) {
    int parts = vkd_device_launch(device)->parts;
    double *x = doubles((size_t)parts), sum = 0;
    read_device(device, x, partial, (size_t)parts * sizeof(double));
    for (int i = 0; i < parts; ++i)
        sum += x[i];
    free(x);
    return sum;
}

// |a - b|_F <= bound EPS32 |b|_F, or of `size` where b is a small difference of things of that size.
static inline void assert_near(const float *a, const float *b, size_t n, double size, double bound) {
    double square = 0, norm = norm_floats(b, n);
    for (size_t i = 0; i < n; ++i)
        square += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    assert_below(sqrt(square), bound * EPS32 * fmax(norm, size));
}

#endif
