#include "numerics/tangent_frame.h"

#include <math.h>

#include "numerics/linalg.h"

bool vkd_frame_is_small(const vkd_frame *frame, int k) {
    static const double small = 0.5, rounding = 1e-4;
    double defect = 0;
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            const double e = frame->W[(size_t)i * k + j] - (i == j);
            defect += e * e;
        }
    return vkd_largest_row(frame->X, k) + sqrt(vkd_largest_row(frame->H, k)) <= small &&
           defect <= rounding * rounding;
}

size_t vkd_frame_workspace(int k) {
    return 8 * (size_t)k * (size_t)k;
}

// V = D C1 + P N (C2 - Y C1), and with X = P'N D the Gram matrix of D - P N X is F = D'D - X'X.
vkd_status vkd_frame_step(const vkd_tangent_map *map, const vkd_frame *frame, int k, double accuracy,
                          double *K, double *C, double *work) {
    const size_t kk = (size_t)k * k;
    double *N = work, *Y = N + kk, *S = Y + kk, *F = S + kk, *scratch = F + kk;
    for (size_t i = 0; i < kk; ++i)
        N[i] = -frame->W[i] / 2;
    for (int i = 0; i < k; ++i)
        N[(size_t)i * k + i] += 1.5;
    vkd_gemm_nn(k, k, k, 1, N, k, frame->X, k, 0, Y, k);
    vkd_gram(k, k, Y, k, F);
    for (size_t i = 0; i < kk; ++i)
        F[i] = frame->H[i] - F[i];
    map->coordinates(Y, k, S);
    for (size_t i = 0; i < kk; ++i)
        Y[i] -= S[i];
    double *C2 = K;
    const vkd_status status =
        map->step(S, F, sqrt(vkd_largest_row(frame->H, k)), accuracy, k, C, C2, scratch);
    if (status != VKD_OK) return status;
    vkd_gemm_nn(k, k, k, -1, Y, k, C, k, 1, C2, k);
    // N C2 - I = C2 - I + (N - I) C2
    for (int i = 0; i < k; ++i)
        N[(size_t)i * k + i] -= 1;
    vkd_gemm_nn(k, k, k, 1, N, k, C2, k, 0, S, k);
    for (int i = 0; i < k; ++i)
        S[(size_t)i * k + i] -= 1;
    for (size_t i = 0; i < kk; ++i)
        K[i] += S[i];
    return VKD_OK;
}
