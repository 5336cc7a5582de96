#include "numerics/polar.h"

#include <float.h>
#include <lapacke.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

enum { BLOCK = 32 };

// dgesdd with JOBZ = 'S' on a (k,n) matrix, n >= k, asks for 4 k^2 + 7 k + n at least; the rest lets
// it work in blocks.
static size_t svd_doubles(int n, int k) {
    return 4 * (size_t)k * k + 7 * (size_t)k + n + BLOCK * ((size_t)n + 2 * (size_t)k);
}

size_t vkd_stiefel_polar_workspace(int n, int k) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    return 3 * nk + kk + k + svd_doubles(n, k) + 8 * (size_t)k; // the last 8 k hold integers
}

// C = A S B' gives P = A B' (Schoenemann 1966; Higham 2008, theorems 8.1 and 8.4). By SVD and not by
// (C'C)^-1/2: squaring would lose the small singular values of an average over few samples.
vkd_status vkd_stiefel_polar(const double *C, int n, int k, float *P, int *rank, double *work) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    if (!vkd_all_finite_double(C, nk)) return VKD_NOT_FINITE;
    double *Ct = work, *At = Ct + nk, *product = At + nk, *B = product + nk, *sigma = B + kk;
    double *scratch = sigma + k;
    lapack_int *integers = (lapack_int *)(scratch + svd_doubles(n, k));

    // Row-major C is column-major C' = B S A': the left vectors come out as B (k,k) column-major, the
    // right ones as A' (k,n) column-major, which is A (n,k) row-major.
    memcpy(Ct, C, nk * sizeof *C);
    if (LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', k, n, Ct, k, sigma, B, k, At, k, scratch,
                            (lapack_int)svd_doubles(n, k), integers) != 0)
        return VKD_SINGULAR;
    vkd_gemm_nn(n, k, k, 1, At, k, B, k, 0, product, k); // B column-major is B' row-major
    if (!vkd_all_finite_double(product, nk)) return VKD_NOT_FINITE;
    vkd_narrow(product, nk, P);
    if (rank) {
        *rank = 0;
        for (int i = 0; i < k; ++i)
            *rank += sigma[i] > n * DBL_EPSILON * sigma[0];
    }
    return VKD_OK;
}
