#include "numerics/cayley.h"

#include <lapacke.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/skew_map.h"

// With K = I - M/2, (I - M/2)^-1 (I + M/2) = 2 K^-1 - I. In the thin form of skew_map.h this is the low-rank
// Cayley transform of Wen, Yin, "A feasible method for optimization with orthogonality constraints", Math.
// Program. 142 (2013), lemma 4.

static size_t function_workspace(int m) {
    return 3 * (size_t)m * (size_t)m + (size_t)m; // the last m hold the pivots
}

// K (m,m) row-major, which LAPACK reads as K', factored in place.
static vkd_status factor(const double *M, int m, double *K, lapack_int *pivots) {
    const size_t mm = (size_t)m * m;
    if (!vkd_all_finite_double(M, mm)) return VKD_NOT_FINITE;
    for (size_t i = 0; i < mm; ++i)
        K[i] = -M[i] / 2;
    for (int i = 0; i < m; ++i)
        K[(size_t)i * m + i] += 1;
    return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, m, m, K, m, pivots) == 0 ? VKD_OK : VKD_SINGULAR;
}

// Rt (cols,m) = (K^-1 [0; I])' = the last rows of K^-T.
static vkd_status last_columns(const double *K, const lapack_int *pivots, int m, int cols, double *Rt) {
    for (int i = 0; i < cols; ++i)
        for (int j = 0; j < m; ++j)
            Rt[(size_t)i * m + j] = j == m - cols + i;
    return LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', m, cols, K, m, pivots, Rt, m) == 0 ? VKD_OK
                                                                                         : VKD_SINGULAR;
}

// C (m,cols) = 2 K^-1 [0; I] - [0; I]
static void finish(const double *Rt, int m, int cols, double *C) {
    vkd_transpose(Rt, cols, m, C);
    for (size_t i = 0; i < (size_t)m * cols; ++i)
        C[i] *= 2;
    for (int j = 0; j < cols; ++j)
        C[(size_t)(m - cols + j) * cols + j] -= 1;
}

static vkd_status function_forward(const double *M, int m, int cols, double *C, double *work) {
    const size_t mm = (size_t)m * m;
    double *K = work, *Rt = K + mm;
    lapack_int *pivots = (lapack_int *)(work + 3 * mm);
    vkd_status status = factor(M, m, K, pivots);
    if (status == VKD_OK) status = last_columns(K, pivots, m, cols, Rt);
    if (status == VKD_OK) finish(Rt, m, cols, C);
    return status;
}

// d(2 K^-1) = K^-1 dM K^-1, hence B = (K^-T dC) (K^-1 [0; I])'.
static vkd_status function_adjoint(const double *M, int m, int cols, const double *dC, double *C, double *B,
                                   double *work) {
    const size_t mm = (size_t)m * m;
    double *K = work, *Rt = K + mm, *Yt = Rt + mm;
    lapack_int *pivots = (lapack_int *)(work + 3 * mm);
    vkd_status status = factor(M, m, K, pivots);
    if (status == VKD_OK) status = last_columns(K, pivots, m, cols, Rt);
    if (status != VKD_OK) return status;
    vkd_transpose(dC, m, cols, Yt); // column-major dC
    if (LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', m, cols, K, m, pivots, Yt, m) != 0) return VKD_SINGULAR;
    vkd_gemm_tn(m, m, cols, 1, Yt, m, Rt, m, 0, B, m);
    finish(Rt, m, cols, C);
    return VKD_OK;
}

static const vkd_skew_function function = {function_forward, function_adjoint, function_workspace};

static vkd_status forward(const double *P, const double *D, int n, int k, double *V, double *work) {
    return vkd_skew_map_forward(&function, P, D, n, k, V, work);
}

static vkd_status adjoint(const double *P, const double *D, const double *G, int n, int k, double *dD,
                          double *work) {
    return vkd_skew_map_adjoint(&function, P, D, G, n, k, dD, work);
}

static size_t workspace(int n, int k) {
    return vkd_skew_map_workspace(&function, n, k);
}

const vkd_orthogonal_map vkd_map_cayley = {forward, adjoint, workspace};
