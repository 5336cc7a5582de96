// The QR retraction on the Stiefel manifold as a product of k Householder reflectors, and its
// adjoint. Same arguments and same promises as the other two retractions.
#ifndef VKD_NUMERICS_HOUSEHOLDER_H
#define VKD_NUMERICS_HOUSEHOLDER_H

#include <stddef.h>

#include "numerics/status.h"

// P <- the orthonormal factor of P + D = Q R with diag R > 0: for a tangent D the derivative of the
// step at D = 0 is D. About 4 n k^2. D may have any rank; n >= k. VKD_SINGULAR where P + D has
// dependent columns, which no tangent D allows. D = 0 leaves P bit for bit. On failure P is
// unchanged. work: vkd_stiefel_workspace(n, k).
vkd_status vkd_stiefel_householder(float *P,       // (n,k) in: base, out: new point
                                   const float *D, // (n,k) tangent at P
                                   int n, int k, double *work);

size_t vkd_stiefel_householder_adjoint_workspace(int n, int k); // doubles

// dD = the gradient with respect to D, where G is the gradient at the point
// vkd_stiefel_householder(P, D). P is the base. dD may be G or D.
vkd_status vkd_stiefel_householder_adjoint(const float *P, // (n,k) base
                                           const float *D, // (n,k)
                                           const float *G, // (n,k)
                                           float *dD,      // (n,k) =
                                           int n, int k, double *work);

#endif
