// A tap of core/ and one on the device, made alike and fed alike.
#ifndef VKD_TESTS_GPU_TAP_TWINS_H
#define VKD_TESTS_GPU_TAP_TWINS_H

#include "support.h"

#include "core/foreground.h"
#include "core/tap_support.h"
#include "gpu/device_tap.h"

typedef struct twins {
    vkd_device *device;
    vkd_tap *cpu, *host; // the plain tap; the master of the one on the device
    vkd_device_tap *gpu;
    float *x, *t, *delta;                   // of this step, on the host; delta is the CPU's
    float *x_there, *t_there, *delta_there; // on the device
} twins;

static inline vkd_tap_options twin_options(int map) {
    return (vkd_tap_options){
        .map = map,
        .rebase = 1,
        .momentum = 0.9f,
        .ratio = 0.1f,
        .learning_rate = 1,
        .student_norm = VKD_OPTION_STUDENT_STANDARDIZE,
        .whiten = {.mode = VKD_OPTION_MODE_STANDARDIZE,
                   .statistics = VKD_OPTION_STATISTICS_RUNNING,
                   .momentum = 0.9f,
                   .shrinkage = 0.0625f,
                   .eps = 1e-5f},
    };
}

static inline void free_features(twins *w) {
    free(w->x);
    free(w->t);
    free(w->delta);
    vkd_device_free(w->device, w->x_there);
    vkd_device_free(w->device, w->t_there);
    vkd_device_free(w->device, w->delta_there);
}

static inline void make_features(twins *w) {
    const vkd_tap_shape *s = &w->cpu->shape;
    w->x = floats(student_size(s));
    w->t = floats(teacher_size(s));
    w->delta = floats(student_size(s));
    w->x_there = floats_on_device(w->device, NULL, student_size(s));
    w->t_there = floats_on_device(w->device, NULL, teacher_size(s));
    w->delta_there = floats_on_device(w->device, NULL, student_size(s));
}

static inline twins make_twins(vkd_device *device, const vkd_tap_options *o, vkd_tap_shape s) {
    twins w = {.device = device};
    assert_ok(vkd_tap_create(&w.cpu, o, s, 11, 2));
    assert_ok(vkd_tap_create(&w.host, o, s, 11, 2));
    vkd_status status = vkd_device_tap_create(&w.gpu, device, w.host);
    if (status) fail_msg("status %d: %s", status, vkd_device_error(device));
    make_features(&w);
    return w;
}

static inline void free_twins(twins *w) {
    free_features(w);
    vkd_device_tap_free(w->gpu);
    vkd_tap_free(w->cpu);
    vkd_tap_free(w->host);
}

// Features of step `seed`, and a delta.
static inline void draw(twins *w, uint64_t seed) {
    const vkd_tap_shape *s = &w->cpu->shape;
    float *x = student_floats(s, seed), *t = normal_floats(teacher_size(s), seed + 1000);
    float *delta = normal_floats(student_size(s), seed + 2000);
    memcpy(w->x, x, student_size(s) * sizeof *x);
    memcpy(w->t, t, teacher_size(s) * sizeof *t);
    memcpy(w->delta, delta, student_size(s) * sizeof *delta);
    free(x);
    free(t);
    free(delta);
}

static inline void send_features(twins *w) {
    const vkd_tap_shape *s = &w->cpu->shape;
    set_on_device(w->device, w->x_there, w->x, student_size(s) * sizeof *w->x);
    set_on_device(w->device, w->t_there, w->t, teacher_size(s) * sizeof *w->t);
    set_on_device(w->device, w->delta_there, w->delta, student_size(s) * sizeof *w->delta);
}

// The mask of a step leaves other locations in than the last one's, and one of every image.
static inline void choose_locations(twins *w, int step) {
    const vkd_tap *cpu = w->cpu;
    size_t count = (size_t)cpu->shape.batch * (size_t)cpu->locations;
    for (size_t i = 0; cpu->mask && i < count; ++i)
        cpu->mask[i] = i % (size_t)cpu->locations == 0 || (7 * i + (size_t)step) % 3 != 0;
    if (cpu->mask) memcpy(w->host->mask, cpu->mask, count * sizeof(float));
    const float boxes[] = {0.4f, 0.5f, 0.3f, 0.4f, 1, 0, 0, 0, 0, 0};
    float *all = floats((size_t)cpu->shape.batch * 10);
    for (int b = 0; b < cpu->shape.batch; ++b)
        memcpy(all + 10 * b, boxes, sizeof boxes);
    if (cpu->emphasis) {
        vkd_foreground_weights(all, cpu->shape.batch, 2, cpu->locations > 1 ? cpu->shape.h : 1,
                               cpu->locations > 1 ? cpu->shape.w : 1, cpu->options.foreground, cpu->mask,
                               cpu->emphasis);
        memcpy(w->host->emphasis, cpu->emphasis, count * sizeof(float));
    }
    free(all);
}

// Darknet's way: delta is minus the gradient.
static inline void cpu_backward(twins *w, double factor) {
    double weight = vkd_tap_weigh(w->cpu, w->delta, factor);
    for (size_t i = 0; weight != 0 && i < student_size(&w->cpu->shape); ++i)
        w->delta[i] -= (float)weight * w->cpu->dx[i];
}

#endif
