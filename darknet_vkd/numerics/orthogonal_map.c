#include "numerics/orthogonal_map.h"

#include <stdbool.h>
#include <string.h>

#include "numerics/finite.h"
#include "numerics/linalg.h"

size_t vkd_map_workspace(const vkd_orthogonal_map *map, int n, int k) {
    return 4 * (size_t)n * (size_t)k + map->workspace(n, k);
}

static vkd_status check(const float *P, const float *D, int n, int k) {
    if (k < 1 || n < k) return VKD_INVALID_ARGUMENT;
    const size_t nk = (size_t)n * k;
    return vkd_all_finite(P, nk) && vkd_all_finite(D, nk) ? VKD_OK : VKD_NOT_FINITE;
}

static bool is_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return false;
    return true;
}

static vkd_status narrow(const double *x, size_t n, float *y) {
    if (!vkd_all_finite_double(x, n)) return VKD_NOT_FINITE;
    vkd_narrow(x, n, y);
    return VKD_OK;
}

// A square from here on is worth a product in float32.
enum { LARGE_SQUARE = 256 };

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

vkd_status vkd_map_forward(const vkd_orthogonal_map *map, const float *P, const float *D, int n, int k,
                           float *V, double *work) {
    vkd_status status = check(P, D, n, k);
    if (status != VKD_OK) return status;
    const size_t nk = (size_t)n * k;
    if (is_zero(D, nk)) {
        memmove(V, P, nk * sizeof *V);
        return VKD_OK;
    }
    double *Pd = work, *Dd = Pd + nk, *Vd = Dd + nk;
    vkd_widen(P, k, n, k, Pd, k);
    if (n == k && k >= LARGE_SQUARE && map->square) {
        status = forward_square(map, Pd, P, D, k, Dd, Vd);
    } else {
        vkd_widen(D, k, n, k, Dd, k);
        status = map->forward(Pd, Dd, n, k, Vd, Vd + nk);
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
