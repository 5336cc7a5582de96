// The Stiefel manifold St(n,k): P (n,k) row-major, n >= k, P'P = I. Storage float32, work float64.
// Every function answers VKD_INVALID_ARGUMENT unless n >= k >= 1, and VKD_NOT_FINITE for an input
// that is not finite; its output is then unchanged.
#ifndef VKD_NUMERICS_STIEFEL_H
#define VKD_NUMERICS_STIEFEL_H

#include <stddef.h>

#include "numerics/rng.h"
#include "numerics/status.h"

// Doubles; enough for every function here.
size_t vkd_stiefel_workspace(int n, int k);

// P = a Haar-distributed point.
vkd_status vkd_stiefel_random(float *P, int n, int k, vkd_rng *rng, double *work);

// *defect = |P'P - I|_F.
vkd_status vkd_stiefel_defect(const float *P, int n, int k, double *defect, double *work);

// P <- P (3 I - P'P) / 2, one Newton-Schulz step towards the polar factor: a defect d becomes
// about 3/4 d^2, then rounding to float32.
vkd_status vkd_stiefel_polish(float *P, int n, int k, double *work);

// xi = G - P G'P, the gradient in the canonical metric, a tangent at P. xi may be G.
vkd_status vkd_stiefel_tangent_gradient(const float *P, // (n,k)
                                        const float *G, // (n,k) dL/dP
                                        float *xi,      // (n,k) =
                                        int n, int k, double *work);

// m <- m - P sym(P'm), the orthogonal projection onto the tangent space at P.
vkd_status vkd_stiefel_project(const float *P, // (n,k)
                               float *m,       // (n,k)
                               int n, int k, double *work);

// m <- mu * (m - P sym(P'm)) + (G - P G'P): a momentum that was tangent somewhere else is brought to P and
// takes in the gradient. For each update, hence in float32 throughout: what it makes is scaled down to a
// step.
vkd_status vkd_stiefel_momentum(const float *P, // (n,k)
                                const float *G, // (n,k) dL/dP
                                float mu,
                                float *m, // (n,k)
                                int n, int k, double *work);

#endif
