// What every kernel is written with. cuda_on_cpu.h of the tests stands in for nvcc's part of it.
#ifndef VKD_GPU_BLOCK_CUH
#define VKD_GPU_BLOCK_CUH

#include "gpu/device.h"

#include <stddef.h>

#ifdef __CUDACC__
#define VKD_LAUNCH(kernel, grid, block, launch, ...) kernel<<<grid, block, 0, (launch)->stream>>>(__VA_ARGS__)
#endif

#define VKD_BLOCK_LIMIT 512    // threads of so many registers as a kernel may want
#define VKD_GRID_LIMIT  65535u // along y and z; more than enough along x

static inline unsigned vkd_blocks(size_t count, int block) {
    size_t blocks = (count + (size_t)block - 1) / (size_t)block;
    return blocks < 1 ? 1 : blocks < VKD_GRID_LIMIT ? (unsigned)blocks : VKD_GRID_LIMIT;
}

// A thread for each column and as many rows of blocks as there are rows; kernels stride where there are more.
static inline dim3 vkd_matrix_grid(int rows, int cols, int block) {
    return dim3(vkd_blocks((size_t)cols, block), vkd_blocks((size_t)rows, 1), 1);
}

#define VKD_EACH_ROW(i, rows) for (int i = (int)blockIdx.y; i < (rows); i += (int)gridDim.y)
#define VKD_EACH_COLUMN(j, cols)                                                                             \
    for (int j = (int)(blockIdx.x * blockDim.x + threadIdx.x); j < (cols); j += (int)(gridDim.x * blockDim.x))
#define VKD_EACH(i, count)                                                                                   \
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < (count);                              \
         i += (size_t)gridDim.x * blockDim.x)

// The sum of the block's values along x, for every thread of it, as a tree: the same bits at every run.
// blockDim.x is a power of two, blockDim.y is 1.
static inline __device__ double vkd_block_sum(double value) {
    __shared__ double held[VKD_BLOCK_LIMIT];
    __syncthreads(); // the last sum has been read
    held[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) held[threadIdx.x] += held[threadIdx.x + half];
        __syncthreads();
    }
    return held[0];
}

// The same for each column of a tile: threads of one threadIdx.x add along y.
static inline __device__ double vkd_tile_sum(double value) {
    __shared__ double held[VKD_BLOCK_LIMIT];
    const unsigned at = threadIdx.y * blockDim.x + threadIdx.x;
    __syncthreads();
    held[at] = value;
    __syncthreads();
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y < half) held[at] += held[at + half * blockDim.x];
        __syncthreads();
    }
    return held[threadIdx.x];
}

#endif
