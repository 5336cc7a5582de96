#include "numerics/polar.h"

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
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

static int numerical_rank(const double *sigma, int n, int k, double precision) {
    const double least = fmax(n * DBL_EPSILON, precision) * sigma[0];
    int rank = 0;
    for (int i = 0; i < k; ++i)
        rank += sigma[i] > least;
    return rank;
}

// C = A S B' gives P = A B' (Schoenemann 1966; Higham 2008, theorems 8.1 and 8.4).
//
// Of rank r < k: every maximiser is A_r B_r' + N, N an isometry from the kernel of C, spanned by B_0, into
// the complement of A_r. The nearest one to P_0 takes for N the polar factor of what P_0 does there, (I - A_r
// A_r') P_0 B_0 B_0'. Added to A_r B_r', with singular values of 1, that is one more decomposition.
static vkd_status by_svd(const double *C, int n, int k, double precision, const float *previous, double *P,
                         int *rank, double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    double *copy = work;
    factors f = {.At = copy + nk, .B = copy + 2 * nk, .sigma = copy + 2 * nk + kk};
    double *K = f.sigma + k, *scratch = K + kk;
    memcpy(copy, C, nk * sizeof *C);
    vkd_status status = decompose(copy, n, k, f, scratch);
    if (status != VKD_OK) return status;
    *rank = numerical_rank(f.sigma, n, k, precision);
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

// C = Q L', Q (n,k) orthonormal, L (k,k) lower triangular: CholeskyQR2 (Yamamoto, Nakatsukasa, Yanagisawa,
// Fukaya, "Roundoff error analysis of the CholeskyQR2 algorithm", ETNA 44, 2015), as accurate as
// Householder's while eps cond^2 is small, and all of it matrix products. C becomes Q.
static vkd_status by_cholesky(double *C, int n, int k, double *L, double *second) {
    for (int pass = 0; pass < 2; ++pass) {
        double *factor = pass ? second : L;
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, k, n, 1, C, k, 0, factor, k);
        // Row-major and lower is LAPACK's upper.
        if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', k, factor, k) != 0) return VKD_SINGULAR;
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, n, k, 1, factor, k, C,
                    k);
    }
    for (int i = 0; i < k; ++i)
        memset(L + (size_t)i * k + i + 1, 0, (size_t)(k - 1 - i) * sizeof *L);
    cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, k, k, 1, second, k, L, k);
    return VKD_OK;
}

// The largest singular value of X (k,k), from below: some steps of the power method on X'X. v (2,k) is
// scratch.
static double largest_singular_value(const double *X, int k, double *v) {
    enum { STEPS = 4 };
    double *w = v + k, norm = 0;
    for (int i = 0; i < k; ++i)
        v[i] = 1 + i % 3; // any vector that is not made to be orthogonal to the first singular one
    for (int step = 0; step < STEPS; ++step) {
        cblas_dgemv(CblasRowMajor, CblasNoTrans, k, k, 1 / cblas_dnrm2(k, v, 1), X, k, v, 1, 0, w, 1);
        norm = cblas_dnrm2(k, w, 1);
        cblas_dgemv(CblasRowMajor, CblasTrans, k, k, 1, X, k, w, 1, 0, v, 1);
    }
    return norm;
}

// X <- (zeta X + (zeta X)^-T)/2 with Y = X^-1; *moved = by how much.
static void newton_step(double *X, const double *Y, int k, double zeta, double *moved) {
    double sum = 0;
    for (int i0 = 0; i0 < k; i0 += VKD_LINE)
        for (int j0 = 0; j0 < k; j0 += VKD_LINE)
            for (int i = i0; i < k && i < i0 + VKD_LINE; ++i)
                for (int j = j0; j < k && j < j0 + VKD_LINE; ++j) {
                    double *x = X + (size_t)i * k + j;
                    const double next = (zeta * *x + Y[(size_t)j * k + i] / zeta) / 2, d = next - *x;
                    sum += d * d;
                    *x = next;
                }
    *moved = sqrt(sum);
}

// Y (k,k) = X^-1
static bool invert(const double *X, int k, bool is_lower, double *Y, double *scratch) {
    lapack_int *pivots = (lapack_int *)(scratch + BLOCK * (size_t)k);
    memcpy(Y, X, (size_t)k * k * sizeof *Y);
    if (is_lower) return LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', k, Y, k) == 0;
    return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, k, k, Y, k, pivots) == 0 &&
           LAPACKE_dgetri_work(LAPACK_COL_MAJOR, k, Y, k, pivots, scratch, BLOCK * k) == 0;
}

// X (k,k) becomes its polar factor: Newton's iteration (Higham 2008, eq. 8.17) with the scaling of Byers, Xu,
// "A new scaling for Newton's iteration for the polar decomposition and its backward stability", SIAM J.
// Matrix Anal. Appl. 30 (2008). It converges with any scale, so an estimate of the condition number will do
// for theirs. VKD_SINGULAR where that is above what by_cholesky bears.
static vkd_status by_newton(double *X, int k, bool is_lower, double *Y, double *scratch) {
    const double largest_condition = 1e6, near = 1e-5 * sqrt(k); // the step that finds it squares it: 1e-10
    enum { MOST = 30 };
    double spread = 0, zeta = 0, moved; // the singular values of zeta X lie in [1/sqrt(spread), sqrt(spread)]
    for (int i = 0; i < MOST; ++i) {
        if (!invert(X, k, is_lower && i == 0, Y, scratch)) return VKD_SINGULAR;
        if (i == 0) {
            const double largest = largest_singular_value(X, k, scratch),
                         inverse = largest_singular_value(Y, k, scratch);
            spread = largest * inverse;
            if (!(spread <= largest_condition)) return VKD_SINGULAR;
            zeta = sqrt(inverse / largest);
        } else {
            spread = (sqrt(spread) + 1 / sqrt(spread)) / 2;
            zeta = 1 / sqrt(spread);
        }
        newton_step(X, Y, k, zeta, &moved);
        if (moved <= near) return VKD_OK;
    }
    return VKD_SINGULAR;
}

// C = Q L' gives P = Q polar(L').
static vkd_status by_iteration(const double *C, int n, int k, double *P, double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    double *Q = work, *L = Q + nk, *Y = L + kk, *scratch = Y + kk;
    if (n == k) {
        memcpy(P, C, kk * sizeof *C);
        return by_newton(P, k, false, Y, scratch);
    }
    memcpy(Q, C, nk * sizeof *C);
    vkd_status status = by_cholesky(Q, n, k, L, Y);
    if (status == VKD_OK) status = by_newton(L, k, true, Y, scratch);
    if (status == VKD_OK) vkd_gemm_nt(n, k, k, 1, Q, k, L, k, 0, P, k);
    return status;
}

vkd_status vkd_stiefel_polar(const double *C, int n, int k, double precision, const float *previous, float *P,
                             int *rank, double *work) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite_double(C, nk)) return VKD_NOT_FINITE;
    double *product = work;
    int found = k;
    vkd_status status = by_iteration(C, n, k, product, work + nk);
    if (status != VKD_OK) status = by_svd(C, n, k, precision, previous, product, &found, work + nk);
    if (status != VKD_OK) return status;
    if (!vkd_all_finite_double(product, nk)) return VKD_NOT_FINITE;
    vkd_narrow(product, nk, P);
    if (rank) *rank = found;
    return VKD_OK;
}
