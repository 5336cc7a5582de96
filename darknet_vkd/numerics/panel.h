// The product at the bottom of direct.c and winograd.c: a panel of filters times runs of memory, in
// registers.
#ifndef VKD_NUMERICS_PANEL_H
#define VKD_NUMERICS_PANEL_H

#include <stddef.h>

// FILTERS x VECTORS accumulators, and what they are made of, fill the registers.
#if defined __AVX512F__
enum { LANES = 16, FILTERS = 8 };
#elif defined __AVX__
enum { LANES = 8, FILTERS = 4 };
#else
enum { LANES = 4, FILTERS = 4 };
#endif
enum { VECTORS = 3, TILE = VECTORS * LANES };

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
#ifndef __clang__
typedef int lane_numbers __attribute__((vector_size(LANES * sizeof(int))));
#endif

// Keeps a vector in its register: the compiler would rather load it anew for every product.
#if defined __AVX512F__
#define HOLD(v) __asm__("" : "+v"(v))
#elif defined __x86_64__
#define HOLD(v) __asm__("" : "+x"(v))
#else
#define HOLD(v) (void)(v)
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

// out (FILTERS,count vectors), rows `step` apart, = panel' x: the panel (weights,FILTERS), and weight t meets
// the pixels from offsets[t] on.
INLINE void multiply(const int count, const float *x, const int *offsets, const float *panel, int weights,
                     float *out, size_t step) {
    lanes sum[FILTERS][VECTORS] = {0};
    for (int t = 0; t < weights; ++t, panel += FILTERS) {
        lanes pixels[VECTORS];
        UNROLL for (int v = 0; v < count; ++v) pixels[v] = *(const lanes *)(x + offsets[t] + v * LANES);
        UNROLL for (int f = 0; f < FILTERS; ++f) {
            lanes weight = panel[f] - (lanes){0}; // a plain broadcast: x - 0 is x, where 0 + x is not of -0
            HOLD(weight);
            UNROLL for (int v = 0; v < count; ++v) sum[f][v] += weight * pixels[v];
        }
    }
    UNROLL for (int f = 0; f < FILTERS; ++f) UNROLL for (int v = 0; v < count; ++v) *
        (lanes *)(out + (size_t)f * step + v * LANES) = sum[f][v];
}

// The same for `run` pixels, rounded up to a whole vector.
static void multiply_run(const float *x, const int *offsets, const float *panel, int weights, int run,
                         float *out, size_t step) {
    int i = 0;
    for (; i + TILE - LANES < run; i += TILE)
        multiply(3, x + i, offsets, panel, weights, out + i, step);
    if (run - i > LANES)
        multiply(2, x + i, offsets, panel, weights, out + i, step);
    else if (run > i)
        multiply(1, x + i, offsets, panel, weights, out + i, step);
}

static inline int round_up(int x, int step) {
    return (x + step - 1) / step * step;
}

static inline int panels_of(int filters) {
    return round_up(filters, FILTERS) / FILTERS;
}

#endif
