// What a tap costs on the device, part by part: forward, backward, the batch's end. Prints a row for each
// shape and whitening; `make bench-gpu`. On the CPU that stands in for a GPU in the tests the figures mean
// nothing.
//   bench_device_tap [BATCH [STEPS]]
#define _POSIX_C_SOURCE 200809L
#include "core/tap.h"
#include "gpu/device_tap.h"
#include "numerics/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct subject {
    const char *name;
    int k, h, w, n, th, tw; // as in vkd_tap_shape
} subject;

// The taps of cfg/coco/yolov3-tiny-from-yolov3 at 416 x 416, and one that resamples.
static const subject subjects[] = {{"stride 32", 512, 13, 13, 1024, 13, 13},
                                   {"stride 16", 256, 26, 26, 512, 26, 26},
                                   {"stride 16 from 8", 256, 26, 26, 256, 52, 52}};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

__attribute__((noreturn)) static void give_up(const char *what) {
    fprintf(stderr, "bench_device_tap: %s\n", what);
    exit(1);
}

static void must(vkd_device *device, vkd_status status) {
    if (status == VKD_DEVICE) give_up(vkd_device_error(device));
    if (status) give_up("no memory, or an inner error");
}

static void wait(vkd_device *device) {
    vkd_event *event = vkd_event_create(device);
    if (!event) give_up(vkd_device_error(device));
    vkd_event_mark(device, event);
    vkd_event_wait(device, event);
    vkd_event_free(device, event);
}

static float *features(vkd_device *device, size_t count, uint64_t seed) {
    float *pinned = vkd_pinned_alloc(device, count * sizeof *pinned);
    float *there = vkd_device_alloc(device, count * sizeof *there);
    if (!pinned || !there) give_up("no memory for the features");
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 0, 0);
    for (size_t i = 0; i < count; ++i)
        pinned[i] = (float)vkd_rng_normal(&rng);
    vkd_device_send(device, there, pinned, count * sizeof *pinned);
    wait(device);
    vkd_pinned_free(device, pinned);
    return there;
}

typedef struct cost {
    double forward, backward, end, step; // s, each waited for; a step with nothing but its own wait
} cost;

typedef struct tap_on_device {
    vkd_device *device;
    vkd_tap *host;
    vkd_device_tap *tap;
    float *x, *t, *delta;
} tap_on_device;

static void one_step(tap_on_device *w, cost *c) {
    double start = seconds();
    must(w->device, vkd_device_tap_forward(w->tap, w->x, w->t));
    if (c) wait(w->device);
    double middle = seconds();
    must(w->device, vkd_device_tap_backward(w->tap, w->delta, -1, 1));
    if (c) wait(w->device);
    double end = seconds();
    vkd_status status = vkd_device_tap_update(w->tap, 1);
    if (status != VKD_NOT_FINITE) must(w->device, status);
    if (!c) return;
    must(w->device, vkd_device_tap_settle(w->tap)); // else the next forward waits for P
    wait(w->device);
    c->forward += middle - start;
    c->backward += end - middle;
    c->end += seconds() - end;
}

static cost measure(tap_on_device *w, int steps) {
    cost c = {0};
    for (int i = 0; i < 34; ++i) // the whitening matrix is made at each of the first 32
        one_step(w, NULL);
    wait(w->device);
    for (int i = 0; i < steps; ++i)
        one_step(w, &c);
    double start = seconds();
    for (int i = 0; i < steps; ++i)
        one_step(w, NULL);
    wait(w->device);
    c.step = seconds() - start;
    return c;
}

static void run(vkd_device *device, const subject *s, int batch, int steps, int mode) {
    vkd_tap_options o = {.map = VKD_OPTION_MAP_PROCRUSTES,
                         .rebase = 1,
                         .momentum = 0.9f,
                         .ratio = 2,
                         .learning_rate = 1,
                         .student_norm = VKD_OPTION_STUDENT_STANDARDIZE,
                         .whiten = {.mode = mode,
                                    .statistics = VKD_OPTION_STATISTICS_RUNNING,
                                    .momentum = 0.99f,
                                    .shrinkage = 0.05f,
                                    .eps = 1e-5f}};
    vkd_tap_shape shape = {batch, s->k, s->h, s->w, s->n, s->th, s->tw};
    size_t in = (size_t)batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    tap_on_device w = {.device = device};
    if (vkd_tap_create(&w.host, &o, shape, 1, 0)) give_up("no memory for the tap");
    must(device, vkd_device_tap_create(&w.tap, device, w.host));
    w.x = features(device, in, 1);
    w.t = features(device, (size_t)batch * (size_t)s->n * (size_t)s->th * (size_t)s->tw, 2);
    w.delta = features(device, in, 3);
    cost c = measure(&w, steps);
    double ms = 1e3 / steps;
    printf("| %s | %d x %d | %s | %.3f | %.3f | %.3f | %.3f | %.0f |\n", s->name, s->n, s->k,
           vkd_option_word("mode", mode), c.forward * ms, c.backward * ms, c.end * ms, c.step * ms,
           (double)vkd_device_tap_bytes(w.tap) / 1e6);
    fflush(stdout);
    vkd_device_tap_free(w.tap);
    vkd_tap_free(w.host);
    vkd_device_free(device, w.x);
    vkd_device_free(device, w.t);
    vkd_device_free(device, w.delta);
}

int main(int argc, char **argv) {
    int batch = argc > 1 ? atoi(argv[1]) : 64, steps = argc > 2 ? atoi(argv[2]) : 20;
    if (batch < 1 || steps < 1) give_up("expected a batch and a number of steps, both from 1");
    vkd_device *device;
    if (vkd_device_open(&device, 0, NULL)) give_up(device ? vkd_device_error(device) : "no memory");
    printf("%d pictures a step, %d steps. ms; every part waited for, but for `step`\n\n", batch, steps);
    printf("| tap | n x k | whiten | forward | backward | update of P | step | MB |\n");
    printf("|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; ++i) {
        run(device, &subjects[i], batch, steps, VKD_OPTION_MODE_STANDARDIZE);
        run(device, &subjects[i], batch, steps, VKD_OPTION_MODE_WHITEN);
    }
    vkd_device_close(device);
    return 0;
}
