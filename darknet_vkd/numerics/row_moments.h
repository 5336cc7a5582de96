// Means and variances of channels from those of their rows, so that a row is looked at while it is near.
#ifndef VKD_NUMERICS_ROW_MOMENTS_H
#define VKD_NUMERICS_ROW_MOMENTS_H

#include <stddef.h>

#include "numerics/parallel.h"

// to[0] = the mean of x (count), to[1] = the sum of the squared differences to it.
static inline void vkd_row_moments(const float *x, int count, float *to) {
    float sum = 0, square = 0;
    VKD_SIMD_SUM(sum)
    for (int i = 0; i < count; ++i)
        sum += x[i];
    const float mean = sum / (float)count;
    VKD_SIMD_SUM(square)
    for (int i = 0; i < count; ++i)
        square += (x[i] - mean) * (x[i] - mean);
    to[0] = mean;
    to[1] = square;
}

static inline void vkd_moments_of_rows(const float *x, // (rows,count)
                                       int rows, int count,
                                       float *to) { // (rows,2) =
    VKD_PARALLEL_FOR_VALUES((size_t)rows * (size_t)count)
    for (int r = 0; r < rows; ++r)
        vkd_row_moments(x + (size_t)r * (size_t)count, count, to + 2 * (size_t)r);
}

// A channel's mean and the sum of its squared differences to it, from its rows' (batch,channels,h,2), each of
// `count` values: Chan, Golub and LeVeque (1983), (2.1), for parts of one size.
static inline void vkd_channel_of_rows(const float *rows, int batch, int channels, int h, int count,
                                       int channel, double *mean, double *square) {
    const double parts = (double)batch * h;
    double sum = 0, within = 0, between = 0;
    for (int b = 0; b < batch; ++b) {
        const float *row = rows + 2 * ((size_t)b * (size_t)channels + (size_t)channel) * (size_t)h;
        for (int y = 0; y < h; ++y) {
            sum += row[2 * y];
            within += row[2 * y + 1];
        }
    }
    *mean = sum / parts;
    for (int b = 0; b < batch; ++b) {
        const float *row = rows + 2 * ((size_t)b * (size_t)channels + (size_t)channel) * (size_t)h;
        for (int y = 0; y < h; ++y)
            between += (row[2 * y] - *mean) * (row[2 * y] - *mean);
    }
    *square = within + count * between;
}

#endif
