#include "gpu/norm_kernels.h"

#include "gpu/block.cuh"

static __device__ void look(double value, int *bad) {
    if (bad && !vkd_is_finite(value)) *bad = 1;
}

static __device__ void look(float value, int *bad) {
    if (bad && !vkd_is_finite_float(value)) *bad = 1;
}

static __global__ void check(const float *x, size_t count, int *bad) {
    VKD_EACH(i, count) look(x[i], bad);
}

void vkd_gpu_check(const vkd_launch *launch, const float *x, size_t count, int *bad) {
    VKD_LAUNCH(check, vkd_blocks(count, launch->block), launch->block, launch, x, count, bad);
}

// ---- per row: a block owns a row
// ---------------------------------------------------------------------------------

static __device__ double row_mean(const float *x, int samples) {
    double sum = 0;
    for (int j = (int)threadIdx.x; j < samples; j += (int)blockDim.x)
        sum += x[j];
    return vkd_block_sum(sum) / samples;
}

static __device__ double row_variance(const float *x, int samples, double mean) {
    double sum = 0;
    for (int j = (int)threadIdx.x; j < samples; j += (int)blockDim.x)
        sum += (x[j] - mean) * (x[j] - mean);
    return vkd_block_sum(sum) / samples;
}

static __global__ void moments(const float *x, int rows, int samples, double *mean, double *variance,
                               int *bad) {
    for (int i = (int)blockIdx.x; i < rows; i += (int)gridDim.x) {
        const float *row = x + (size_t)i * samples;
        const double m = row_mean(row, samples), v = row_variance(row, samples, m);
        if (threadIdx.x != 0) continue;
        mean[i] = m;
        variance[i] = v;
        look(m, bad);
        look(v, bad);
    }
}

void vkd_gpu_moments(const vkd_launch *launch, const float *x, int rows, int samples, double *mean,
                     double *variance, int *bad) {
    VKD_LAUNCH(moments, vkd_blocks((size_t)rows, 1), launch->block, launch, x, rows, samples, mean, variance,
               bad);
}

static __global__ void blend(const vkd_device_state *state, double keep, size_t count, const double *value,
                             double *average) {
    if (state->bad_features) return;
    const double m = vkd_average_keep(state->batches, keep);
    VKD_EACH(i, count) average[i] = m * average[i] + (1 - m) * value[i];
}

void vkd_gpu_blend(const vkd_launch *launch, const vkd_device_state *state, double keep, size_t count,
                   const double *value, double *average) {
    VKD_LAUNCH(blend, vkd_blocks(count, launch->block), launch->block, launch, state, keep, count, value,
               average);
}

static __global__ void blend_second(const vkd_device_state *state, double keep, int n, bool whiten,
                                    const double *batch_mean, const double *mean, const double *value,
                                    double *average) {
    if (state->bad_features) return;
    const double m = vkd_average_keep(state->batches, keep);
    const size_t count = whiten ? (size_t)n * n : n;
    VKD_EACH(at, count) {
        const size_t i = whiten ? at / n : at, j = whiten ? at % n : at;
        const double spread = (batch_mean[i] - mean[i]) * (batch_mean[j] - mean[j]);
        average[at] = m * average[at] + (1 - m) * value[at] + m * (1 - m) * spread;
    }
}

void vkd_gpu_blend_second(const vkd_launch *launch, const vkd_device_state *state, double keep, int n,
                          bool whiten, const double *batch_mean, const double *mean, const double *value,
                          double *average) {
    const size_t count = whiten ? (size_t)n * n : n;
    VKD_LAUNCH(blend_second, vkd_blocks(count, launch->block), launch->block, launch, state, keep, n, whiten,
               batch_mean, mean, value, average);
}

static __global__ void make_scales(const vkd_device_state *state, int rows, const double *mean,
                                   const double *variance, double eps, float *offset, float *inv_std) {
    if (state->bad_features) return;
    VKD_EACH_COLUMN(i, rows) {
        offset[i] = (float)mean[i];
        inv_std[i] = (float)(1 / sqrt(variance[i] + eps));
    }
}

void vkd_gpu_make_scales(const vkd_launch *launch, const vkd_device_state *state, int rows,
                         const double *mean, const double *variance, double eps, float *offset,
                         float *inv_std) {
    VKD_LAUNCH(make_scales, vkd_blocks((size_t)rows, launch->block), launch->block, launch, state, rows, mean,
               variance, eps, offset, inv_std);
}

static __global__ void normalize(float *x, int rows, int samples, const float *offset, const float *inv_std,
                                 int *bad) {
    VKD_EACH_ROW(i, rows) {
        const float m = offset[i], s = inv_std ? inv_std[i] : 1;
        VKD_EACH_COLUMN(j, samples) {
            const float y = (x[(size_t)i * samples + j] - m) * s;
            x[(size_t)i * samples + j] = y;
            look(y, bad);
        }
    }
}

void vkd_gpu_normalize(const vkd_launch *launch, float *x, int rows, int samples, const float *offset,
                       const float *inv_std, int *bad) {
    VKD_LAUNCH(normalize, vkd_matrix_grid(rows, samples, launch->block), launch->block, launch, x, rows,
               samples, offset, inv_std, bad);
}

static __global__ void standardize(float *x, int rows, int samples, float eps, float *inv_std) {
    for (int i = (int)blockIdx.x; i < rows; i += (int)gridDim.x) {
        float *row = x + (size_t)i * samples;
        const double m = row_mean(row, samples), v = row_variance(row, samples, m);
        const float s = (float)(1 / sqrt(v + eps));
        // The mean in two floats: a channel far from zero keeps its digits.
        const float high = (float)m, low = (float)(m - high);
        if (threadIdx.x == 0) inv_std[i] = s;
        for (int j = (int)threadIdx.x; j < samples; j += (int)blockDim.x)
            row[j] = ((row[j] - high) - low) * s;
    }
}

void vkd_gpu_standardize(const vkd_launch *launch, float *x, int rows, int samples, float eps,
                         float *inv_std) {
    VKD_LAUNCH(standardize, vkd_blocks((size_t)rows, 1), launch->block, launch, x, rows, samples, eps,
               inv_std);
}

// d <- inv_std (d - mean(d) - y mean(d y)) (Ioffe, Szegedy 2015, section 3)
static __global__ void standardize_adjoint(float *d, const float *y, const float *inv_std, int rows,
                                           int samples, int *bad) {
    for (int i = (int)blockIdx.x; i < rows; i += (int)gridDim.x) {
        float *row = d + (size_t)i * samples;
        const float *out = y + (size_t)i * samples;
        double sum = 0, dot = 0;
        for (int j = (int)threadIdx.x; j < samples; j += (int)blockDim.x) {
            sum += row[j];
            dot += (double)row[j] * out[j];
        }
        const float m = (float)(vkd_block_sum(sum) / samples), p = (float)(vkd_block_sum(dot) / samples);
        const float s = inv_std[i];
        for (int j = (int)threadIdx.x; j < samples; j += (int)blockDim.x) {
            row[j] = s * (row[j] - m - out[j] * p);
            look(row[j], bad);
        }
    }
}

void vkd_gpu_standardize_adjoint(const vkd_launch *launch, float *d, const float *y, const float *inv_std,
                                 int rows, int samples, int *bad) {
    VKD_LAUNCH(standardize_adjoint, vkd_blocks((size_t)rows, 1), launch->block, launch, d, y, inv_std, rows,
               samples, bad);
}

// ---- per sample: neighbouring threads own neighbouring columns, and share each with the threads along y
// ----------

static dim3 tile(const vkd_launch *launch) {
    return dim3((unsigned)launch->columns, (unsigned)(launch->block / launch->columns), 1);
}

// The columns [begin, begin + blockDim.x) are walked by all threads alike, so that each meets every barrier.
#define EACH_TILE(begin, samples)                                                                            \
    for (int begin = (int)(blockIdx.x * blockDim.x); begin < (samples);                                      \
         begin += (int)(gridDim.x * blockDim.x))

static __global__ void layernorm(float *x, int rows, int samples, float eps, float *inv_std, int *bad) {
    EACH_TILE(begin, samples) {
        const int j = begin + (int)threadIdx.x, groups = (int)blockDim.y, group = (int)threadIdx.y;
        const int mine = j < samples ? rows : 0; // rows of this thread's column
        double sum = 0, squares = 0;
        for (int i = group; i < mine; i += groups)
            sum += x[(size_t)i * samples + j];
        const double mean = vkd_tile_sum(sum) / rows;
        for (int i = group; i < mine; i += groups) {
            const double d = x[(size_t)i * samples + j] - mean;
            squares += d * d;
        }
        const float s = (float)(1 / sqrt(vkd_tile_sum(squares) / rows + eps));
        const float high = (float)mean, low = (float)(mean - high);
        if (mine && group == 0) inv_std[j] = s;
        for (int i = group; i < mine; i += groups) {
            const float y = ((x[(size_t)i * samples + j] - high) - low) * s;
            x[(size_t)i * samples + j] = y;
            look(y, bad);
        }
    }
}

void vkd_gpu_layernorm(const vkd_launch *launch, float *x, int rows, int samples, float eps, float *inv_std,
                       int *bad) {
    VKD_LAUNCH(layernorm, vkd_blocks((size_t)samples, launch->columns), tile(launch), launch, x, rows,
               samples, eps, inv_std, bad);
}

// The same per sample (Ba, Kiros, Hinton 2016).
static __global__ void layernorm_adjoint(float *d, const float *y, const float *inv_std, int rows,
                                         int samples, int *bad) {
    EACH_TILE(begin, samples) {
        const int j = begin + (int)threadIdx.x, groups = (int)blockDim.y, group = (int)threadIdx.y;
        const int mine = j < samples ? rows : 0;
        double sum = 0, dot = 0;
        for (int i = group; i < mine; i += groups) {
            const size_t at = (size_t)i * samples + j;
            sum += d[at];
            dot += (double)d[at] * y[at];
        }
        const float m = (float)(vkd_tile_sum(sum) / rows), p = (float)(vkd_tile_sum(dot) / rows);
        for (int i = group; i < mine; i += groups) {
            const size_t at = (size_t)i * samples + j;
            d[at] = inv_std[j] * (d[at] - m - y[at] * p);
            look(d[at], bad);
        }
    }
}

void vkd_gpu_layernorm_adjoint(const vkd_launch *launch, float *d, const float *y, const float *inv_std,
                               int rows, int samples, int *bad) {
    VKD_LAUNCH(layernorm_adjoint, vkd_blocks((size_t)samples, launch->columns), tile(launch), launch, d, y,
               inv_std, rows, samples, bad);
}

// ---- one scale for all
// ---------------------------------------------------------------------------------------------

static __global__ void scale_by_gain(const vkd_device_state *state, float *x, size_t count) {
    const float gain = (float)state->gain;
    VKD_EACH(i, count) x[i] *= gain;
}

void vkd_gpu_gain(const vkd_launch *launch, const vkd_device_state *state, float *x, size_t count) {
    VKD_LAUNCH(scale_by_gain, vkd_blocks(count, launch->block), launch->block, launch, state, x, count);
}

static __global__ void gain_adjoint(const vkd_device_state *state, float *d, const float *x, size_t count,
                                    double *partial, int *bad) {
    const float gain = (float)state->gain;
    double sum = 0;
    VKD_EACH(i, count) {
        sum += (double)d[i] * x[i];
        d[i] *= gain;
        look(d[i], bad);
    }
    sum = vkd_block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

void vkd_gpu_gain_adjoint(const vkd_launch *launch, const vkd_device_state *state, float *d, const float *x,
                          size_t count, double *partial, int *bad) {
    VKD_LAUNCH(gain_adjoint, launch->parts, launch->block, launch, state, d, x, count, partial, bad);
}

// ---- covariance
// ----------------------------------------------------------------------------------------------------

static __global__ void centre_run(const float *x, int rows, int samples, int begin, int width,
                                  const double *mean, float *run) {
    VKD_EACH_ROW(i, rows) {
        VKD_EACH_COLUMN(j, width)
        run[(size_t)i * width + j] = (float)(x[(size_t)i * samples + begin + j] - mean[i]);
    }
}

void vkd_gpu_centre_run(const vkd_launch *launch, const float *x, int rows, int samples, int begin, int width,
                        const double *mean, float *run) {
    VKD_LAUNCH(centre_run, vkd_matrix_grid(rows, width, launch->block), launch->block, launch, x, rows,
               samples, begin, width, mean, run);
}

static __global__ void add_gram(const float *gram, int rows, int samples, bool first, double *second,
                                int *bad) {
    VKD_EACH_ROW(i, rows) {
        VKD_EACH_COLUMN(j, rows) {
            const size_t at = (size_t)i * rows + j, lower = i >= j ? at : (size_t)j * rows + i;
            second[at] = (first ? 0 : second[at]) + gram[lower] / (double)samples;
            look(second[at], bad);
        }
    }
}

void vkd_gpu_add_gram(const vkd_launch *launch, const float *gram, int rows, int samples, bool first,
                      double *second, int *bad) {
    VKD_LAUNCH(add_gram, vkd_matrix_grid(rows, rows, launch->block), launch->block, launch, gram, rows,
               samples, first, second, bad);
}
