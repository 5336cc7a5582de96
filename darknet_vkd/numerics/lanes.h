// What the registers hold of the products in panel.h, and what is rounded up to it.
#ifndef VKD_NUMERICS_LANES_H
#define VKD_NUMERICS_LANES_H

#include <stddef.h>
#include <stdint.h>

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

static inline int clamp(int x, int low, int high) {
    return x < low ? low : x > high ? high : x;
}

static inline int round_up(int x, int step) {
    return (x + step - 1) / step * step;
}

// The first vector in a workspace that lies whole in a cache line; LANES - 1 floats may be lost before it.
static inline void *whole_line(float *workspace) {
    const size_t beyond = (uintptr_t)workspace / sizeof(float) % LANES;
    return beyond ? workspace + LANES - beyond : workspace;
}

// Where the next `step` values of `count` begin after those at i: the last overlap those before, where there
// are as many.
static inline int next_of(int i, int step, int count) {
    return i + step < count && i + 2 * step > count ? count - step : i + step;
}

static inline int panels_of(int filters) {
    return round_up(filters, FILTERS) / FILTERS;
}

#endif
