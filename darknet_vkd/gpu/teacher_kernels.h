// What a frozen teacher's layers do beside their products: the way into half precision and out of it, a
// convolution's bias, activation and residual in one pass over its output, and a shortcut in one.
#ifndef VKD_GPU_TEACHER_KERNELS_H
#define VKD_GPU_TEACHER_KERNELS_H

#include "gpu/device.h"
#include "numerics/half.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = x, each rounded to the nearest half, a tie to the even one; infinity where that is too large.
void vkd_gpu_to_half(const vkd_launch *launch,
                     const float *x, // (count)
                     size_t count,
                     vkd_half *y); // (count) =

// y = f(sums + bias of its channel) + residual, in float32, as vkd_ending has it; f is Darknet's leaky (0.1 v
// below 0) or nothing. y may be `sums`.
void vkd_gpu_ending(const vkd_launch *launch,
                    const float *sums,     // (B,channels,locations)
                    const float *bias,     // (channels)
                    const float *residual, // (B,channels,locations), not y, or NULL for none
                    int batch, int channels, int locations, bool leaky,
                    float *y); // (B,channels,locations) =

// The same of sums that are halves; y lies elsewhere.
void vkd_gpu_ending_of_half(const vkd_launch *launch,
                            const vkd_half *sums,  // (B,channels,locations)
                            const float *bias,     // (channels)
                            const float *residual, // (B,channels,locations), not y, or NULL for none
                            int batch, int channels, int locations, bool leaky,
                            float *y); // (B,channels,locations) =

// sum = a x + b y.
void vkd_gpu_weighted_sum(const vkd_launch *launch, float a,
                          const float *x, // (count)
                          float b,
                          const float *y, // (count)
                          size_t count,
                          float *sum); // (count) =

#ifdef __cplusplus
}
#endif

#endif
