// The product at the bottom of direct.c and winograd.c: a panel of filters times runs of memory, in
// registers.
#ifndef VKD_NUMERICS_PANEL_H
#define VKD_NUMERICS_PANEL_H

#include <stdbool.h>
#include <stddef.h>

#include "numerics/lanes.h"

// out (FILTERS,count vectors), rows `step` apart, = panel' x, or += : the panel (weights,FILTERS), and weight
// t meets the pixels from offsets[t] on.
INLINE void multiply(const int count, const float *x, const int *offsets, const float *panel, int weights,
                     bool add, float *out, size_t step) {
    lanes sum[FILTERS][VECTORS] = {0};
    if (add)
        UNROLL for (int f = 0; f < FILTERS; ++f) UNROLL for (int v = 0; v < count; ++v) sum[f][v] =
            *(const lanes *)(out + (size_t)f * step + v * LANES);
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

// The same for `run` pixels, rounded up to a whole vector, and each of some panels, `panel_step` apart.
static void multiply_run(const float *x, const int *offsets, const float *panel, size_t panel_step,
                         int panels, int weights, int run, bool add, float *out, size_t step) {
    for (int i = 0; i < run;) {
        // Four vectors make two and two: one alone does not hide what a product takes.
        const int left = (run - i + LANES - 1) / LANES, count = left == 4 ? 2 : left < 3 ? left : 3;
        for (int k = 0; k < panels; ++k) {
            const float *weight = panel + (size_t)k * panel_step;
            float *to = out + (size_t)k * FILTERS * step + i;
            if (count == 3)
                multiply(3, x + i, offsets, weight, weights, add, to, step);
            else if (count == 2)
                multiply(2, x + i, offsets, weight, weights, add, to, step);
            else
                multiply(1, x + i, offsets, weight, weights, add, to, step);
        }
        i += count * LANES;
    }
}

#endif
