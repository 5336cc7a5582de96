#include "core/projection.h"

#include "numerics/cayley.h"
#include "numerics/finite.h"
#include "numerics/matrix_exp.h"
#include "numerics/stiefel.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// With the student's rate and the loss's own scale P hardly moves, so its step is an angle: each column
// turns by about this many radians in an update at full rate.
static const double step_angle = 0.02;
static const double momentum_decay = 0.9;
// Above it, times sqrt(cols), one Newton-Schulz step restores V'V = I.
static const double defect_limit = 1e-6;

static bool is_wide(const vkd_projection *p) {
    return p->n < p->k;
}

vkd_status vkd_projection_create(vkd_projection *p, vkd_option_map map, int n, int k, vkd_rng *rng) {
    memset(p, 0, sizeof *p);
    if (n < 1 || k < 1) return VKD_INVALID_ARGUMENT;
    p->map = map;
    p->n = n;
    p->k = k;
    p->rows = n > k ? n : k;
    p->cols = n > k ? k : n;
    size_t size = (size_t)p->rows * (size_t)p->cols;
    p->V = calloc(size, sizeof *p->V);
    p->gradient = calloc(size, sizeof *p->gradient);
    p->momentum = calloc(size, sizeof *p->momentum);
    p->step = calloc(size, sizeof *p->step);
    p->work = calloc(vkd_stiefel_workspace(p->rows, p->cols), sizeof *p->work);
    if (!p->V || !p->gradient || !p->momentum || !p->step || !p->work) return VKD_OUT_OF_MEMORY;
    return vkd_stiefel_random(p->V, p->rows, p->cols, rng, p->work);
}

void vkd_projection_free(vkd_projection *p) {
    free(p->V);
    free(p->gradient);
    free(p->momentum);
    free(p->step);
    free(p->work);
    memset(p, 0, sizeof *p);
}

size_t vkd_projection_bytes(const vkd_projection *p) {
    return 4 * (size_t)p->rows * (size_t)p->cols * sizeof *p->V +
           vkd_stiefel_workspace(p->rows, p->cols) * sizeof *p->work;
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
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

// momentum <- 0.9 * (its tangent part at V) + xi, xi = G - V G'V: the Riemannian gradient in the canonical
// metric (Edelman, Arias, Smith 1998, 2.4.2). `linear` keeps the Euclidean gradient. VKD_NOT_FINITE: it
// overflowed.
static vkd_status gather_momentum(vkd_projection *p, size_t size) {
    vkd_status status = VKD_OK;
    if (p->map != VKD_OPTION_MAP_LINEAR) {
        status = vkd_stiefel_tangent_gradient(p->V, p->gradient, p->gradient, p->rows, p->cols, p->work);
        if (!status) status = vkd_stiefel_project(p->V, p->momentum, p->rows, p->cols, p->work);
        if (status) return status;
    }
    for (size_t i = 0; i < size; ++i)
        p->momentum[i] = (float)momentum_decay * p->momentum[i] + p->gradient[i];
    return vkd_all_finite(p->momentum, size) ? VKD_OK : VKD_NOT_FINITE;
}

static vkd_status retract(vkd_projection *p, double length, size_t size) {
    double norm = frobenius_norm(p->momentum, size);
    // A gradient normal to the manifold gives no direction, nor does one so small that dividing overflows.
    if (!(norm > 0) || length == 0) return VKD_OK;
    float scale = (float)(-length / norm);
    if (!vkd_is_finite(scale)) return VKD_OK;
    for (size_t i = 0; i < size; ++i)
        p->step[i] = scale * p->momentum[i];
    if (p->map == VKD_OPTION_MAP_LINEAR) {
        for (size_t i = 0; i < size; ++i)
            p->V[i] += p->step[i];
        return VKD_OK;
    }
    vkd_status status = p->map == VKD_OPTION_MAP_CAYLEY
                            ? vkd_stiefel_cayley(p->V, p->step, p->rows, p->cols, p->work)
                            : vkd_stiefel_exp(p->V, p->step, p->rows, p->cols, p->work);
    if (status) return status;
    status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    if (!status && !(p->defect <= defect_limit * sqrt(p->cols))) {
        status = vkd_stiefel_polish(p->V, p->rows, p->cols, p->work);
        if (!status) status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    }
    return status;
}

static bool all_zero(const float *x, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (x[i] != 0) return false;
    return true;
}

vkd_status vkd_projection_update(vkd_projection *p, double rate) {
    size_t size = (size_t)p->rows * (size_t)p->cols;
    vkd_status status = VKD_OK;
    if (p->map != VKD_OPTION_MAP_FROZEN) {
        if (!vkd_all_finite(p->gradient, size)) {
            status = VKD_NOT_FINITE;
        } else if (!all_zero(p->gradient, size)) { // momentum alone, at a fixed angle, would walk on for ever
            // |V|_F = sqrt(cols) on the manifold, so an angle for every column; relative for `linear`.
            double extent = p->map == VKD_OPTION_MAP_LINEAR ? frobenius_norm(p->V, size) : sqrt(p->cols);
            status = gather_momentum(p, size);
            if (!status)
                status = retract(p, step_angle * rate * extent, size);
            else // start afresh: an infinity would stay in it for ever
                memset(p->momentum, 0, size * sizeof *p->momentum);
        }
    }
    memset(p->gradient, 0, size * sizeof *p->gradient);
    return status;
}

double vkd_projection_update_work(const vkd_projection *p) {
    double n = p->rows, k = p->cols;
    if (p->map == VKD_OPTION_MAP_LINEAR || p->map == VKD_OPTION_MAP_FROZEN) return 0;
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
