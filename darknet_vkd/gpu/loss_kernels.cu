#include "gpu/loss_kernels.h"

#include "gpu/block.cuh"

enum { stretch_of_a_thread = 8 };

static __device__ void leave(double sum, double *partial) {
    sum = vkd_block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// Of (rows,samples), with the weights s of the columns, or NULL. A block walks over stretches of one row
// each, so that neighbouring threads stay on neighbouring samples. each(at, weight) for every element; the
// two sums that it adds to are left as partial sums.
template <class F>
static __device__ void each_in_stretches(int rows, int samples, const float *s, double *loss, double *stretch,
                                         F each) {
    const int width = (int)blockDim.x * stretch_of_a_thread;
    const long long of_row = (samples + width - 1) / width, count = rows * of_row;
    double sum = 0, own = 0;
    for (long long at = (long long)blockIdx.x; at < count; at += (long long)gridDim.x) {
        const size_t row = (size_t)(at / of_row) * samples;
        const int begin = (int)(at % of_row) * width;
        for (int j = begin + (int)threadIdx.x; j < begin + width && j < samples; j += (int)blockDim.x)
            each(row + j, s ? s[j] : 1, &sum, &own);
    }
    leave(sum, loss);
    leave(own, stretch);
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
    const auto each = [=](size_t at, float weight, double *sum, double *own) {
        const float x = X[at], u = dX[at];
        const double square = (double)weight * x * x;
        *own += square;
        *sum += square - 2 * ((double)weight * x * u);
        dX[at] = weight * (2 * c * (x - u));
        if (s) weighted[at] = sqrtf(weight) * x;
    };
    each_in_stretches(rows, samples, s, loss, stretch, each);
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
    const auto each = [=](size_t at, float weight, double *sum, double *own) {
        const float p = e[at], t = T[at], f = p - t;
        const double exact = (double)p - t, size = fabs(exact);
        *own += (double)weight * p * p;
        if (smooth_l1) {
            *sum += weight * (size < 1 ? exact * exact / 2 : size - 0.5);
            e[at] = weight * (f < -1 ? -1 : f > 1 ? 1 : f);
        } else {
            *sum += weight * exact * exact;
            e[at] = 2 * weight * f;
        }
    };
    each_in_stretches(rows, samples, s, loss, stretch, each);
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
