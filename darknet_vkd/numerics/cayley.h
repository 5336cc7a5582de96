// The Cayley retraction on the Stiefel manifold in low-rank form, and its adjoint.
#ifndef VKD_NUMERICS_CAYLEY_H
#define VKD_NUMERICS_CAYLEY_H

#include <stddef.h>

#include "numerics/status.h"

// P <- (I - A/2)^-1 (I + A/2) P, A = Z P' - P Z', S = skew(P'D), Z = D - P S/2: for a tangent D the
// derivative of the step at D = 0 is D. O(n k^2 + k^3); D may have any rank; n >= k. Rounding in
// P'P is corrected on the way. D = 0 leaves P bit for bit. On failure P is unchanged.
// work: vkd_stiefel_workspace(n, k).
vkd_status vkd_stiefel_cayley(float *P,       // (n,k) in: base, out: new point
                              const float *D, // (n,k) tangent at P
                              int n, int k, double *work);

size_t vkd_stiefel_cayley_adjoint_workspace(int n, int k); // doubles

// dD = the gradient with respect to D, where G is the gradient at the point
// vkd_stiefel_cayley(P, D). P is the base. dD may be G or D.
vkd_status vkd_stiefel_cayley_adjoint(const float *P, // (n,k) base
                                      const float *D, // (n,k)
                                      const float *G, // (n,k)
                                      float *dD,      // (n,k) =
                                      int n, int k, double *work);

#endif
