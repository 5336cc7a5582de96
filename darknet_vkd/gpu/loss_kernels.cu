#include "gpu/loss_kernels.h"

#include "gpu/block.cuh"

// A block walks over stretches of one row each, so that neighbouring threads stay on neighbouring samples.
enum { stretch_of_a_thread = 8 };

typedef struct stretches {
    long long count, of_row;
    int width;
} stretches;

static __device__ stretches cut(int rows, int samples) {
    const int width = (int)blockDim.x * stretch_of_a_thread;
    const long long of_row = (samples + width - 1) / width;
    const stretches s = {rows * of_row, of_row, width};
    return s;
}

#define EACH_STRETCH(at, s)                                                                                  \
    for (long long at = (long long)blockIdx.x; at < (s).count; at += (long long)gridDim.x)
#define EACH_OF_STRETCH(j, begin, s, samples)                                                                \
    for (int j = (begin) + (int)threadIdx.x; j < (begin) + (s).width && j < (samples); j += (int)blockDim.x)

static __device__ void leave(double sum, double *partial) {
    sum = vkd_block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

static __global__ void squares(const float *x, size_t count, bool add, double *partial) {
    double sum = 0;
    VKD_EACH(i, count) sum += (double)x[i] * x[i];
    sum = vkd_block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = (add ? partial[blockIdx.x] : 0) + sum;
}

void vkd_gpu_squares(const vkd_launch *launch, const float *x, size_t count, bool add, double *partial) {
    VKD_LAUNCH(squares, launch->parts, launch->block, launch, x, count, add, partial);
}

static __global__ void isometric(const float *X, int rows, int samples, float c, const float *s, float *dX,
                                 float *weighted, double *loss, double *stretch) {
    const stretches all = cut(rows, samples);
    double sum = 0, own = 0;
    EACH_STRETCH(at, all) {
        const size_t row = (size_t)(at / all.of_row) * samples;
        const int begin = (int)(at % all.of_row) * all.width;
        EACH_OF_STRETCH(j, begin, all, samples) {
            const float x = X[row + j], u = dX[row + j], weight = s ? s[j] : 1;
            const double square = (double)weight * x * x;
            own += square;
            sum += square - 2 * ((double)weight * x * u);
            dX[row + j] = weight * (2 * c * (x - u));
            if (s) weighted[row + j] = sqrtf(weight) * x;
        }
    }
    leave(sum, loss);
    leave(own, stretch);
}

void vkd_gpu_isometric(const vkd_launch *launch, const float *X, int rows, int samples, float c,
                       const float *s, float *dX, float *weighted, double *loss, double *stretch) {
    VKD_LAUNCH(isometric, launch->parts, launch->block, launch, X, rows, samples, c, s, dX, weighted, loss,
               stretch);
}

static __global__ void scale_by_roots(float *Z, int rows, int samples, const float *s) {
    VKD_EACH_COLUMN(j, samples) {
        const float root = sqrtf(s[j]);
        VKD_EACH_ROW(i, rows) Z[(size_t)i * samples + j] *= root;
    }
}

void vkd_gpu_scale_by_roots(const vkd_launch *launch, float *Z, int rows, int samples, const float *s) {
    VKD_LAUNCH(scale_by_roots, vkd_matrix_grid(rows, samples, launch->block), launch->block, launch, Z, rows,
               samples, s);
}

static __global__ void residual(float *e, const float *T, int rows, int samples, bool smooth_l1,
                                const float *s, double *loss, double *stretch) {
    const stretches all = cut(rows, samples);
    double sum = 0, own = 0;
    EACH_STRETCH(at, all) {
        const size_t row = (size_t)(at / all.of_row) * samples;
        const int begin = (int)(at % all.of_row) * all.width;
        EACH_OF_STRETCH(j, begin, all, samples) {
            const float p = e[row + j], t = T[row + j], weight = s ? s[j] : 1, f = p - t;
            const double exact = (double)p - t, size = fabs(exact);
            own += (double)weight * p * p;
            if (smooth_l1) {
                sum += weight * (size < 1 ? exact * exact / 2 : size - 0.5);
                e[row + j] = weight * (f < -1 ? -1 : f > 1 ? 1 : f);
            } else {
                sum += weight * exact * exact;
                e[row + j] = 2 * weight * f;
            }
        }
    }
    leave(sum, loss);
    leave(own, stretch);
}

void vkd_gpu_residual(const vkd_launch *launch, float *e, const float *T, int rows, int samples,
                      bool smooth_l1, const float *s, double *loss, double *stretch) {
    VKD_LAUNCH(residual, launch->parts, launch->block, launch, e, T, rows, samples, smooth_l1, s, loss,
               stretch);
}

static __global__ void pull_of_targets(const float *T, int rows, int samples, const float *s, float *e) {
    VKD_EACH_ROW(i, rows) {
        VKD_EACH_COLUMN(j, samples)
        e[(size_t)i * samples + j] = -2 * (s ? s[j] : 1) * T[(size_t)i * samples + j];
    }
}

void vkd_gpu_pull_of_targets(const vkd_launch *launch, const float *T, int rows, int samples, const float *s,
                             float *e) {
    VKD_LAUNCH(pull_of_targets, vkd_matrix_grid(rows, samples, launch->block), launch->block, launch, T, rows,
               samples, s, e);
}
