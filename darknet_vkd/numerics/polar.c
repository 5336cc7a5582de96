#include "numerics/polar.h"

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

enum { BLOCK = 32 };

// Below it a decomposition of C itself costs less than its squared condition number would.
enum { SMALL = 64 * 64 };

// dgesdd with JOBZ = 'S' on a (k,n) matrix, n >= k, asks for 4 k^2 + 7 k + n at least; the rest lets
// it work in blocks.
static size_t svd_doubles(int n, int k) {
    return 4 * (size_t)k * k + 7 * (size_t)k + n + BLOCK * ((size_t)n + 2 * (size_t)k);
}

static size_t eigen_doubles(int k) {
    return 1 + 6 * (size_t)k + 2 * (size_t)k * k;
}

size_t vkd_stiefel_polar_workspace(int n, int k) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    return 3 * nk + 2 * kk + k + svd_doubles(n, k) + 8 * (size_t)k; // the last 8 k hold integers
}

typedef struct factors {
    double *At, *B, *sigma; // C = A S B': A (n,k) row-major, B' (k,k) row-major, S = diag(sigma) descending
} factors;

// Row-major C is column-major C' = B S A': the left vectors come out as B (k,k) column-major, the
// right ones as A' (k,n) column-major, which is A (n,k) row-major. C is destroyed.
static vkd_status decompose(double *C, int n, int k, factors f, double *scratch) {
    lapack_int *integers = (lapack_int *)(scratch + svd_doubles(n, k));
    return LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', k, n, C, k, f.sigma, f.B, k, f.At, k, scratch,
                               (lapack_int)svd_doubles(n, k), integers) == 0
               ? VKD_OK
               : VKD_SINGULAR;
}

static int numerical_rank(const double *sigma, int n, int k) {
    int rank = 0;
    for (int i = 0; i < k; ++i)
        rank += sigma[i] > n * DBL_EPSILON * sigma[0];
    return rank;
}

// C = A S B' gives P = A B' (Schoenemann 1966; Higham 2008, theorems 8.1 and 8.4).
//
// Of rank r < k: every maximiser is A_r B_r' + N, N an isometry from the kernel of C, spanned by B_0, into
// the complement of A_r. The nearest one to P_0 takes for N the polar factor of what P_0 does there, (I - A_r
// A_r') P_0 B_0 B_0'. Added to A_r B_r', with singular values of 1, that is one more decomposition.
static vkd_status by_svd(const double *C, int n, int k, const float *previous, double *P, int *rank,
                         double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    double *copy = work;
    factors f = {.At = copy + nk, .B = copy + 2 * nk, .sigma = copy + 2 * nk + kk};
    double *K = f.sigma + k, *scratch = K + kk;
    memcpy(copy, C, nk * sizeof *C);
    vkd_status status = decompose(copy, n, k, f, scratch);
    if (status != VKD_OK) return status;
    *rank = numerical_rank(f.sigma, n, k);
    const int r = *rank;
    if (r < k && previous) {
        const double *A = f.At, *B0 = f.B + (size_t)r * k; // B0 (k-r,k) = B_0'
        vkd_gemm_tn(k, k, k - r, 1, B0, k, B0, k, 0, K, k);
        vkd_widen(previous, k, n, k, copy, k);
        vkd_gemm_nn(n, k, k, 1, copy, k, K, k, 0, P, k);
        if (r > 0) { // P <- P - A_r A_r' P + A_r B_r'
            for (int i = 0; i < r; ++i)
                memcpy(K + (size_t)i * k, f.B + (size_t)i * k, (size_t)k * sizeof *K);
            vkd_gemm_tn(r, k, n, -1, A, k, P, k, 1, K, k);
            vkd_gemm_nn(n, k, r, 1, A, k, K, k, 1, P, k);
        }
        memcpy(copy, P, nk * sizeof *P);
        if ((status = decompose(copy, n, k, f, scratch)) != VKD_OK) return status;
    }
    vkd_gemm_nn(n, k, k, 1, f.At, k, f.B, k, 0, P, k); // B column-major is B' row-major
    return VKD_OK;
}

// P = C (C'C)^-1/2 (Higham 2008, eq. 8.3), then one Newton-Schulz step (eq. 8.20). Squaring loses small
// singular values, so VKD_SINGULAR where sigma_k/sigma_1 is below 1e-4: an error of eps cond^2 is then 2e-8.
static vkd_status by_eigenvalues(const double *C, int n, int k, double *P, double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    double *first = work, *V = first + nk, *F = V + kk, *lambda = F + kk, *scratch = lambda + k;
    lapack_int *integers = (lapack_int *)(scratch + eigen_doubles(k));
    vkd_gram(k, n, C, k, V);
    // Eigenvectors are LAPACK's columns, hence the rows of V here; eigenvalues ascend.
    if (LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', k, V, k, lambda, scratch,
                            (lapack_int)eigen_doubles(k), integers, 3 + 5 * k) != 0)
        return VKD_SINGULAR;
    if (!(lambda[0] > 1e-8 * lambda[k - 1]) || !vkd_is_finite(lambda[k - 1])) return VKD_SINGULAR;
    for (int i = 0; i < k; ++i)
        cblas_dscal(k, 1 / sqrt(sqrt(lambda[i])), V + (size_t)i * k, 1);
    vkd_gram(k, k, V, k, F); // V'diag V
    vkd_gemm_nn(n, k, k, 1, C, k, F, k, 0, first, k);
    vkd_gram(k, n, first, k, F);
    for (size_t i = 0; i < kk; ++i)
        F[i] = ((i % ((size_t)k + 1) == 0 ? 3 : 0) - F[i]) / 2;
    vkd_gemm_nn(n, k, k, 1, first, k, F, k, 0, P, k);
    return VKD_OK;
}

vkd_status vkd_stiefel_polar(const double *C, int n, int k, const float *previous, float *P, int *rank,
                             double *work) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite_double(C, nk)) return VKD_NOT_FINITE;
    double *product = work;
    int found = k;
    vkd_status status = VKD_SINGULAR;
    if (nk > SMALL) status = by_eigenvalues(C, n, k, product, work + nk);
    if (status != VKD_OK) status = by_svd(C, n, k, previous, product, &found, work + nk);
    if (status != VKD_OK) return status;
    if (!vkd_all_finite_double(product, nk)) return VKD_NOT_FINITE;
    vkd_narrow(product, nk, P);
    if (rank) *rank = found;
    return VKD_OK;
}
