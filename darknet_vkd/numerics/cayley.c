#include "numerics/cayley.h"

#include <lapacke.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/skew_map.h"

// With K = I - M/2, (I - M/2)^-1 (I + M/2) = 2 K^-1 - I. In the thin form of skew_map.h this is the low-rank
// Cayley transform of Wen, Yin, "A feasible method for optimization with orthogonality constraints", Math.
// Program. 142 (2013), lemma 4.

static size_t function_workspace(int m) {
    return 2 * (size_t)m * (size_t)m + (size_t)m; // the last m hold the pivots
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

// Ct += scale * Rt, where null stands for [0, I].
static void add_sides(const double *Rt, int m, int cols, double scale, double *Ct) {
    if (Rt)
        cblas_daxpy(cols * m, scale, Rt, 1, Ct, 1);
    else
        for (int i = 0; i < cols; ++i)
            Ct[(size_t)i * m + m - cols + i] += scale;
}

// Ct (cols,m) = (2 K^-1 R - R)'
static vkd_status solve(const double *K, const lapack_int *pivots, int m, const double *Rt, int cols,
                        double *Ct) {
    memset(Ct, 0, (size_t)cols * m * sizeof *Ct);
    add_sides(Rt, m, cols, 2, Ct);
    if (LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', m, cols, K, m, pivots, Ct, m) != 0) return VKD_SINGULAR;
    add_sides(Rt, m, cols, -1, Ct);
    return VKD_OK;
}

static vkd_status function_forward(const double *M, int m, const double *Rt, int cols, double *Ct,
                                   double *work) {
    double *K = work;
    lapack_int *pivots = (lapack_int *)(K + (size_t)m * m);
    const vkd_status status = factor(M, m, K, pivots);
    return status == VKD_OK ? solve(K, pivots, m, Rt, cols, Ct) : status;
}

// d(2 K^-1) = K^-1 dM K^-1, hence B = (K^-T dC) (K^-1 R)' = (K^-T dC) (C + R)'/2.
static vkd_status function_adjoint(const double *M, int m, const double *Rt, int cols, const double *dCt,
                                   double *Ct, double *B, double *work) {
    double *K = work, *Yt = K + (size_t)m * m;
    lapack_int *pivots = (lapack_int *)(Yt + (size_t)m * m);
    vkd_status status = factor(M, m, K, pivots);
    if (status == VKD_OK) status = solve(K, pivots, m, Rt, cols, Ct);
    if (status != VKD_OK) return status;
    memcpy(Yt, dCt, (size_t)cols * m * sizeof *Yt);
    if (LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', m, cols, K, m, pivots, Yt, m) != 0) return VKD_SINGULAR;
    add_sides(Rt, m, cols, 1, Ct);
    vkd_gemm_tn(m, m, cols, 0.5, Yt, m, Ct, m, 0, B, m);
    add_sides(Rt, m, cols, -1, Ct);
    return VKD_OK;
}

// K [y; x] = [0; I] by blocks: x = I - F y/2 leaves (I - S/2 + F/4) y = I/2, a k x k system. C1 = 2 y, C2 = 2
// x - I.
static vkd_status tangent_step(const double *S, const double *F, double size, double accuracy, int k,
                               double *C1, double *C2, double *scratch) {
    (void)size;
    (void)accuracy;
    const size_t kk = (size_t)k * k;
    double *K = scratch;
    lapack_int *pivots = (lapack_int *)(K + kk); // (k) in room for (3k,k)
    if (!vkd_all_finite_double(S, kk) || !vkd_all_finite_double(F, kk)) return VKD_NOT_FINITE;
    for (size_t i = 0; i < kk; ++i) {
        K[i] = S[i] / -2 + F[i] / 4;
        C1[i] = C2[i] = 0;
    }
    for (int i = 0; i < k; ++i) {
        K[(size_t)i * k + i] += 1;
        C1[(size_t)i * k + i] = C2[(size_t)i * k + i] = 1;
    }
    // Row-major K is LAPACK's K', and so is C1: K' read as columns, y' as columns, is the same system.
    if (LAPACKE_dgesv_work(LAPACK_COL_MAJOR, k, k, K, k, pivots, C1, k) != 0) return VKD_SINGULAR;
    vkd_gemm_nn(k, k, k, -0.5, F, k, C1, k, 1, C2, k);
    return VKD_OK;
}

static const vkd_skew_function function = {function_forward, function_adjoint, function_workspace};
static const vkd_tangent_map tangent = {vkd_skew_coordinates, tangent_step};

static vkd_status forward(const double *P, const double *D, int n, int k, double *V, double *work) {
    return vkd_skew_map_forward(&function, P, D, n, k, V, work);
}

static vkd_status adjoint(const double *P, const double *D, const double *G, int n, int k, double *dD,
                          double *work) {
    return vkd_skew_map_adjoint(&function, P, D, G, n, k, dD, work);
}

static vkd_status square(const double *P, const double *M, int k, double *V, double *work) {
    return vkd_skew_map_square(&function, P, M, k, V, work);
}

// P (I + S/2) (I - S/2)^-1 - P = D (I - S/2)^-1. Row-major, LAPACK sees (I - S/2)' and D', which is that
// system.
static vkd_status square_step(float *S, int k, float *X, int *pivots) {
    const size_t kk = (size_t)k * k;
    for (size_t i = 0; i < kk; ++i)
        S[i] *= -0.5f;
    for (int i = 0; i < k; ++i)
        S[(size_t)i * k + i] += 1;
    return LAPACKE_sgesv_work(LAPACK_COL_MAJOR, k, k, S, k, pivots, X, k) == 0 ? VKD_OK : VKD_SINGULAR;
}

static size_t workspace(int n, int k) {
    return vkd_skew_map_workspace(&function, n, k);
}

// ---- any tangent for n > k, with n x k products in float32
//
// With X = P'D, S = skew(X) and B = D - P X, which is all that A reads of D, the same elimination gives
//
//     V = Y - P,  Y = (B + 2 P) C,  C = K^-1,  K = I - S/2 + B'B/4
//
// as P + B + (B + 2 P)(C - I), whose rounding is relative to the step. dC = -C dK C and (B + 2 P)'(G C') =
// C^-T (Y'G C') leave T = Y'G C' as the one product that both derivatives need: S has T/2 and K has -T for
// its gradient, hence
//
//     dD = G C' - B (T + T')/4 + P ((T - T')/4 - P'G C')

// (n,k) each, and C - I (k,k).
typedef struct kept {
    float *Y, *B, *E;
} kept;

static kept kept_in(float *room, int n, int k) {
    const size_t nk = (size_t)n * k;
    return (kept){room, room + nk, room + 2 * nk};
}

static size_t single_kept(int n, int k) {
    return (2 * (size_t)n + (size_t)k) * (size_t)k;
}

static size_t single_workspace(int n, int k) {
    return ((size_t)n + 2 * (size_t)k + 1) * (size_t)k;
}

// K (k,k) <- K^-1 - I; scratch (k,k).
static vkd_status invert(double *K, int k, double *scratch, lapack_int *pivots) {
    if (LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, k, k, K, k, pivots) != 0) return VKD_SINGULAR;
    if (LAPACKE_dgetri_work(LAPACK_COL_MAJOR, k, K, k, pivots, scratch, k * k) != 0) return VKD_SINGULAR;
    for (int i = 0; i < k; ++i)
        K[(size_t)i * k + i] -= 1;
    return VKD_OK;
}

static vkd_status single_forward(const float *P, const float *D, int n, int k, float *V, float *room,
                                 double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    const kept to = kept_in(room, n, k);
    double *K = work, *scratch = K + kk;
    lapack_int *pivots = (lapack_int *)(scratch + kk);
    float *X = to.E, *H = X; // one after the other
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, 1, P, k, D, k, 0, X, k);
    for (size_t i = 0; i < (size_t)k; ++i)
        for (size_t j = 0; j < (size_t)k; ++j)
            K[i * k + j] = ((double)X[j * k + i] - X[i * k + j]) / 4;
    memcpy(to.B, D, nk * sizeof *D);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, -1, P, k, X, k, 1, to.B, k);
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, k, n, 1, to.B, k, 0, H, k);
    for (size_t i = 0; i < (size_t)k; ++i)
        for (size_t j = 0; j < (size_t)k; ++j)
            K[i * k + j] += H[i > j ? i * k + j : j * k + i] / 4.;
    for (int i = 0; i < k; ++i)
        K[(size_t)i * k + i] += 1;
    if (!vkd_all_finite_double(K, kk)) return VKD_NOT_FINITE;
    const vkd_status status = invert(K, k, scratch, pivots);
    if (status != VKD_OK) return status;
    vkd_narrow(K, kk, to.E);
    void *room_for_floats = scratch;
    float *L = room_for_floats;
    for (size_t i = 0; i < nk; ++i) {
        L[i] = to.B[i] + 2 * P[i];
        to.Y[i] = to.B[i] + P[i];
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, 1, L, k, to.E, k, 1, to.Y, k);
    if (!vkd_all_finite(to.Y, nk)) return VKD_NOT_FINITE;
    memcpy(V, to.Y, nk * sizeof *V);
    for (size_t i = 0; i < nk; ++i)
        to.Y[i] += P[i];
    return VKD_OK;
}

static vkd_status single_adjoint(const float *P, const float *G, int n, int k, const float *room, float *dD,
                                 double *work) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    const float *Y = room, *B = Y + nk, *E = B + nk;
    void *room_for_floats = work;
    float *sum = room_for_floats, *T = sum + nk, *Q = T + kk;
    memcpy(sum, G, nk * sizeof *G);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, k, k, 1, G, k, E, k, 1, sum, k);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, 0.25f, Y, k, sum, k, 0, T, k);
    memcpy(Q, T, kk * sizeof *Q);
    vkd_add_transpose(Q, k, -1);
    vkd_add_transpose(T, k, 1);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, -1, P, k, sum, k, 1, Q, k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, -1, B, k, T, k, 1, sum, k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, 1, P, k, Q, k, 1, sum, k);
    if (!vkd_all_finite(sum, nk)) return VKD_NOT_FINITE;
    memcpy(dD, sum, nk * sizeof *dD);
    return VKD_OK;
}

static const vkd_single_map single = {single_kept, single_workspace, single_forward, single_adjoint};

// ---- a square P, D = P S
//
// With K = I - S/2 and H = P K^-1, V = P (2 K^-1 - I) = 2 H - P and dV = H dS K^-1, hence X = H'G K^-T. K is
// factored in float64, and its factors serve both solves in float32: against the exact V they leave 3 eps32
// for steps up to a radian a column, where float32 products with K^-1 - I are worse for large steps.

// H and the factors (k,k), and the pivots (k).
typedef struct square_point {
    float *H, *factors;
    lapack_int *pivots;
} square_point;

static square_point square_point_in(float *room, int k) {
    const size_t kk = (size_t)k * k;
    void *rest = room + 2 * kk;
    return (square_point){room, room + kk, rest};
}

static size_t square_kept(int k) {
    _Static_assert(sizeof(lapack_int) == sizeof(float), "pivots lie among floats");
    return (2 * (size_t)k + 1) * (size_t)k;
}

static size_t square_workspace(int k) {
    return (size_t)k * (size_t)k;
}

// LAPACK, which reads columns, sees K' and H' of K'H' = P'.
static vkd_status square_forward(const float *P, const float *S, int k, float *V, float *room, double *work) {
    const size_t kk = (size_t)k * k;
    const square_point to = square_point_in(room, k);
    double *K = work;
    if (!vkd_all_finite(S, kk)) return VKD_NOT_FINITE;
    for (size_t i = 0; i < kk; ++i)
        K[i] = S[i] / -2.;
    for (int i = 0; i < k; ++i)
        K[(size_t)i * k + i] += 1;
    if (LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, k, k, K, k, to.pivots) != 0) return VKD_SINGULAR;
    vkd_narrow(K, kk, to.factors);
    memcpy(to.H, P, kk * sizeof *P);
    const lapack_int info =
        LAPACKE_sgetrs_work(LAPACK_COL_MAJOR, 'N', k, k, to.factors, k, to.pivots, to.H, k);
    if (info != 0) return VKD_SINGULAR;
    if (!vkd_all_finite(to.H, kk)) return VKD_NOT_FINITE;
    for (size_t i = 0; i < kk; ++i)
        V[i] = 2 * to.H[i] - P[i];
    return VKD_OK;
}

static vkd_status square_adjoint(const float *G, int k, const float *room, float *dS, double *work) {
    const size_t kk = (size_t)k * k;
    const float *H = room, *factors = H + kk;
    const void *pivots = factors + kk;
    void *scratch = work;
    float *X = scratch;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, k, 1, H, k, G, k, 0, X, k);
    if (LAPACKE_sgetrs_work(LAPACK_COL_MAJOR, 'T', k, k, factors, k, pivots, X, k) != 0) return VKD_SINGULAR;
    if (!vkd_all_finite(X, kk)) return VKD_NOT_FINITE;
    vkd_add_transpose(X, k, -1);
    memcpy(dS, X, kk * sizeof *dS);
    return VKD_OK;
}

static const vkd_square_map in_coordinates = {square_kept, square_workspace, square_forward, square_adjoint};

const vkd_orthogonal_map vkd_map_cayley = {.forward = forward,
                                           .adjoint = adjoint,
                                           .workspace = workspace,
                                           .square = square,
                                           .tangent = &tangent,
                                           .square_step = square_step,
                                           .single = &single,
                                           .in_coordinates = &in_coordinates};
