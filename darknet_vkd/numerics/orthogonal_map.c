#include "numerics/orthogonal_map.h"

#include <stdbool.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"
#include "numerics/reduce.h"
#include "numerics/rng.h"

// Of the k x k series behind a result in float64 and in float32.
static const double accuracy_double = 1e-15, accuracy_single = 1e-11;

enum { FRAME = 5 }; // k x k matrices: X, W, H, K, C

size_t vkd_map_forward_workspace(const vkd_orthogonal_map *map, int n, int k) {
    const size_t frame = FRAME * (size_t)k * (size_t)k + vkd_frame_workspace(k), other = map->workspace(n, k);
    return frame > other ? frame : other;
}

size_t vkd_map_workspace(const vkd_orthogonal_map *map, int n, int k) {
    const size_t shell = 4 * (size_t)n * (size_t)k + vkd_map_forward_workspace(map, n, k);
    size_t other = 0;
    if (n > k && map->single) other = map->single->workspace(n, k);
    if (n == k && map->in_coordinates) other = map->in_coordinates->workspace(k);
    return shell > other ? shell : other;
}

static vkd_status check(const float *P, const float *D, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    return vkd_all_finite(P, nk) && vkd_all_finite(D, nk) ? VKD_OK : VKD_NOT_FINITE;
}

static vkd_status narrow(const double *x, size_t n, float *y) {
    if (!vkd_all_finite_double(x, n)) return VKD_NOT_FINITE;
    vkd_narrow(x, n, y);
    return VKD_OK;
}

// From here on products in float32 are worth it.
enum { LARGE = 1 << 15 };

// P (k,k) in float64 and as given; M = skew(D'P) through a float32 product.
static vkd_status forward_square(const vkd_orthogonal_map *map, const double *Pd, const float *P,
                                 const float *D, int k, double *M, double *V) {
    void *scratch = V; // it has room for twice as many floats
    float *product = scratch;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, k, 1, D, k, P, k, 0, product, k);
    vkd_widen(product, k, k, k, M, k);
    vkd_skew_part(M, k, 1);
    return map->square(Pd, M, k, V, V + (size_t)k * k);
}

// Whether D = P S but for rounding, S = P'D: seen from what the two make of two vectors of signs, for which
// the square of the difference's length has the square of |D - P S|_F as its mean.
static bool is_tangent(const float *P, const float *D, const float *S, int k, float *scratch) {
    static const double rounding = 1e-6;
    float *v = scratch, *Sv = v + k, *PSv = Sv + k, *Dv = PSv + k;
    vkd_rng rng;
    vkd_rng_seed(&rng, 0, 0, 0);
    double length = 0, difference = 0;
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < k; ++i)
            v[i] = vkd_rng_next(&rng) & 1 ? 1 : -1;
        cblas_sgemv(CblasRowMajor, CblasNoTrans, k, k, 1, S, k, v, 1, 0, Sv, 1);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, k, k, 1, P, k, Sv, 1, 0, PSv, 1);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, k, k, 1, D, k, v, 1, 0, Dv, 1);
        for (int i = 0; i < k; ++i) {
            const double e = (double)Dv[i] - PSv[i];
            difference += e * e;
            length += (double)Dv[i] * Dv[i];
        }
    }
    return difference <= rounding * rounding * length;
}

// A small step of a large square, where there is a form for it; *is_small says whether it was one.
static vkd_status square_single(const vkd_orthogonal_map *map, const float *P, const float *D, int k,
                                float *V, double *work, bool *is_small) {
    const size_t kk = (size_t)k * k;
    void *scratch = work;
    float *S = scratch, *X = S + kk, *vectors = X + kk;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, k, 0.5f, P, k, D, k, 0, S, k);
    vkd_add_transpose(S, k, -1);
    *is_small = is_tangent(P, D, S, k, vectors);
    if (!*is_small) return VKD_OK;
    memcpy(X, D, kk * sizeof *X);
    scratch = vectors;
    const vkd_status status = map->square_step(S, k, X, scratch);
    if (status != VKD_OK) return status;
    for (size_t i = 0; i < kk; ++i)
        X[i] += P[i];
    if (!vkd_all_finite(X, kk)) return VKD_NOT_FINITE;
    memcpy(V, X, kk * sizeof *V);
    return VKD_OK;
}

typedef struct step {
    vkd_frame frame;
    double *K, *C, *work;
} step;

static step step_in(double *work, int k) {
    const size_t kk = (size_t)k * k;
    return (step){.frame = {work, work + kk, work + 2 * kk},
                  .K = work + 3 * kk,
                  .C = work + 4 * kk,
                  .work = work + FRAME * kk};
}

// Whether a D of this square length could be a small step: spares large ones the products.
static bool may_be_small(double square, int n, int k) {
    return n > k && square < 0.25 * k;
}

vkd_status vkd_map_forward_double(const vkd_orthogonal_map *map, const double *P, const double *D, int n,
                                  int k, double *V, double *work) {
    const size_t nk = (size_t)n * k;
    const step s = step_in(work, k);
    if (may_be_small(cblas_ddot((int)nk, D, 1, D, 1), n, k)) {
        vkd_gemm_tn(k, k, n, 1, P, k, D, k, 0, s.frame.X, k);
        vkd_gram(k, n, P, k, s.frame.W);
        vkd_gram(k, n, D, k, s.frame.H);
        if (vkd_frame_is_small(&s.frame, k)) {
            const vkd_status status =
                vkd_frame_step(map->tangent, &s.frame, k, accuracy_double, s.K, s.C, s.work);
            if (status != VKD_OK) return status;
            memcpy(V, P, nk * sizeof *V);
            vkd_gemm_nn(n, k, k, 1, P, k, s.K, k, 1, V, k);
            vkd_gemm_nn(n, k, k, 1, D, k, s.C, k, 1, V, k);
            return VKD_OK;
        }
    }
    return map->forward(P, D, n, k, V, work);
}

// The same with the n x k products in float32. Pd (n,k) is P, and scratch after its Gram matrix.
static vkd_status forward_single(const vkd_orthogonal_map *map, double *Pd, const float *P, const float *D,
                                 int n, int k, float *V, double *work, bool *is_small) {
    const size_t nk = (size_t)n * k, kk = (size_t)k * k;
    const step s = step_in(work, k);
    void *scratch = s.K; // (2k,k) doubles, four of floats
    float *product = scratch;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, k, n, 1, P, k, D, k, 0, product, k);
    vkd_widen(product, k, k, k, s.frame.X, k);
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, k, n, 1, D, k, 0, product, k);
    vkd_widen(product, k, k, k, s.frame.H, k);
    vkd_mirror(s.frame.H, k);
    vkd_gram(k, n, Pd, k, s.frame.W);
    *is_small = vkd_frame_is_small(&s.frame, k);
    if (!*is_small) return VKD_OK;
    const vkd_status status = vkd_frame_step(map->tangent, &s.frame, k, accuracy_single, s.K, s.C, s.work);
    if (status != VKD_OK) return status;
    scratch = s.work;
    float *K = scratch, *C = K + kk;
    vkd_narrow(s.K, kk, K);
    vkd_narrow(s.C, kk, C);
    scratch = Pd;
    float *sum = scratch;
    memcpy(sum, P, nk * sizeof *sum);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, 1, P, k, K, k, 1, sum, k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, 1, D, k, C, k, 1, sum, k);
    if (!vkd_all_finite(sum, nk)) return VKD_NOT_FINITE;
    memcpy(V, sum, nk * sizeof *V);
    return VKD_OK;
}

vkd_status vkd_map_forward(const vkd_orthogonal_map *map, const float *P, const float *D, int n, int k,
                           float *V, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    const double square = vkd_dot(D, D, NULL, 1, nk);
    if (square == 0) {
        memmove(V, P, nk * sizeof *V);
        return VKD_OK;
    }
    double *Pd = work, *Dd = Pd + nk, *Vd = Dd + nk;
    vkd_widen(P, k, n, k, Pd, k);
    if (nk >= LARGE && may_be_small(square, n, k)) {
        bool is_small;
        status = forward_single(map, Pd, P, D, n, k, V, Dd, &is_small);
        if (status != VKD_OK || is_small) return status;
        vkd_widen(P, k, n, k, Pd, k);
    }
    if (n == k && nk >= LARGE && map->square_step && square < 0.01 * k) { // columns turn by a tenth or less
        bool is_small;
        status = square_single(map, P, D, k, V, Dd, &is_small);
        if (status != VKD_OK || is_small) return status;
    }
    if (n == k && nk >= LARGE && map->square) {
        status = forward_square(map, Pd, P, D, k, Dd, Vd);
    } else {
        vkd_widen(D, k, n, k, Dd, k);
        status = vkd_map_forward_double(map, Pd, Dd, n, k, Vd, Vd + nk);
    }
    return status == VKD_OK ? narrow(Vd, nk, V) : status;
}

vkd_status vkd_map_adjoint(const vkd_orthogonal_map *map, const float *P, const float *D, const float *G,
                           int n, int k, float *dD, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    if (!vkd_all_finite(G, nk)) return VKD_NOT_FINITE;
    double *Pd = work, *Dd = Pd + nk, *Gd = Dd + nk, *dDd = Gd + nk;
    vkd_widen(P, k, n, k, Pd, k);
    vkd_widen(D, k, n, k, Dd, k);
    vkd_widen(G, k, n, k, Gd, k);
    status = map->adjoint(Pd, Dd, Gd, n, k, dDd, dDd + nk);
    return status == VKD_OK ? narrow(dDd, nk, dD) : status;
}
