// Batch norm, its activation and the 2x2 max pooling behind it in one pass, forward and backward: what lies
// between them, four times the pooled map, is in no memory.
#ifndef VKD_NUMERICS_NORM_POOL_H
#define VKD_NUMERICS_NORM_POOL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct vkd_norm_pool {
    int batch, channels, h, w; // of x; the pooled grid is (h/2,w/2)
    float slope;               // of the activation below 0, where above it is 1: 1 linear, 0.1 leaky, 0 relu
    const float *mean, *variance; // (channels) of the batch
    const float *scale, *bias;    // (channels)
} vkd_norm_pool;

// Whether the grid is served: both sides even, and a row has enough windows for a vector.
bool vkd_norm_pool_serves(const vkd_norm_pool *s);

// y = the largest of each window of activation(scale (x - mean) / (sqrt(variance) + 1e-6) + bias).
void vkd_norm_pool_forward(const vkd_norm_pool *s,
                           const float *x, // (batch,channels,h,w)
                           float *y,       // (batch,channels,h/2,w/2) =
                           // (batch,channels,h/2,w/2) = where the largest stands in its window: 0 or 1 in
                           // its first row, 2 or 3 in the second, the first of equals; 4: no number is there
                           uint8_t *winner);

// The pass back. Where the statistics are differentiated, variance + 1e-5 stands below the root, as in
// Darknet.
void vkd_norm_pool_backward(const vkd_norm_pool *s,
                            const float *x, // (batch,channels,h,w)
                            const float *y, // (batch,channels,h/2,w/2), as are winner and dy
                            const uint8_t *winner, const float *dy,
                            float *dx,                    // (batch,channels,h,w) =
                            float *dscale, float *dbias); // (channels) +=

#endif
