// Between feature maps and sample matrices, on the device: core/samples.h, numerics/resample.h, pool=global.
//
// `origin` (N) is where each sample comes from, image * locations + location; `slot` (B,locations) is the way
// back: the sample's column, or -1 where a location does not count.
#ifndef VKD_GPU_GRID_KERNELS_H
#define VKD_GPU_GRID_KERNELS_H

#include "gpu/device.h"
#include "gpu/state.h"

#ifdef __cplusplus
extern "C" {
#endif

void vkd_gpu_gather(const vkd_launch *launch,
                    const float *maps, // (B,channels,locations)
                    int channels, int locations,
                    const int *origin, // (N)
                    int samples,
                    float *matrix); // (channels,N) =

// The same from maps on another grid (th,tw), as vkd_resample brings them to (h,w). Not between equal grids.
void vkd_gpu_gather_resampled(const vkd_launch *launch,
                              const float *maps, // (B,channels,th,tw)
                              int channels, int th, int tw, int h, int w,
                              const int *origin, // (N)
                              int samples,
                              float *matrix); // (channels,N) =

// pool=global: each map's mean over its locations.
void vkd_gpu_gather_means(const vkd_launch *launch,
                          const float *maps, // (B,channels,locations)
                          int batch, int channels, int locations,
                          const int *slot, // (B)
                          int samples,
                          float *matrix); // (channels,N) =

// The adjoint of vkd_gpu_gather, or of vkd_gpu_gather_means where is_mean (slot is (B) then). Zero unless the
// verdict is VKD_TAKEN.
void vkd_gpu_spread(const vkd_launch *launch, const vkd_device_state *state,
                    const float *matrix, // (channels,N)
                    int batch, int channels, int locations, bool is_mean,
                    const int *slot, // (B,locations), (B)
                    int samples,
                    float *maps); // (B,channels,locations) =

#ifdef __cplusplus
}
#endif

#endif
