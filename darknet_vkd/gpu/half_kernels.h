// The way into half precision and out of it, for convolutions that a library makes in it.
#ifndef VKD_GPU_HALF_KERNELS_H
#define VKD_GPU_HALF_KERNELS_H

#include "gpu/device.h"
#include "numerics/half.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = x, each rounded to the nearest half; infinity where that is too large.
void vkd_gpu_to_half(const vkd_launch *launch, const float *x, // (count)
                     size_t count,
                     vkd_half *y); // (count) =

// y = f(x + bias of its channel), in float32; f is Darknet's leaky (0.1 x below 0) or nothing.
void vkd_gpu_from_half(const vkd_launch *launch, const vkd_half *x, // (B,channels,locations)
                       const float *bias,                           // (channels)
                       int batch, int channels, int locations, bool leaky,
                       float *y); // (B,channels,locations) =

#ifdef __cplusplus
}
#endif

#endif
