// The maps P -> f(A) P where f takes a skew matrix to an orthogonal one: what matrix_exp and cayley share.
//
//     A = Z P' - P Z',  Z = D - P S/2,  S = skew(P'D) = (P'D - D'P)/2:  A is skew for every D, and A P = D
//     for a tangent D (Wen, Yin 2013, lemma 4).
//
// f is only ever applied to the smallest matrix that has A's action:
//
//     n >= 2k      M (2k,2k): A U = U M with U = [D/a, P], so f(A) P = U f(M) [0; I]. Nothing is n x n.
//     k < n < 2k   A (n,n) itself, smaller than 2k x 2k
//     n = k        S (k,k): A = P S P', f(A) P = P f(S) = (f(-S) P')'
#ifndef VKD_NUMERICS_SKEW_MAP_H
#define VKD_NUMERICS_SKEW_MAP_H

#include <stddef.h>

#include "numerics/status.h"

// Right-hand sides stand as rows, which are LAPACK's columns: C' = (f(M) R)' for R' (cols,m). A null Rt is
// [0, I], the last cols columns of f(M).
typedef struct vkd_skew_function {
    vkd_status (*forward)(const double *M, // (m,m)
                          int m,
                          const double *Rt, // (cols,m), or null
                          int cols,
                          double *Ct, // (cols,m) =
                          double *work);
    // The same C', and B = the gradient at M where dC is the gradient at C.
    vkd_status (*adjoint)(const double *M, int m, const double *Rt, int cols,
                          const double *dCt, // (cols,m)
                          double *Ct,        // (cols,m) =
                          double *B,         // (m,m) =
                          double *work);
    size_t (*workspace)(int m); // doubles, for either
} vkd_skew_function;

size_t vkd_skew_map_workspace(const vkd_skew_function *f, int n, int k);

// As in vkd_orthogonal_map.
vkd_status vkd_skew_map_forward(const vkd_skew_function *f, const double *P, const double *D, int n, int k,
                                double *V, double *work);
vkd_status vkd_skew_map_adjoint(const vkd_skew_function *f, const double *P, const double *D, const double *G,
                                int n, int k, double *dD, double *work);
vkd_status vkd_skew_map_square(const vkd_skew_function *f, const double *P, const double *M, int k, double *V,
                               double *work);

// S = skew(X): what A reads of X = P'D (tangent_frame.h). Along a tangent, C = [C1; C2] = f(M) [0; I] with
// M = [[S, I], [-F, 0]].
void vkd_skew_coordinates(const double *X, int k, double *S);

#endif
