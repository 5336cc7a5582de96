// Exponential of a dense matrix in float64, its Frechet derivative, and the exponential retraction
// on the Stiefel manifold in thin form.
#ifndef VKD_NUMERICS_MATRIX_EXP_H
#define VKD_NUMERICS_MATRIX_EXP_H

#include <stddef.h>

#include "numerics/status.h"

size_t vkd_matrix_exp_workspace(int m); // doubles

// E = exp(A). A and E do not overlap. VKD_NOT_FINITE if A is not finite or exp(A) overflows.
vkd_status vkd_matrix_exp(const double *A, // (m,m)
                          int m,
                          double *E, // (m,m)
                          double *work);

size_t vkd_matrix_exp_frechet_workspace(int m); // doubles

// L = d/dt exp(A + t X) at t = 0. The adjoint is the derivative at the transpose:
// <L(A, X), Y> = <X, L(A', Y)>.
vkd_status vkd_matrix_exp_frechet(const double *A, // (m,m)
                                  const double *X, // (m,m) direction
                                  int m,
                                  double *L, // (m,m)
                                  double *work);

// P <- exp(Z P' - P Z') P with S = skew(P'D), Z = D - P S/2: for a tangent D the derivative of the
// step at D = 0 is D, and the matrix in the exponential is skew for every D. Work is
// O(n k^2 + k^3); D may have any rank; n >= k. P'P is the identity up to rounding on entry, and the
// rounding is corrected on the way, so steps do not drift. D = 0 leaves P bit for bit.
// On failure P is unchanged. work: vkd_stiefel_workspace(n, k).
vkd_status vkd_stiefel_exp(float *P,       // (n,k) in: base, out: new point
                           const float *D, // (n,k) tangent at P
                           int n, int k, double *work);

size_t vkd_stiefel_exp_adjoint_workspace(int n, int k); // doubles

// dD = the gradient with respect to D, where G is the gradient at the point vkd_stiefel_exp(P, D).
// P is the base. dD may be G or D.
vkd_status vkd_stiefel_exp_adjoint(const float *P, // (n,k) base
                                   const float *D, // (n,k)
                                   const float *G, // (n,k)
                                   float *dD,      // (n,k) =
                                   int n, int k, double *work);

#endif
