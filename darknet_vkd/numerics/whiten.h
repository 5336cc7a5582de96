// Whitening of feature maps: zero mean and identity covariance over channels.
#ifndef VKD_NUMERICS_WHITEN_H
#define VKD_NUMERICS_WHITEN_H

#include <stddef.h>

#include "numerics/status.h"

typedef enum vkd_whitening { VKD_WHITEN_ZCA, VKD_WHITEN_CHOLESKY } vkd_whitening;

size_t vkd_covariance_workspace(int c); // doubles

// cov = population covariance over batch * hw samples, centred before the products.
vkd_status vkd_covariance(const float *x, // (batch,c,hw)
                          int batch, int c, int hw,
                          const double *mean, // (c)
                          double *cov,        // (c,c) =
                          double *work);

size_t vkd_whitening_matrix_workspace(int c); // doubles

// W such that y = W (x - mean) is white. Sigma = (1 - shrinkage) cov + shrinkage tr(cov)/c I, its
// eigenvalues raised to at least eps tr(cov)/c (eps itself where the trace is zero).
//   VKD_WHITEN_ZCA       W = Sigma^-1/2; with rank > 0 only the rank leading directions, the rest is 0
//   VKD_WHITEN_CHOLESKY  W = L^-1, Sigma = L L'; rank must be 0
// *kept = the directions kept whose eigenvalue stood above the floor; *condition = the largest over
// the smallest eigenvalue among the directions kept, after shrinkage and floor.
vkd_status vkd_whitening_matrix(const double *cov, // (c,c) symmetric
                                int c,
                                double shrinkage, // 0..1
                                int rank,         // 0 (all) .. c
                                double eps,       // > 0
                                vkd_whitening kind,
                                float *W, // (c,c) =
                                int *kept, double *condition, double *work);

// y = W (x - mean) for every sample. y is not x.
void vkd_whiten_apply(const float *x, // (batch,c,hw)
                      int batch, int c, int hw,
                      const float *W,    // (c,c)
                      const float *mean, // (c)
                      float *y,          // (batch,c,hw) =
                      float *scratch);   // (c,hw)

#endif
