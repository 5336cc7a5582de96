// Sums and losses over sample matrices (rows,N) on the device: numerics/reduce.h, numerics/loss.h and what
// core/tap_loss.c does between its products. A sum is left as (parts) float64 partial sums, which
// step_kernels.h adds up; weights s (N) of the samples may be NULL for all 1.
#ifndef VKD_GPU_LOSS_KERNELS_H
#define VKD_GPU_LOSS_KERNELS_H

#include "gpu/device.h"

#ifdef __cplusplus
extern "C" {
#endif

// partial = the sums of squares of x; `add`: += instead.
void vkd_gpu_squares(const vkd_launch *launch, const float *x, // (count)
                     size_t count, bool add,
                     double *partial); // (parts) = or +=

// l2 under an isometry: from X and U = P'T, in dX, to
//     dX = 2c s (X - U)    weighted = sqrt(s) X    loss: sum s (x^2 - 2 x u)    stretch: sum s x^2
void vkd_gpu_isometric(const vkd_launch *launch, const float *X, // (rows,N)
                       int rows, int samples, float c,
                       const float *s,  // (N) or NULL
                       float *dX,       // (rows,N) in place
                       float *weighted, // (rows,N) =; not touched without s
                       double *loss,    // (parts) =
                       double *stretch  // (parts) =
);

// Z <- sqrt(s) Z.
void vkd_gpu_scale_by_roots(const vkd_launch *launch, float *Z, // (rows,N)
                            int rows, int samples,
                            const float *s); // (N)

// Any P and any loss: from P X, in e, to
//     e = s d'(P X - T)    loss: sum s d(P X - T)    stretch: sum s |P X|^2
void vkd_gpu_residual(const vkd_launch *launch, float *e, // (rows,N) in place
                      const float *T,                     // (rows,N)
                      int rows, int samples, bool smooth_l1,
                      const float *s, // (N) or NULL
                      double *loss,   // (parts) =
                      double *stretch // (parts) =
);

// e = -2 s T, what map=procrustes takes for the gradient at P X.
void vkd_gpu_pull_of_targets(const vkd_launch *launch, const float *T, // (rows,N)
                             int rows, int samples,
                             const float *s, // (N) or NULL
                             float *e);      // (rows,N) =

#ifdef __cplusplus
}
#endif

#endif
