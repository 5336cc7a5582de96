#include "numerics/householder.h"

#include <float.h>
#include <lapacke.h>
#include <math.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

enum { QR_BLOCK = 32 };

static vkd_status check(const float *P, const float *D, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    return vkd_all_finite(P, nk) && vkd_all_finite(D, nk) ? VKD_OK : VKD_NOT_FINITE;
}

// P + D = Q R by k reflectors in compact WY blocks (Schreiber, Van Loan 1989, as in LAPACK's geqrf
// and orgqr), the signs chosen so that diag R > 0. P'D is skew for a tangent D, so
// (P + D)'(P + D) = I + D'D and R is never singular.
static vkd_status factor(const float *P, const float *D, int n, int k,
                         double *Q,    // (n,k) column-major =
                         double *R,    // (k,k) column-major, upper triangle; null if not wanted
                         double *tail) // 2 k + QR_BLOCK k
{
    double *tau = tail, *sign = tau + k, *scratch = sign + k;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j) {
            const size_t at = (size_t)i * k + j;
            Q[(size_t)j * n + i] = (double)P[at] + D[at];
        }
    if (LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, n, k, Q, n, tau, scratch, QR_BLOCK * k) != 0)
        return VKD_SINGULAR;
    double largest = 0;
    for (int j = 0; j < k; ++j)
        largest = fmax(largest, fabs(Q[(size_t)j * n + j]));
    for (int j = 0; j < k; ++j) {
        const double r = Q[(size_t)j * n + j];
        if (!(fabs(r) > n * DBL_EPSILON * largest)) return VKD_SINGULAR;
        sign[j] = r < 0 ? -1 : 1;
    }
    if (R)
        for (int j = 0; j < k; ++j)
            for (int i = 0; i <= j; ++i)
                R[(size_t)j * k + i] = sign[i] * Q[(size_t)j * n + i];
    if (LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, n, k, k, Q, n, tau, scratch, QR_BLOCK * k) != 0)
        return VKD_SINGULAR;
    for (int j = 0; j < k; ++j)
        for (int i = 0; i < n; ++i)
            Q[(size_t)j * n + i] *= sign[j];
    return vkd_all_finite_double(Q, (size_t)n * k) ? VKD_OK : VKD_NOT_FINITE;
}

vkd_status vkd_stiefel_householder(float *P, const float *D, int n, int k, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    int zero = 1;
    for (size_t i = 0; i < nk && zero; ++i)
        zero = D[i] == 0;
    if (zero) return VKD_OK;
    double *Q = work;
    if ((status = factor(P, D, n, k, Q, NULL, Q + nk)) != VKD_OK) return status;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            P[(size_t)i * k + j] = (float)Q[(size_t)j * n + i];
    return VKD_OK;
}

size_t vkd_stiefel_householder_adjoint_workspace(int n, int k) {
    const size_t nk = (size_t)n * (size_t)k, kk = (size_t)k * (size_t)k;
    return 2 * nk + 2 * kk + (2 + QR_BLOCK) * (size_t)k;
}

// Adjoint of the orthonormal factor (Walter, Lehmann, Lamour 2012; Seeger et al. 2017, sec. 4.2, with
// no gradient at R): dD = (G + Q B) R^-T, B symmetric with the lower triangle of -G'Q.
vkd_status vkd_stiefel_householder_adjoint(const float *P, const float *D, const float *G, float *dD, int n,
                                           int k, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    if (!vkd_all_finite(G, nk)) return VKD_NOT_FINITE;
    double *Q = work, *Gd = Q + nk, *R = Gd + nk, *B = R + kk;
    if ((status = factor(P, D, n, k, Q, R, B + kk)) != VKD_OK) return status;
    vkd_widen(G, k, n, k, Gd, k);

    // Q is column-major: as a row-major (k,n) array it is Q'.
    vkd_gemm_nn(k, k, n, -1, Q, n, Gd, k, 0, B, k); // (-G'Q)', so its upper triangle is wanted
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < i; ++j)
            B[(size_t)i * k + j] = B[(size_t)j * k + i];
    vkd_gemm_tn(n, k, k, 1, Q, n, B, k, 1, Gd, k);
    // X R' = Gd; R column-major is R' row-major, lower.
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, n, k, 1, R, k, Gd, k);
    if (!vkd_all_finite_double(Gd, nk)) return VKD_NOT_FINITE;
    vkd_narrow(Gd, nk, dD);
    return VKD_OK;
}
