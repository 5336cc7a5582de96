#include "numerics/stiefel_frame.h"

#include "numerics/finite.h"
#include "numerics/linalg.h"

// S <- scale * (S - S') / 2, in place.
static void scaled_skew(double *S, int k, double scale) {
    for (int i = 0; i < k; ++i) {
        S[(size_t)i * k + i] = 0;
        for (int j = 0; j < i; ++j) {
            const double s = scale * (S[(size_t)i * k + j] - S[(size_t)j * k + i]) / 2;
            S[(size_t)i * k + j] = s;
            S[(size_t)j * k + i] = -s;
        }
    }
}

void vkd_stiefel_frame(const float *P, const float *D, int n, int k, double *U, double *H, double *S) {
    const int k2 = 2 * k;
    vkd_widen(D, k, n, k, U, k2);
    vkd_widen(P, k, n, k, U + k, k2);
    vkd_gemm_tn(k, k, n, 1, U + k, k2, U, k2, 0, S, k);
    scaled_skew(S, k, 1);
    vkd_gemm_nn(n, k, k, -0.5, U + k, k2, S, k, 1, U, k2);
    vkd_gram(k2, n, U, k2, H);
}

void vkd_stiefel_frame_correction(const double *H, int k, double *N) {
    const double *W = H + (size_t)k * 2 * k + k;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j)
            N[(size_t)i * k + j] = ((i == j ? 3 : 0) - W[(size_t)i * 2 * k + j]) / 2;
}

vkd_status vkd_stiefel_frame_finish(const double *U, const double *H, const double *C, int n, int k, float *P,
                                    double *CN, double *N, double *next) {
    const int k2 = 2 * k;
    vkd_stiefel_frame_correction(H, k, N);
    vkd_gemm_nn(k2, k, k, 1, C, k, N, k, 0, CN, k);
    vkd_gemm_nn(n, k, k2, 1, U, k2, CN, k, 0, next, k);
    if (!vkd_all_finite_double(next, (size_t)n * k)) return VKD_NOT_FINITE;
    vkd_narrow(next, (size_t)n * k, P);
    return VKD_OK;
}

vkd_status vkd_stiefel_frame_adjoint(const double *U, const double *G, const double *R, const double *Q,
                                     int n, int k, float *dD, double *dZ, double *S) {
    const int k2 = 2 * k;
    vkd_gemm_nn(n, k, k, 1, G, k, R, k, 0, dZ, k);
    vkd_gemm_nn(n, k, k2, 1, U, k2, Q, k, 1, dZ, k);
    vkd_gemm_tn(k, k, n, 1, U + k, k2, dZ, k, 0, S, k);
    scaled_skew(S, k, 0.5);
    vkd_gemm_nn(n, k, k, -1, U + k, k2, S, k, 1, dZ, k);
    if (!vkd_all_finite_double(dZ, (size_t)n * k)) return VKD_NOT_FINITE;
    vkd_narrow(dZ, (size_t)n * k, dD);
    return VKD_OK;
}
