#include "gpu/grid_kernels.h"

#include "gpu/block.cuh"
#include "numerics/resample_place.h"

static __global__ void gather(const float *maps, int channels, int locations, const int *origin, int samples,
                              float *matrix) {
    VKD_EACH_ROW(c, channels) {
        VKD_EACH_COLUMN(j, samples) {
            const int image = origin[j] / locations, location = origin[j] % locations;
            matrix[(size_t)c * samples + j] = maps[((size_t)image * channels + c) * locations + location];
        }
    }
}

void vkd_gpu_gather(const vkd_launch *launch, const float *maps, int channels, int locations,
                    const int *origin, int samples, float *matrix) {
    VKD_LAUNCH(gather, vkd_matrix_grid(channels, samples, launch->block), launch->block, launch, maps,
               channels, locations, origin, samples, matrix);
}

static __device__ float area_mean(const float *x, int tw, int row, int column, int high, int wide) {
    double sum = 0;
    for (int a = 0; a < high; ++a)
        for (int b = 0; b < wide; ++b)
            sum += x[(size_t)(row * high + a) * tw + (size_t)column * wide + b];
    return (float)(sum * (1.0 / ((double)high * wide)));
}

static __device__ float bilinear(const float *x, int tw, vkd_place v, vkd_place u) {
    const float *low = x + (size_t)v.low * tw, *high = x + (size_t)v.high * tw;
    const float a = low[u.low] * (1 - u.t) + low[u.high] * u.t;
    const float b = high[u.low] * (1 - u.t) + high[u.high] * u.t;
    return a * (1 - v.t) + b * v.t;
}

// The place in the input is the same for every channel: a thread finds it once for its column.
static __global__ void gather_resampled(const float *maps, int channels, int th, int tw, int h, int w,
                                        const int *origin, int samples, float *matrix) {
    const bool areas = th % h == 0 && tw % w == 0;
    VKD_EACH_COLUMN(j, samples) {
        const int image = origin[j] / (h * w), row = origin[j] % (h * w) / w, column = origin[j] % w;
        const vkd_place v = vkd_resample_place(row, th, h), u = vkd_resample_place(column, tw, w);
        VKD_EACH_ROW(c, channels) {
            const float *x = maps + ((size_t)image * channels + c) * ((size_t)th * tw);
            matrix[(size_t)c * samples + j] =
                areas ? area_mean(x, tw, row, column, th / h, tw / w) : bilinear(x, tw, v, u);
        }
    }
}

void vkd_gpu_gather_resampled(const vkd_launch *launch, const float *maps, int channels, int th, int tw,
                              int h, int w, const int *origin, int samples, float *matrix) {
    VKD_LAUNCH(gather_resampled, vkd_matrix_grid(channels, samples, launch->block), launch->block, launch,
               maps, channels, th, tw, h, w, origin, samples, matrix);
}

// A block for each map.
static __global__ void gather_means(const float *maps, int planes, int channels, int locations,
                                    const int *slot, int samples, float *matrix) {
    for (int plane = (int)blockIdx.x; plane < planes; plane += (int)gridDim.x) {
        const float *x = maps + (size_t)plane * locations;
        double sum = 0;
        for (int l = (int)threadIdx.x; l < locations; l += (int)blockDim.x)
            sum += x[l];
        sum = vkd_block_sum(sum);
        const int j = slot[plane / channels];
        if (threadIdx.x == 0 && j >= 0)
            matrix[(size_t)(plane % channels) * samples + j] = (float)(sum / locations);
    }
}

void vkd_gpu_gather_means(const vkd_launch *launch, const float *maps, int batch, int channels, int locations,
                          const int *slot, int samples, float *matrix) {
    const int planes = batch * channels;
    VKD_LAUNCH(gather_means, vkd_blocks((size_t)planes, 1), launch->block, launch, maps, planes, channels,
               locations, slot, samples, matrix);
}

static __global__ void spread(const vkd_device_state *state, const float *matrix, int batch, int channels,
                              int locations, bool is_mean, const int *slot, int samples, float *maps) {
    const bool taken = state->verdict == VKD_TAKEN;
    VKD_EACH_ROW(plane, batch * channels) {
        const int image = plane / channels, c = plane % channels;
        VKD_EACH_COLUMN(l, locations) {
            const int j = is_mean ? slot[image] : slot[(size_t)image * locations + l];
            const float d = taken && j >= 0 ? matrix[(size_t)c * samples + j] : 0;
            maps[(size_t)plane * locations + l] = is_mean ? d / (float)locations : d;
        }
    }
}

void vkd_gpu_spread(const vkd_launch *launch, const vkd_device_state *state, const float *matrix, int batch,
                    int channels, int locations, bool is_mean, const int *slot, int samples, float *maps) {
    VKD_LAUNCH(spread, vkd_matrix_grid(batch * channels, locations, launch->block), launch->block, launch,
               state, matrix, batch, channels, locations, is_mean, slot, samples, maps);
}
