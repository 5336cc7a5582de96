// Losses summed over all elements (the caller divides), in float64, the same for every number of
// threads.
#ifndef VKD_NUMERICS_LOSS_H
#define VKD_NUMERICS_LOSS_H

#include <stddef.h>

// sum (p - t)^2
double vkd_l2_forward(const float *prediction, // (n)
                      const float *target,     // (n)
                      size_t n);
// d = scale * 2 (p - t). d may be prediction or target.
void vkd_l2_backward(const float *prediction, // (n)
                     const float *target,     // (n)
                     size_t n, float scale,
                     float *d); // (n) =

// sum of e^2 / 2 where |e| < 1 and |e| - 1/2 elsewhere, e = p - t (Huber with beta 1)
double vkd_smooth_l1_forward(const float *prediction, // (n)
                             const float *target,     // (n)
                             size_t n);
// d = scale * clamp(p - t, -1, 1); a NaN stays one. d may be prediction or target.
void vkd_smooth_l1_backward(const float *prediction, // (n)
                            const float *target,     // (n)
                            size_t n, float scale,
                            float *d); // (n) =

#endif
