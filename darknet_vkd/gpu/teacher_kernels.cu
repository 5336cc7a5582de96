#include "gpu/teacher_kernels.h"

#include "gpu/block.cuh"

#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

// All of these wait for memory and little else: a thread takes four values by one access where every array
// begins at a multiple of four and is as long, else one by one.
enum { WIDE = 4 };

template <class T, int N> struct alignas(N * sizeof(T)) pack { T value[N]; };

template <int N, class T> static __device__ pack<T, N> load(const T *x) {
    return *reinterpret_cast<const pack<T, N> *>(x);
}

template <int N, class T> static __device__ void store(T *x, const pack<T, N> &values) {
    *reinterpret_cast<pack<T, N> *>(x) = values;
}

// NULL is, too.
template <class T> static bool is_aligned(const T *x) {
    return reinterpret_cast<uintptr_t>(x) % alignof(pack<T, WIDE>) == 0;
}

// A GPU converts by an instruction, to the bits of numerics/half.h but for which NaN it is.
static __device__ vkd_half half_of(float x) {
#ifdef __CUDA_ARCH__
    return __half_as_ushort(__float2half_rn(x));
#else
    return vkd_half_of(x);
#endif
}

static __device__ float float_of(vkd_half x) {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(x));
#else
    return vkd_float_of(x);
#endif
}

static __device__ float float_of(float x) {
    return x;
}

template <int N> static __global__ void to_half(const float *x, size_t count, vkd_half *y) {
    VKD_EACH(i, count / N) {
        const pack<float, N> from = load<N>(x + i * N);
        pack<vkd_half, N> to;
        for (int k = 0; k < N; ++k)
            to.value[k] = half_of(from.value[k]);
        store(y + i * N, to);
    }
}

void vkd_gpu_to_half(const vkd_launch *launch, const float *x, size_t count, vkd_half *y) {
    const bool wide = count % WIDE == 0 && is_aligned(x) && is_aligned(y);
    const auto kernel = wide ? to_half<WIDE> : to_half<1>;
    VKD_LAUNCH(kernel, vkd_blocks(count / (wide ? WIDE : 1), launch->block), launch->block, launch, x, count,
               y);
}

// Rows are images. The values of a pack may be of several channels, where planes are small or odd.
template <class T, int N>
static __global__ void ending(const T *sums, const float *bias, const float *residual, int batch,
                              int channels, int locations, bool leaky, float *y) {
    const int values = channels * locations;
    VKD_EACH_ROW(image, batch) {
        VKD_EACH_COLUMN(j, values / N) {
            const size_t at = (size_t)image * values + (size_t)j * N;
            const pack<T, N> from = load<N>(sums + at);
            pack<float, N> added = {}, to;
            if (residual) added = load<N>(residual + at);
            int channel = j * N / locations, location = j * N % locations;
            float b = bias[channel];
            for (int k = 0; k < N; ++k, ++location) {
                if (location == locations) location = 0, b = bias[++channel];
                const float v = float_of(from.value[k]) + b;
                to.value[k] = (leaky && v < 0 ? 0.1f * v : v) + added.value[k];
            }
            store(y + at, to);
        }
    }
}

template <class T>
static void launch_ending(const vkd_launch *launch, const T *sums, const float *bias, const float *residual,
                          int batch, int channels, int locations, bool leaky, float *y) {
    const int values = channels * locations;
    const bool wide = values % WIDE == 0 && is_aligned(sums) && is_aligned(residual) && is_aligned(y);
    const auto kernel = wide ? ending<T, WIDE> : ending<T, 1>;
    VKD_LAUNCH(kernel, vkd_matrix_grid(batch, values / (wide ? WIDE : 1), launch->block), launch->block,
               launch, sums, bias, residual, batch, channels, locations, leaky, y);
}

void vkd_gpu_ending(const vkd_launch *launch, const float *sums, const float *bias, const float *residual,
                    int batch, int channels, int locations, bool leaky, float *y) {
    launch_ending(launch, sums, bias, residual, batch, channels, locations, leaky, y);
}

void vkd_gpu_ending_of_half(const vkd_launch *launch, const vkd_half *sums, const float *bias,
                            const float *residual, int batch, int channels, int locations, bool leaky,
                            float *y) {
    launch_ending(launch, sums, bias, residual, batch, channels, locations, leaky, y);
}

template <int N>
static __global__ void weighted_sum(float a, const float *x, float b, const float *y, size_t count,
                                    float *sum) {
    VKD_EACH(i, count / N) {
        const pack<float, N> of_x = load<N>(x + i * N), of_y = load<N>(y + i * N);
        pack<float, N> to;
        for (int k = 0; k < N; ++k)
            to.value[k] = a * of_x.value[k] + b * of_y.value[k];
        store(sum + i * N, to);
    }
}

void vkd_gpu_weighted_sum(const vkd_launch *launch, float a, const float *x, float b, const float *y,
                          size_t count, float *sum) {
    const bool wide = count % WIDE == 0 && is_aligned(x) && is_aligned(y) && is_aligned(sum);
    const auto kernel = wide ? weighted_sum<WIDE> : weighted_sum<1>;
    VKD_LAUNCH(kernel, vkd_blocks(count / (wide ? WIDE : 1), launch->block), launch->block, launch, a, x, b,
               y, count, sum);
}
