// Where the rows of a convolution's output go: what direct.c and winograd.c have in common at their end.
#ifndef VKD_NUMERICS_DESTINATION_H
#define VKD_NUMERICS_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>

#include "numerics/convolution.h"

typedef struct destination {
    float *y; // (batch,n,out_h,out_w)
    vkd_ending ending;
    bool add; // y += the sums and nothing else
} destination;

// y[at..at+count), pixels of channel n, from their sums.
static inline void write_row(const float *restrict from, size_t at, int count, int n, const destination *d) {
    float *restrict to = d->y + at;
    const float bias = d->ending.bias ? d->ending.bias[n] : 0;
    if (d->add) {
        for (int x = 0; x < count; ++x)
            to[x] += from[x];
        return;
    }
    if (d->ending.epilogue == VKD_EPILOGUE_LEAKY)
        for (int x = 0; x < count; ++x) {
            const float v = from[x] + bias;
            to[x] = v > 0 ? v : 0.1f * v;
        }
    else
        for (int x = 0; x < count; ++x)
            to[x] = from[x] + bias;
    const float *restrict residual = d->ending.residual ? d->ending.residual + at : NULL;
    for (int x = 0; x < count && residual; ++x)
        to[x] += residual[x];
}

#endif
