#include "core/projection_parts.h"

#include "numerics/cayley.h"
#include "numerics/finite.h"
#include "numerics/householder.h"
#include "numerics/matrix_exp.h"
#include "numerics/parallel.h"
#include "numerics/polar.h"
#include "numerics/reduce.h"
#include "numerics/stiefel.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// With the student's rate and the loss's own scale P hardly moves, so its step is an angle: each column
// turns by about this many radians in an update at full rate.
static const double step_angle = 0.02;
// Relative to its largest singular value, the cross-covariance is a sum of gradients in float32 to this. What
// is below is their rounding, and turns nothing.
static const double cross_precision = 8 * FLT_EPSILON;

// Of a P whose update is made on one thread: two would save a seventh of it on idle processors, and on busy
// ones its many short products wait for each other, ten times as long.
static const size_t small_size = (size_t)1 << 17;

static bool is_wide(const vkd_projection *p) {
    return p->n < p->k;
}

bool vkd_projection_is_fixed(const vkd_projection *p) {
    return p->map == VKD_OPTION_MAP_FROZEN || p->map == VKD_OPTION_MAP_IDENTITY;
}

const vkd_orthogonal_map *vkd_projection_base_map(vkd_option_map map) {
    switch (map) {
    case VKD_OPTION_MAP_MATRIX_EXP:
        return &vkd_map_matrix_exp;
    case VKD_OPTION_MAP_CAYLEY:
        return &vkd_map_cayley;
    case VKD_OPTION_MAP_HOUSEHOLDER:
        return &vkd_map_householder;
    default:
        return NULL;
    }
}

static size_t workspace(const vkd_projection *p) {
    const vkd_orthogonal_map *map = vkd_projection_base_map(p->map);
    size_t size = vkd_stiefel_workspace(p->rows, p->cols), other = 0;
    if (map) other = vkd_map_workspace(map, p->rows, p->cols);
    if (p->map == VKD_OPTION_MAP_PROCRUSTES) other = vkd_stiefel_polar_workspace(p->rows, p->cols);
    return size > other ? size : other;
}

// Floats of `kept`, where there is a base.
static size_t kept_size(const vkd_projection *p) {
    const vkd_orthogonal_map *map = vkd_projection_base_map(p->map);
    if (p->is_square) return map->in_coordinates->kept(p->cols);
    return map->single ? map->single->kept(p->rows, p->cols) : 0;
}

vkd_status vkd_projection_create(vkd_projection *p, const vkd_tap_options *options, int n, int k,
                                 vkd_rng *rng) {
    memset(p, 0, sizeof *p);
    bool is_identity = options->map == VKD_OPTION_MAP_IDENTITY;
    if (n < 1 || k < 1 || (is_identity && n != k)) return VKD_INVALID_ARGUMENT;
    p->map = (vkd_option_map)options->map;
    p->rebase = options->rebase;
    p->decay = options->momentum;
    p->n = n;
    p->k = k;
    p->rows = n > k ? n : k;
    p->cols = n > k ? k : n;
    size_t size = (size_t)p->rows * (size_t)p->cols;
    bool average = p->map == VKD_OPTION_MAP_PROCRUSTES;
    const vkd_orthogonal_map *map = vkd_projection_base_map(p->map);
    bool keeps_base = map && p->rebase != 1;
    p->is_square = keeps_base && map->in_coordinates && n == k;
    size_t kept = keeps_base ? kept_size(p) : 0;
    if (kept) p->kept = calloc(kept, sizeof *p->kept);
    p->V = calloc(size, sizeof *p->V);
    p->gradient = calloc(size, sizeof *p->gradient);
    p->step = calloc(size, sizeof *p->step);
    // NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI) not 0, since n and k are not
    p->work = calloc(workspace(p), sizeof *p->work);
    if (average)
        p->cross = calloc(size, sizeof *p->cross);
    else
        p->momentum = calloc(size, sizeof *p->momentum);
    if (keeps_base) {
        p->base = calloc(size, sizeof *p->base);
        p->D = calloc(size, sizeof *p->D);
    }
    if (!p->V || !p->gradient || !p->step || !p->work ||
        !(average ? (void *)p->cross : (void *)p->momentum) || (keeps_base && (!p->base || !p->D)) ||
        (kept && !p->kept))
        return VKD_OUT_OF_MEMORY;
    if (is_identity) {
        for (int i = 0; i < n; ++i)
            p->V[(size_t)i * (size_t)n + (size_t)i] = 1;
        return VKD_OK;
    }
    vkd_status status = vkd_stiefel_random(p->V, p->rows, p->cols, rng, p->work);
    if (!status && p->base) memcpy(p->base, p->V, size * sizeof *p->base);
    return status;
}

void vkd_projection_free(vkd_projection *p) {
    free(p->V);
    free(p->gradient);
    free(p->momentum);
    free(p->base);
    free(p->D);
    free(p->kept);
    free(p->cross);
    free(p->step);
    free(p->work);
    memset(p, 0, sizeof *p);
}

size_t vkd_projection_bytes(const vkd_projection *p) {
    size_t floats = 3 + (p->momentum != NULL) + (p->base != NULL) + (p->D != NULL);
    size_t matrix = floats * sizeof(float) + (p->cross != NULL) * sizeof(double);
    size_t kept = p->kept ? kept_size(p) : 0;
    return (size_t)p->rows * (size_t)p->cols * matrix + kept * sizeof *p->kept +
           workspace(p) * sizeof *p->work;
}

bool vkd_projection_is_isometry(const vkd_projection *p) {
    return p->map != VKD_OPTION_MAP_LINEAR && !is_wide(p);
}

void vkd_projection_apply(const vkd_projection *p, const float *x, int samples, float *y) {
    // P is V, or V' where the student is the wider side.
    cblas_sgemm(CblasRowMajor, is_wide(p) ? CblasTrans : CblasNoTrans, CblasNoTrans, p->n, samples, p->k, 1,
                p->V, p->cols, x, samples, 0, y, samples);
}

void vkd_projection_apply_adjoint(const vkd_projection *p, const float *e, int samples, float scale,
                                  float *dx) {
    cblas_sgemm(CblasRowMajor, is_wide(p) ? CblasNoTrans : CblasTrans, CblasNoTrans, p->k, samples, p->n,
                scale, p->V, p->cols, e, samples, 0, dx, samples);
}

void vkd_projection_accumulate(vkd_projection *p, const float *e, const float *x, int samples, float scale) {
    const float *left = is_wide(p) ? x : e, *right = is_wide(p) ? e : x;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->rows, p->cols, samples, scale, left, samples,
                right, samples, 1, p->gradient, p->cols);
}

static double frobenius_norm(const float *x, size_t n) {
    return sqrt(vkd_dot(x, x, NULL, 1, n));
}

static bool all_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return false;
    return true;
}

// cross <- m cross + (1 - m) (-gradient): a plain mean at first, then exponential.
static void average_cross(vkd_projection *p, size_t size) {
    double m = (double)p->count / ((double)p->count + 1);
    if (m >= p->decay)
        m = p->decay; // count stays: it has no more to say
    else
        ++p->count;
    for (size_t i = 0; i < size; ++i)
        p->cross[i] = m * p->cross[i] - (1 - m) * p->gradient[i];
}

void vkd_projection_tangent(const vkd_projection *p, const float *coordinates, float *tangent) {
    int k = p->cols;
    if (p->is_square)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, k, k, k, 1, p->base, k, coordinates, k, 0,
                    tangent, k);
    else
        memcpy(tangent, coordinates, (size_t)p->rows * (size_t)k * sizeof *tangent);
}

vkd_status vkd_projection_go_to(vkd_projection *p, const vkd_orthogonal_map *map, const float *D, float *V) {
    p->is_kept = false;
    if (!p->kept || (!p->since_rebase && !p->is_square))
        return vkd_map_forward(map, p->base ? p->base : p->V, D, p->rows, p->cols, V, p->work);
    vkd_status status = p->is_square
                            ? map->in_coordinates->forward(p->base, D, p->cols, V, p->kept, p->work)
                            : map->single->forward(p->base, D, p->rows, p->cols, V, p->kept, p->work);
    p->is_kept = status == VKD_OK;
    return status;
}

// gradient <- that at D.
static vkd_status pull_back(vkd_projection *p, const vkd_orthogonal_map *map) {
    if (!p->kept)
        return vkd_map_adjoint(map, p->base, p->D, p->gradient, p->rows, p->cols, p->gradient, p->work);
    vkd_status status = p->is_kept ? VKD_OK : vkd_projection_go_to(p, map, p->D, p->step);
    if (status) return status;
    if (p->is_square)
        return map->in_coordinates->adjoint(p->gradient, p->cols, p->kept, p->gradient, p->work);
    return map->single->adjoint(p->base, p->gradient, p->rows, p->cols, p->kept, p->gradient, p->work);
}

// momentum <- decay * momentum + gradient, where every matrix is a tangent.
static vkd_status gather_freely(vkd_projection *p, size_t size) {
    for (size_t i = 0; i < size; ++i)
        p->momentum[i] = p->decay * p->momentum[i] + p->gradient[i];
    return vkd_all_finite(p->momentum, size) ? VKD_OK : VKD_NOT_FINITE;
}

static vkd_status gather_momentum(vkd_projection *p, size_t size) {
    const vkd_orthogonal_map *map = vkd_projection_base_map(p->map);
    vkd_status status = VKD_OK;
    // At D = 0 the adjoint only projects onto the tangents, as vkd_stiefel_momentum does in any case.
    if (map && (p->since_rebase > 0 || p->is_square)) status = pull_back(p, map);
    if (!status)
        status = map && !p->is_square ? vkd_stiefel_momentum(p->base ? p->base : p->V, p->gradient, p->decay,
                                                             p->momentum, p->rows, p->cols, p->work)
                                      : gather_freely(p, size);
    // Start afresh: an infinity would stay in it for ever.
    if (status) memset(p->momentum, 0, size * sizeof *p->momentum);
    return status;
}

vkd_status vkd_projection_gather(vkd_projection *p) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    vkd_status status = VKD_OK;
    if (!vkd_projection_is_fixed(p)) {
        if (!vkd_all_finite(p->gradient, size))
            status = VKD_NOT_FINITE;
        else if (p->map == VKD_OPTION_MAP_PROCRUSTES)
            average_cross(p, size);
        else
            status = gather_momentum(p, size);
    }
    memset(p->gradient, 0, size * sizeof *p->gradient);
    return status;
}

vkd_status vkd_projection_mend(vkd_projection *p) {
    vkd_status status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    if (!status && !(p->defect <= vkd_projection_defect_limit * sqrt(p->cols))) {
        status = vkd_stiefel_polish(p->V, p->rows, p->cols, p->work);
        if (!status) status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    }
    return status;
}

// step (rows,cols): what to add to D.
static vkd_status turn(vkd_projection *p, const vkd_orthogonal_map *map, size_t size) {
    if (p->D)
        for (size_t i = 0; i < size; ++i)
            p->step[i] += p->D[i];
    vkd_status status = vkd_projection_go_to(p, map, p->step, p->V);
    if (status) return status;
    status = vkd_projection_mend(p);
    if (!p->D) return status;
    ++p->since_rebase;
    if (p->rebase > 0 && p->since_rebase >= p->rebase) {
        memcpy(p->base, p->V, size * sizeof *p->base);
        memset(p->D, 0, size * sizeof *p->D);
        p->since_rebase = 0;
        p->is_kept = false;
    } else {
        memcpy(p->D, p->step, size * sizeof *p->D);
    }
    return status;
}

vkd_status vkd_projection_move(vkd_projection *p, double length) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    if (vkd_projection_is_fixed(p)) return VKD_OK;
    if (p->map == VKD_OPTION_MAP_PROCRUSTES) {
        vkd_status status =
            vkd_stiefel_polar(p->cross, p->rows, p->cols, cross_precision, p->V, p->V, NULL, p->work);
        return status ? status : vkd_projection_mend(p);
    }
    double norm = frobenius_norm(p->momentum, size);
    // A gradient normal to the manifold gives no direction, nor does one so small that dividing overflows.
    if (!(norm > 0) || length == 0) return VKD_OK;
    float scale = (float)(-length / norm);
    if (!vkd_is_finite(scale)) return VKD_OK;
    for (size_t i = 0; i < size; ++i)
        p->step[i] = scale * p->momentum[i];
    const vkd_orthogonal_map *map = vkd_projection_base_map(p->map);
    if (map) return turn(p, map, size);
    for (size_t i = 0; i < size; ++i)
        p->V[i] += p->step[i];
    return VKD_OK;
}

int vkd_projection_take_threads(const vkd_projection *p) {
    return vkd_limit_threads((size_t)p->rows * (size_t)p->cols < small_size ? 1 : vkd_threads());
}

vkd_status vkd_projection_update(vkd_projection *p, double rate) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    if (all_zero(p->gradient, size))
        return VKD_OK; // momentum alone, at a fixed angle, would walk on for ever
    int threads = vkd_projection_take_threads(p);
    vkd_status status = vkd_projection_gather(p);
    if (!status) {
        // |V|_F = sqrt(cols) on the manifold, so an angle for every column; relative for `linear`.
        double extent = p->map == VKD_OPTION_MAP_LINEAR ? frobenius_norm(p->V, size) : sqrt(p->cols);
        status = vkd_projection_move(p, step_angle * rate * extent);
    }
    vkd_limit_threads(threads);
    return status;
}

double vkd_projection_update_work(const vkd_projection *p) {
    double n = p->rows, k = p->cols;
    if (p->map == VKD_OPTION_MAP_LINEAR || vkd_projection_is_fixed(p)) return 0;
    return p->map == VKD_OPTION_MAP_CAYLEY ? 5 * n * k * k + 7 * k * k * k : 6 * n * k * k + 43 * k * k * k;
}

void vkd_projection_matrix(const vkd_projection *p, float *P) {
    if (!is_wide(p)) {
        memcpy(P, p->V, (size_t)p->n * (size_t)p->k * sizeof *P);
        return;
    }
    for (int i = 0; i < p->n; ++i)
        for (int j = 0; j < p->k; ++j)
            P[(size_t)i * p->k + j] = p->V[(size_t)j * p->n + i];
}
