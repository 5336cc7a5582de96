// Losses between sample matrices (rows,cols): rows are channels, columns samples. Summed, not averaged (the
// caller divides), in float64, the same for every number of threads.
#ifndef VKD_NUMERICS_LOSS_H
#define VKD_NUMERICS_LOSS_H

#include <stddef.h>

// sum_ij weight_j (p_ij - t_ij)^2
double vkd_l2_forward(const float *prediction, // (rows,cols)
                      const float *target,     // (rows,cols)
                      const float *weight,     // (cols) or NULL for all 1
                      size_t rows, size_t cols);
// d = scale * weight_j * 2 (p - t). d may be prediction or target.
void vkd_l2_backward(const float *prediction, // (rows,cols)
                     const float *target,     // (rows,cols)
                     const float *weight,     // (cols) or NULL
                     size_t rows, size_t cols, float scale,
                     float *d); // (rows,cols) =

// sum_ij weight_j h(p_ij - t_ij), h(e) = e^2 / 2 where |e| < 1 and |e| - 1/2 elsewhere (Huber with beta 1)
double vkd_smooth_l1_forward(const float *prediction, // (rows,cols)
                             const float *target,     // (rows,cols)
                             const float *weight,     // (cols) or NULL
                             size_t rows, size_t cols);
// d = scale * weight_j * clamp(p - t, -1, 1); a NaN stays one. d may be prediction or target.
void vkd_smooth_l1_backward(const float *prediction, // (rows,cols)
                            const float *target,     // (rows,cols)
                            const float *weight,     // (cols) or NULL
                            size_t rows, size_t cols, float scale,
                            float *d); // (rows,cols) =

#endif
