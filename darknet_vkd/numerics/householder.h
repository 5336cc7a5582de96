// A product of k Householder reflectors.
#ifndef VKD_NUMERICS_HOUSEHOLDER_H
#define VKD_NUMERICS_HOUSEHOLDER_H

#include "numerics/orthogonal_map.h"

// V = B Q(X) with B the n x n completion of P by reflectors (B E = P, E the first k columns of the identity),
// X the strict lower trapezoid of B'D/2, and -Q(X) = H_1 ... H_k E, where H_j reflects along column j of E +
// X. Nothing n x n is formed, and all the work is in matrix products.
extern const vkd_orthogonal_map vkd_map_householder;

#endif
