// Times single operations on request, so that scripts/bench_numerics.py can let ours and another's take
// turns.
//
//   bench_numerics kernels   says what OpenBLAS runs on
//   bench_numerics           reads requests, a line each, and answers each with seconds, a line each:
//     update MAP N K REBASE REPEATS                   one update of P from a fresh gradient
//     tap MAP MODE LOSS BATCH K N SIDE REPEATS        one forward of a tap, gradients included
//
// MAP, MODE and LOSS are the words of the cfg.
#define _POSIX_C_SOURCE 200809L
#include "core/options.h"
#include "core/tap.h"
#include "numerics/blas_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORD = 32, GRADIENTS = 4 };

static void die(const char *what) {
    fprintf(stderr, "bench_numerics: %s\n", what);
    exit(EXIT_FAILURE);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int value_of(const char *key, const char *word) {
    for (int v = 0; strcmp(vkd_option_word(key, v), "?") != 0; ++v)
        if (!strcmp(vkd_option_word(key, v), word)) return v;
    die(word);
    return 0;
}

static float *normal(size_t n, uint64_t seed) {
    float *x = malloc(n * sizeof *x);
    if (!x) die("no memory");
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 1, 1);
    for (size_t i = 0; i < n; ++i)
        x[i] = (float)vkd_rng_normal(&rng);
    return x;
}

static vkd_tap_options options_of(const char *map, const char *mode, const char *loss) {
    return (vkd_tap_options){
        .map = value_of("map", map),
        .rebase = 1,
        .loss = value_of("loss", loss),
        .ratio = 0.2f,
        .momentum = 0.9f,
        .student_norm = VKD_OPTION_STUDENT_STANDARDIZE,
        .learning_rate = 1,
        .whiten = {.mode = value_of("mode", mode),
                   .statistics = VKD_OPTION_STATISTICS_RUNNING,
                   .momentum = 0.99f,
                   .shrinkage = 0.05f,
                   .eps = 1e-5f},
    };
}

static double time_update(const char *map, int n, int k, int rebase, int repeats) {
    vkd_projection p;
    vkd_rng rng;
    vkd_tap_options o = options_of(map, "standardize", "l2");
    o.rebase = rebase;
    vkd_rng_seed(&rng, 1, 2, 3);
    if (vkd_projection_create(&p, &o, n, k, &rng)) die("the projection cannot be made");
    size_t size = (size_t)n * (size_t)k;
    float *gradients = normal(GRADIENTS * size, 4);
    double spent = 0;
    for (int i = -1; i < repeats; ++i) { // the first warms up, and leaves A away from 0 where rebase=0
        memcpy(p.gradient, gradients + (size_t)((i + 1) % GRADIENTS) * size, size * sizeof(float));
        double start = now();
        if (vkd_projection_update(&p, 1)) die("the update failed");
        if (i >= 0) spent += now() - start;
    }
    free(gradients);
    vkd_projection_free(&p);
    return spent / repeats;
}

static double time_tap(const vkd_tap_options *o, vkd_tap_shape s, int repeats) {
    vkd_tap *tap;
    if (vkd_tap_create(&tap, o, s, 1, 0)) die("the tap cannot be made");
    float *x = normal((size_t)s.batch * (size_t)s.k * (size_t)s.h * (size_t)s.w, 5);
    float *t = normal((size_t)s.batch * (size_t)s.n * (size_t)s.th * (size_t)s.tw, 6);
    // Past the batches at which a whitening matrix is made every time.
    for (int i = 0; i < 34; ++i)
        if (vkd_tap_forward(tap, x, t)) die("the forward failed");
    double start = now();
    for (int i = 0; i < repeats; ++i)
        if (vkd_tap_forward(tap, x, t)) die("the forward failed");
    double spent = now() - start;
    free(x);
    free(t);
    vkd_tap_free(tap);
    return spent / repeats;
}

int main(int argc, char **argv) {
    vkd_blas_choose_kernels();
    if (argc == 2 && !strcmp(argv[1], "kernels")) return puts(vkd_blas_kernels()) < 0;
    char line[256], map[WORD], mode[WORD], loss[WORD];
    int n, k, rebase, repeats, batch, side;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "update %31s %d %d %d %d", map, &n, &k, &rebase, &repeats) == 5) {
            printf("%.9f\n", time_update(map, n, k, rebase, repeats));
        } else if (sscanf(line, "tap %31s %31s %31s %d %d %d %d %d", map, mode, loss, &batch, &k, &n, &side,
                          &repeats) == 8) {
            vkd_tap_options o = options_of(map, mode, loss);
            printf("%.9f\n", time_tap(&o, (vkd_tap_shape){batch, k, side, side, n, side, side}, repeats));
        } else {
            die(line);
        }
        fflush(stdout);
    }
    return 0;
}
