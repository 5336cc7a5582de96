#include "gpu/half_kernels.h"

#include "gpu/block.cuh"

static __global__ void to_half(const float *x, size_t count, vkd_half *y) {
    VKD_EACH(i, count) y[i] = vkd_half_of(x[i]);
}

void vkd_gpu_to_half(const vkd_launch *launch, const float *x, size_t count, vkd_half *y) {
    VKD_LAUNCH(to_half, vkd_blocks(count, launch->block), launch->block, launch, x, count, y);
}

// Rows are planes of one image and one channel.
static __global__ void from_half(const vkd_half *x, const float *bias, int rows, int channels, int locations,
                                 bool leaky, float *y) {
    VKD_EACH_ROW(i, rows) {
        const float b = bias[i % channels];
        VKD_EACH_COLUMN(j, locations) {
            const size_t at = (size_t)i * locations + j;
            const float sum = vkd_float_of(x[at]) + b;
            y[at] = leaky && sum < 0 ? 0.1f * sum : sum;
        }
    }
}

void vkd_gpu_from_half(const vkd_launch *launch, const vkd_half *x, const float *bias, int batch,
                       int channels, int locations, bool leaky, float *y) {
    const int rows = batch * channels;
    VKD_LAUNCH(from_half, vkd_matrix_grid(rows, locations, launch->block), launch->block, launch, x, bias,
               rows, channels, locations, leaky, y);
}
