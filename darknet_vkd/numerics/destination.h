// Where the rows of a convolution's output go: what direct.c and winograd.c have in common at their end.
#ifndef VKD_NUMERICS_DESTINATION_H
#define VKD_NUMERICS_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "numerics/convolution.h"

typedef struct destination {
    float *y; // (batch,n,out_h,out_w)
    vkd_ending ending;
    bool add; // y += the sums and nothing else
} destination;

// Bring a row near that is needed soon. A channel's rows are a short run of memory and the next channel's are
// far from them: the processor does not find them by itself. Nothing has to be there, which is why these are
// addresses and no pointers.
// NOLINTBEGIN(performance-no-int-to-ptr)
enum { LINE_BYTES = 64 };

static inline void will_read(const float *row, size_t ahead, int count) { // `ahead` floats behind row
    const uintptr_t from = (uintptr_t)row + ahead * sizeof *row;
    for (uintptr_t i = 0; i < (uintptr_t)count * sizeof *row; i += LINE_BYTES)
        __builtin_prefetch((const void *)(from + i), 0, 2);
}

static inline void will_write(const destination *d, size_t at, int count) {
    const uintptr_t from = (uintptr_t)d->y + at * sizeof *d->y;
    for (uintptr_t i = 0; i < (uintptr_t)count * sizeof *d->y; i += LINE_BYTES)
        __builtin_prefetch((const void *)(from + i), 1, 2);
    if (d->ending.residual) will_read(d->ending.residual, at, count);
}
// NOLINTEND(performance-no-int-to-ptr)

// Bias and epilogue of sums of channel n, rows of pixels and what stands between them: long runs are done
// faster than the rows.
static inline void finish(float *sums, size_t count, int n, const destination *d) {
    const float bias = d->ending.bias ? d->ending.bias[n] : 0;
    if (d->add || (!d->ending.bias && d->ending.epilogue == VKD_EPILOGUE_LINEAR)) return;
    if (d->ending.epilogue == VKD_EPILOGUE_LEAKY)
        for (size_t i = 0; i < count; ++i) {
            const float v = sums[i] + bias;
            sums[i] = v > 0 ? v : 0.1f * v;
        }
    else
        for (size_t i = 0; i < count; ++i)
            sums[i] += bias;
}

// y[at..at+count) from finished sums.
static inline void write_row(const float *restrict from, size_t at, int count, const destination *d) {
    float *restrict to = d->y + at;
    const float *restrict residual = d->ending.residual;
    if (d->add)
        for (int x = 0; x < count; ++x)
            to[x] += from[x];
    else if (residual)
        for (int x = 0; x < count; ++x)
            to[x] = from[x] + residual[at + (size_t)x];
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

#endif
