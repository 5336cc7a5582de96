// The closest point of the Stiefel manifold to a matrix: the orthogonal Procrustes problem.
#ifndef VKD_NUMERICS_POLAR_H
#define VKD_NUMERICS_POLAR_H

#include <stddef.h>

#include "numerics/status.h"

size_t vkd_stiefel_polar_workspace(int n, int k); // doubles

// P = the orthonormal polar factor of C: it maximises <P, C> and minimises |P - C|_F over St(n,k).
// n >= k. Where C has rank below k the maximiser is not unique: P is the one nearest to `previous`, if that
// is not null, and one of them otherwise. *rank, if not null, tells: the singular values above n eps sigma_1,
// and above `precision` sigma_1, where C is known no better than that (0: to its last bit).
// VKD_NOT_FINITE if C is not finite. On failure P is unchanged. P may be previous.
vkd_status vkd_stiefel_polar(const double *C, // (n,k) row-major
                             int n, int k, double precision,
                             const float *previous, // (n,k), or null
                             float *P,              // (n,k) =
                             int *rank, double *work);

#endif
