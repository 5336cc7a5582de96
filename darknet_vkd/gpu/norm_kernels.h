// Normalisations of sample matrices (rows,N) on the device: rows are channels, columns samples. The twins of
// numerics/normalize.h, core/target.h and core/student.h; statistics in float64. `bad`: set to 1 where a
// result is not finite, otherwise left; NULL: not looked for.
#ifndef VKD_GPU_NORM_KERNELS_H
#define VKD_GPU_NORM_KERNELS_H

#include "gpu/device.h"
#include "gpu/state.h"

#ifdef __cplusplus
extern "C" {
#endif

void vkd_gpu_check(const vkd_launch *launch, const float *x, // (count)
                   size_t count, int *bad);

// Mean and population variance of each row.
void vkd_gpu_moments(const vkd_launch *launch, const float *x, // (rows,N)
                     int rows, int samples,
                     double *mean,     // (rows) =
                     double *variance, // (rows) =
                     int *bad);

// average <- m average + (1 - m) value, m as vkd_target_observe has it after state->batches batches; `keep`:
// its limit, 0 for statistics=batch. Nothing where state->bad_features.
void vkd_gpu_blend(const vkd_launch *launch, const vkd_device_state *state, double keep, size_t count,
                   const double *value, // (count)
                   double *average);    // (count)
// The same for second moments about the means, with the spread of the two means; before the mean is blended.
void vkd_gpu_blend_second(const vkd_launch *launch, const vkd_device_state *state, double keep, int n,
                          bool whiten,              // (n,n), not (n)
                          const double *batch_mean, // (n)
                          const double *mean,       // (n) before this batch
                          const double *value,      // (n) or (n,n)
                          double *average);         // the same
// Then, of mode=standardize, what is applied: offset = mean, inv_std = 1 / sqrt(variance + eps).
void vkd_gpu_make_scales(const vkd_launch *launch, const vkd_device_state *state, int rows,
                         const double *mean,     // (rows)
                         const double *variance, // (rows)
                         double eps,
                         float *offset,   // (rows) =
                         float *inv_std); // (rows) =

// x <- (x - offset) inv_std per row; without inv_std (NULL) x - offset.
void vkd_gpu_normalize(const vkd_launch *launch, float *x, // (rows,N)
                       int rows, int samples,
                       const float *offset,  // (rows)
                       const float *inv_std, // (rows), or NULL
                       int *bad);

// In place, with the batch's own statistics.
void vkd_gpu_standardize(const vkd_launch *launch, float *x, // (rows,N)
                         int rows, int samples, float eps,
                         float *inv_std);                            // (rows) =
void vkd_gpu_standardize_adjoint(const vkd_launch *launch, float *d, // (rows,N) in place
                                 const float *y,                     // (rows,N)
                                 const float *inv_std,               // (rows)
                                 int rows, int samples, int *bad);

// In place, each sample over the rows.
void vkd_gpu_layernorm(const vkd_launch *launch, float *x, // (rows,N)
                       int rows, int samples, float eps,
                       float *inv_std, // (N) =
                       int *bad);
void vkd_gpu_layernorm_adjoint(const vkd_launch *launch, float *d, // (rows,N) in place
                               const float *y,                     // (rows,N)
                               const float *inv_std,               // (N)
                               int rows, int samples, int *bad);

// x <- gain x; then d <- gain d and the partial sums of <d, x> (of both as they came).
void vkd_gpu_gain(const vkd_launch *launch, const vkd_device_state *state, float *x, // (count)
                  size_t count);
void vkd_gpu_gain_adjoint(const vkd_launch *launch, const vkd_device_state *state,
                          float *d,       // (count) in place
                          const float *x, // (count)
                          size_t count,
                          double *partial, // (parts) =
                          int *bad);

// ---- for a covariance: a run of samples at a time, of which cuBLAS makes the products in float32 ----

// run (rows,width) = x[:, begin:begin + width] - mean.
void vkd_gpu_centre_run(const vkd_launch *launch, const float *x, // (rows,N)
                        int rows, int samples, int begin, int width,
                        const double *mean, // (rows)
                        float *run);        // (rows,width) =
// second += gram / samples, both triangles from gram's lower one; `first`: = instead.
void vkd_gpu_add_gram(const vkd_launch *launch, const float *gram, // (rows,rows), lower triangle
                      int rows, int samples, bool first,
                      double *second, // (rows,rows) +=
                      int *bad);

#ifdef __cplusplus
}
#endif

#endif
