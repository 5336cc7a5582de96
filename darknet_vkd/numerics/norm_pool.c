#include "numerics/norm_pool.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "numerics/lanes.h"
#include "numerics/parallel.h"

// Rows are taken SIDE windows at a time; what is left of a row overlaps what was done. Memory bounds all of
// this, not the width of a vector.
enum { SIDE = 8, NO_WINNER = 4 };

// Where the machine has no such vectors the compiler makes them of smaller ones, and warns of calls with
// them, which there are none of: what takes a vector is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float floats __attribute__((vector_size(SIDE * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(SIDE * sizeof(int32_t))));
typedef uint8_t bytes __attribute__((vector_size(SIDE)));

INLINE floats load(const float *x) {
    floats v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE void store(float *x, floats v) {
    memcpy(x, &v, sizeof v);
}

INLINE ints load_winners(const uint8_t *x) {
    bytes v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, ints);
}

INLINE floats each(float value) {
    const floats zeros = {0};
    return zeros + value;
}

INLINE ints each_int(int value) {
    const ints zeros = {0};
    return zeros + value;
}

// By the bits of a comparison: all of them or none.
INLINE floats choose(ints mask, floats yes, floats no) {
    return (floats)((mask & (ints)yes) | (~mask & (ints)no));
}

INLINE ints choose_int(ints mask, ints yes, ints no) {
    return (mask & yes) | (~mask & no);
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else // GCC has that one from version 12 on
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ints){__VA_ARGS__})
#endif

// Of 2 SIDE values in a row, those at even and at odd places.
INLINE floats evens(floats a, floats b) {
    return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}

INLINE floats odds(floats a, floats b) {
    return SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

bool vkd_norm_pool_serves(const vkd_norm_pool *s) {
    return s->h > 0 && s->h % 2 == 0 && s->w >= 2 * SIDE && s->w % 2 == 0;
}

// One channel's constants.
typedef struct constants {
    float mean, factor, bias, slope;
    float by_delta, by_x, constant; // dx = by_delta d + by_x (x - mean) + constant
} constants;

static double deviation_of(const vkd_norm_pool *s, int c) {
    return sqrt((double)s->variance[c]) + 1e-6;
}

static constants constants_of(const vkd_norm_pool *s, int c) {
    return (constants){.mean = s->mean[c],
                       .factor = (float)(s->scale[c] / deviation_of(s, c)),
                       .bias = s->bias[c],
                       .slope = s->slope};
}

// Of channel c of image b, at full size or pooled.
static size_t plane_at(const vkd_norm_pool *s, int b, int c, size_t size) {
    return ((size_t)b * (size_t)s->channels + (size_t)c) * size;
}

INLINE void challenge(floats value, int place, floats *best, ints *who) {
    const ints larger = value > *best;
    *who = choose_int(larger, each_int(place), *who);
    *best = choose(larger, value, *best);
}

INLINE void pool_windows(const constants *k, const float *top, const float *bottom, float *y,
                         uint8_t *winner) {
    const floats a = (load(top) - k->mean) * k->factor + k->bias,
                 b = (load(top + SIDE) - k->mean) * k->factor + k->bias,
                 c = (load(bottom) - k->mean) * k->factor + k->bias,
                 d = (load(bottom + SIDE) - k->mean) * k->factor + k->bias;
    floats best = each(-FLT_MAX);
    ints who = each_int(NO_WINNER);
    challenge(evens(a, b), 0, &best, &who);
    challenge(odds(a, b), 1, &best, &who);
    challenge(evens(c, d), 2, &best, &who);
    challenge(odds(c, d), 3, &best, &who);
    store(y, choose(best > 0, best, k->slope * best));
    const bytes narrow = __builtin_convertvector(who, bytes);
    memcpy(winner, &narrow, sizeof narrow);
}

void vkd_norm_pool_forward(const vkd_norm_pool *s, const float *x, float *y, uint8_t *winner) {
    const size_t w = (size_t)s->w, full = (size_t)s->h * w, pooled = full / 4;
    const int count = s->w / 2;
    VKD_PARALLEL_FOR
    for (int c = 0; c < s->channels; ++c) {
        const constants k = constants_of(s, c);
        for (int b = 0; b < s->batch; ++b) {
            const float *top = x + plane_at(s, b, c, full);
            size_t to = plane_at(s, b, c, pooled);
            for (int i = 0; i < s->h / 2; ++i, top += 2 * w, to += w / 2)
                for (int j = 0; j < count; j = next_of(j, SIDE, count))
                    pool_windows(&k, top + 2 * j, top + w + 2 * j, y + to + j, winner + to + j);
        }
    }
}

// d: the gradient before the activation, at the windows' winners.
INLINE floats delta_of(const constants *k, const float *y, const float *dy) {
    return load(dy) * choose(load(y) > 0, each(1), each(k->slope));
}

// *sum += d, *product += d (x - mean), but for `done` of the windows.
INLINE void sum_windows(const constants *k, const float *top, const float *bottom, const float *y,
                        const uint8_t *winner, const float *dy, int done, floats *sum, floats *product) {
    static const ints place = {0, 1, 2, 3, 4, 5, 6, 7};
    const floats a = load(top), b = load(top + SIDE), c = load(bottom), e = load(bottom + SIDE);
    const ints who = load_winners(winner);
    floats value = choose(who == 2, evens(c, e), odds(c, e));
    value = choose(who == 1, odds(a, b), value);
    value = choose(who == 0, evens(a, b), value);
    const floats d = (floats)((ints)delta_of(k, y, dy) & (who != NO_WINNER) & (place >= done));
    *sum += d;
    *product += choose(d == 0, each(0), d * (value - k->mean));
}

INLINE float total(floats v) {
    float sum = 0;
    for (int i = 0; i < SIDE; ++i)
        sum += v[i];
    return sum;
}

// 2 SIDE values of a row of dx: winners `left` and left + 1 stand in it.
INLINE void spread_row(const constants *k, const float *x, ints who0, ints who1, floats d0, floats d1,
                       int left, float *dx) {
    static const ints side = {0, 1, 0, 1, 0, 1, 0, 1};
    const ints here = side + left;
    store(dx, (load(x) - k->mean) * k->by_x + k->constant + (floats)((ints)d0 & (who0 == here)));
    store(dx + SIDE,
          (load(x + SIDE) - k->mean) * k->by_x + k->constant + (floats)((ints)d1 & (who1 == here)));
}

// SIDE windows of dx, whose rows are w apart.
INLINE void spread_windows(const constants *k, const float *x, size_t w, const float *y,
                           const uint8_t *winner, const float *dy, float *dx) {
    const ints who = load_winners(winner);
    const floats d = delta_of(k, y, dy) * k->by_delta;
    const floats d0 = SHUFFLE(d, d, 0, 0, 1, 1, 2, 2, 3, 3), d1 = SHUFFLE(d, d, 4, 4, 5, 5, 6, 6, 7, 7);
    const ints who0 = SHUFFLE(who, who, 0, 0, 1, 1, 2, 2, 3, 3),
               who1 = SHUFFLE(who, who, 4, 4, 5, 5, 6, 6, 7, 7);
    spread_row(k, x, who0, who1, d0, d1, 0, dx);
    spread_row(k, x + w, who0, who1, d0, d1, 2, dx + w);
}

static void set_gradient(const vkd_norm_pool *s, int c, double sum, double product, constants *k) {
    const double root = sqrt(s->variance[c] + 1e-5), values = (double)s->batch * s->h * s->w;
    k->by_delta = (float)(s->scale[c] / root);
    k->by_x = (float)(-product * s->scale[c] / (root * root * root * values));
    k->constant = (float)(-sum * s->scale[c] / (root * values));
}

void vkd_norm_pool_backward(const vkd_norm_pool *s, const float *x, const float *y, const uint8_t *winner,
                            const float *dy, float *dx, float *dscale, float *dbias) {
    const size_t w = (size_t)s->w, full = (size_t)s->h * w;
    const int count = s->w / 2;
    VKD_PARALLEL_FOR
    for (int c = 0; c < s->channels; ++c) {
        constants k = constants_of(s, c);
        double sum = 0, product = 0;
        for (int b = 0; b < s->batch; ++b) {
            const float *top = x + plane_at(s, b, c, full);
            size_t at = plane_at(s, b, c, full / 4);
            for (int i = 0; i < s->h / 2; ++i, top += 2 * w, at += w / 2) {
                floats row_sum = {0}, row_product = {0};
                for (int j = 0, end = 0; j < count; end = j + SIDE, j = next_of(j, SIDE, count))
                    sum_windows(&k, top + 2 * j, top + w + 2 * j, y + at + j, winner + at + j, dy + at + j,
                                end - j, &row_sum, &row_product);
                sum += total(row_sum);
                product += total(row_product);
            }
        }
        dbias[c] += (float)sum;
        dscale[c] += (float)(product / deviation_of(s, c));
        set_gradient(s, c, sum, product, &k);
        for (int b = 0; b < s->batch; ++b) {
            size_t top = plane_at(s, b, c, full), at = plane_at(s, b, c, full / 4);
            for (int i = 0; i < s->h / 2; ++i, top += 2 * w, at += w / 2)
                for (int j = 0; j < count; j = next_of(j, SIDE, count))
                    spread_windows(&k, x + top + 2 * j, w, y + at + j, winner + at + j, dy + at + j,
                                   dx + top + 2 * j);
        }
    }
}
