#include "numerics/stiefel.h"

#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

enum { QR_BLOCK = 32 };

size_t vkd_stiefel_workspace(int n, int k) {
    const size_t nk = (size_t)n * (size_t)k, kk = (size_t)k * (size_t)k;
    return 2 * nk + kk + (2 + QR_BLOCK) * (size_t)k;
}

static vkd_status check(const float *P, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    return !vkd_all_finite(P, (size_t)n * k) ? VKD_NOT_FINITE : VKD_OK;
}

// QR of a Gaussian, Q multiplied by the signs of diag R (Mezzadri 2007, "How to generate random
// matrices from the classical compact groups"): without the signs Q is not Haar distributed.
vkd_status vkd_stiefel_random(float *P, int n, int k, vkd_rng *rng, double *work) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    double *Q = work; // (n,k) column-major
    double *tau = Q + (size_t)n * k, *sign = tau + k, *scratch = sign + k;
    for (size_t i = 0; i < (size_t)n * k; ++i)
        Q[i] = vkd_rng_normal(rng);
    const int lwork = QR_BLOCK * k;
    if (LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, n, k, Q, n, tau, scratch, lwork) != 0) return VKD_SINGULAR;
    for (int j = 0; j < k; ++j)
        sign[j] = Q[(size_t)j * n + j] < 0 ? -1 : 1;
    if (LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, n, k, k, Q, n, tau, scratch, lwork) != 0) return VKD_SINGULAR;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < k; ++j)
            P[(size_t)i * k + j] = (float)(sign[j] * Q[(size_t)j * n + i]);
    return VKD_OK;
}

vkd_status vkd_stiefel_defect(const float *P, int n, int k, double *defect, double *work) {
    const vkd_status status = check(P, n, k);
    if (status != VKD_OK) return status;
    double *Pd = work, *W = Pd + (size_t)n * k;
    vkd_widen(P, k, n, k, Pd, k);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, k, n, 1, Pd, k, 0, W, k);
    double sum = 0;
    for (int i = 0; i < k; ++i) {
        const double *row = W + (size_t)i * k, diagonal = row[i] - 1;
        double below = 0;
        for (int j = 0; j < i; ++j)
            below += row[j] * row[j];
        sum += diagonal * diagonal + 2 * below;
    }
    *defect = sqrt(sum);
    return VKD_OK;
}

// Newton-Schulz for the polar factor (Higham, "Functions of Matrices", 2008, eq. 8.20).
vkd_status vkd_stiefel_polish(float *P, int n, int k, double *work) {
    const vkd_status status = check(P, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    double *Pd = work, *next = Pd + nk, *W = next + nk;
    vkd_widen(P, k, n, k, Pd, k);
    vkd_gram(k, n, Pd, k, W);
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j)
            W[(size_t)i * k + j] = ((i == j ? 3 : 0) - W[(size_t)i * k + j]) / 2;
    vkd_gemm_nn(n, k, k, 1, Pd, k, W, k, 0, next, k);
    vkd_narrow(next, nk, P);
    return VKD_OK;
}

// Edelman, Arias, Smith 1998, eq. 2.53.
vkd_status vkd_stiefel_tangent_gradient(const float *P, const float *G, float *xi, int n, int k,
                                        double *work) {
    const vkd_status status = check(P, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite(G, nk)) return VKD_NOT_FINITE;
    double *Pd = work, *Gd = Pd + nk, *W = Gd + nk; // W = G'P
    vkd_widen(P, k, n, k, Pd, k);
    vkd_widen(G, k, n, k, Gd, k);
    vkd_gemm_tn(k, k, n, 1, Gd, k, Pd, k, 0, W, k);
    vkd_gemm_nn(n, k, k, -1, Pd, k, W, k, 1, Gd, k);
    vkd_narrow(Gd, nk, xi);
    return VKD_OK;
}

// Edelman, Arias, Smith 1998, eq. 2.3 and 2.4: the tangents at P are the D with sym(P'D) = 0.
vkd_status vkd_stiefel_project(const float *P, float *m, int n, int k, double *work) {
    const vkd_status status = check(P, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite(m, nk)) return VKD_NOT_FINITE;
    double *Pd = work, *md = Pd + nk, *W = md + nk;
    vkd_widen(P, k, n, k, Pd, k);
    vkd_widen(m, k, n, k, md, k);
    vkd_gemm_tn(k, k, n, 1, Pd, k, md, k, 0, W, k);
    for (int i = 0; i < k; ++i)
        for (int j = 0; j <= i; ++j) {
            const double s = (W[(size_t)i * k + j] + W[(size_t)j * k + i]) / 2;
            W[(size_t)i * k + j] = W[(size_t)j * k + i] = s;
        }
    vkd_gemm_nn(n, k, k, -1, Pd, k, W, k, 1, md, k);
    vkd_narrow(md, nk, m);
    return VKD_OK;
}

// In one formula: m <- mu m + G - P (mu sym(P'm) + G'P). For n = k every tangent is P times a skew matrix,
// and that is P skew(P'(mu m + 2 G)).
vkd_status vkd_stiefel_momentum(const float *P, const float *G, float mu, float *m, int n, int k,
                                double *work) {
    const vkd_status status = check(P, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite(G, nk) || !vkd_all_finite(m, nk)) return VKD_NOT_FINITE;
    void *scratch = work; // it has room for twice as many floats
    float *Y = scratch, *sum = Y + (size_t)k * k;
    const bool square = n == k;
    for (size_t i = 0; i < nk; ++i)
        sum[i] = mu * m[i] + (square ? 2 : 1) * G[i];
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, 0.5f * (square ? 1 : mu), P, k,
                square ? sum : m, k, 0, Y, k);
    vkd_add_transpose(Y, k, square ? -1 : 1);
    if (!square) cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, 1, G, k, P, k, 1, Y, k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, square ? 1 : -1, P, k, Y, k, !square, sum,
                k);
    if (!vkd_all_finite(sum, nk)) return VKD_NOT_FINITE;
    memcpy(m, sum, nk * sizeof *m);
    return VKD_OK;
}
