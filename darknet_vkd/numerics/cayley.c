#include "numerics/cayley.h"

#include <lapacke.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/stiefel.h"
#include "numerics/stiefel_frame.h"

// Wen, Yin, "A feasible method for optimization with orthogonality constraints", Math. Program. 142
// (2013), lemma 4: with U = [Z, P], V = [P, -Z] and K = I - V'U/2, the new point is P + U T,
// T = K^-1 V'P. K comes from H = U'U, hence from the actual P'P.

// K (2k,2k) row-major, factored in place as its transpose (column-major for LAPACK).
static vkd_status factor(const double *H, int k, double *K, lapack_int *pivots) {
    const size_t k2 = 2 * (size_t)k;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            K[i * k2 + j] = (i == j) - H[(k + i) * k2 + j] / 2;
            K[i * k2 + k + j] = -H[(k + i) * k2 + k + j] / 2;
            K[(k + i) * k2 + j] = H[i * k2 + j] / 2;
            K[(k + i) * k2 + k + j] = (i == j) + H[i * k2 + k + j] / 2;
        }
    return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, 2 * k, 2 * k, K, 2 * k, pivots) == 0 ? VKD_OK : VKD_SINGULAR;
}

// Tt (k,2k) = (V'P)', solved in place to T' = (K^-1 V'P)'.
static vkd_status solve(const double *H, const double *K, const lapack_int *pivots, int k, double *Tt) {
    const size_t k2 = 2 * (size_t)k;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            Tt[i * k2 + j] = H[(k + j) * k2 + k + i]; // P'P
            Tt[i * k2 + k + j] = -H[j * k2 + k + i];  // -Z'P
        }
    return LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', 2 * k, k, K, 2 * k, pivots, Tt, 2 * k) == 0
               ? VKD_OK
               : VKD_SINGULAR;
}

static vkd_status check(const float *P, const float *D, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    return vkd_all_finite(P, nk) && vkd_all_finite(D, nk) ? VKD_OK : VKD_NOT_FINITE;
}

static int is_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return 0;
    return 1;
}

vkd_status vkd_stiefel_cayley(float *P, const float *D, int n, int k, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    if (is_zero(D, nk)) return VKD_OK;
    double *U = work, *next = U + 2 * nk, *H = next + nk, *K = H + 4 * kk, *Tt = K + 4 * kk;
    double *C = Tt + 2 * kk, *CN = C + 2 * kk, *N = CN + 2 * kk;
    lapack_int *pivots = (lapack_int *)(N + kk);
    vkd_stiefel_frame(P, D, n, k, U, H, N);
    if ((status = factor(H, k, K, pivots)) != VKD_OK) return status;
    if ((status = solve(H, K, pivots, k, Tt)) != VKD_OK) return status;
    for (int i = 0; i < 2 * k; ++i) // P + U T = U C, C = [0; I] + T
        for (int j = 0; j < k; ++j)
            C[(size_t)i * k + j] = (i == k + j) + Tt[(size_t)j * 2 * k + i];
    return vkd_stiefel_frame_finish(U, H, C, n, k, P, CN, N, next);
}

size_t vkd_stiefel_cayley_adjoint_workspace(int n, int k) {
    const size_t nk = (size_t)n * (size_t)k, kk = (size_t)k * (size_t)k;
    return 4 * nk + 20 * kk + 2 * (size_t)k;
}

// With N the correction of vkd_stiefel_frame_finish: Y = K^-T U'G N, B = Y T',
// dU = G N T' + V B/2, dV = P Y' + U B'/2, dZ = dU[:, :k] - dV[:, k:], that is
// dZ = G N T_1' - Z (B_21 + B_21')/2 + P ((B_11 - B_22')/2 - Y_2').
vkd_status vkd_stiefel_cayley_adjoint(const float *P, const float *D, const float *G, float *dD, int n, int k,
                                      double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k, k2 = 2 * (size_t)k;
    if (!vkd_all_finite(G, nk)) return VKD_NOT_FINITE;
    double *U = work, *Gd = U + 2 * nk, *dZ = Gd + nk, *H = dZ + nk, *K = H + 4 * kk, *Tt = K + 4 * kk;
    double *Yt = Tt + 2 * kk, *B = Yt + 2 * kk, *N = B + 4 * kk, *R = N + kk, *Q = R + kk;
    lapack_int *pivots = (lapack_int *)(Q + 2 * kk);
    vkd_stiefel_frame(P, D, n, k, U, H, N);
    if ((status = factor(H, k, K, pivots)) != VKD_OK) return status;
    if ((status = solve(H, K, pivots, k, Tt)) != VKD_OK) return status;
    vkd_stiefel_frame_correction(H, k, N);
    vkd_widen(G, k, n, k, Gd, k);

    vkd_gemm_tn(k, 2 * k, n, 1, Gd, k, U, 2 * k, 0, B, 2 * k); // G'U
    vkd_gemm_nn(k, 2 * k, k, 1, N, k, B, 2 * k, 0, Yt, 2 * k); // (U'G N)', N symmetric
    if (LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', 2 * k, k, K, 2 * k, pivots, Yt, 2 * k) != 0)
        return VKD_SINGULAR;
    vkd_gemm_tn(2 * k, 2 * k, k, 1, Yt, 2 * k, Tt, 2 * k, 0, B, 2 * k); // Y T'
    vkd_gemm_nn(k, k, k, 1, N, k, Tt, 2 * k, 0, R, k);                  // N T_1'
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            Q[(size_t)i * k + j] = -(B[(k + i) * k2 + j] + B[(k + j) * k2 + i]) / 2;
            Q[(size_t)(k + i) * k + j] = (B[i * k2 + j] - B[(k + j) * k2 + k + i]) / 2 - Yt[i * k2 + k + j];
        }
    return vkd_stiefel_frame_adjoint(U, Gd, R, Q, n, k, dD, dZ, N);
}
