// Exponential of a dense matrix in float64 and its Frechet derivative.
#ifndef VKD_NUMERICS_MATRIX_EXP_H
#define VKD_NUMERICS_MATRIX_EXP_H

#include <stddef.h>

#include "numerics/orthogonal_map.h"
#include "numerics/status.h"

// P -> exp(A) P with the skew A of skew_map.h.
extern const vkd_orthogonal_map vkd_map_matrix_exp;

size_t vkd_matrix_exp_workspace(int m); // doubles

// E = exp(A). A and E do not overlap. VKD_NOT_FINITE if A is not finite or exp(A) overflows.
vkd_status vkd_matrix_exp(const double *A, // (m,m)
                          int m,
                          double *E, // (m,m)
                          double *work);

size_t vkd_matrix_exp_frechet_workspace(int m); // doubles

// E = exp(A) and L = d/dt exp(A + t X) at t = 0, at about three times the cost of E. The adjoint is the
// derivative at the transpose: <L(A, X), Y> = <X, L(A', Y)>. No two of the arrays overlap.
vkd_status vkd_matrix_exp_frechet(const double *A, // (m,m)
                                  const double *X, // (m,m) direction
                                  int m,
                                  double *E, // (m,m)
                                  double *L, // (m,m)
                                  double *work);

#endif
