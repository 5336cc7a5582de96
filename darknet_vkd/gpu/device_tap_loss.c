#include "gpu/loss_kernels.h"
#include "gpu/tap_parts.h"

static bool is_wide(const vkd_projection *p) {
    return p->n < p->k;
}

// y (n,N) = P x, dx (k,N) = scale P'e, part (rows,cols) = scale e x': core/projection.h's twins.
static void apply(vkd_device_tap *d, const float *x, int samples, float *y) {
    const vkd_projection *p = &d->tap->projection;
    vkd_device_gemm(d->device, is_wide(p), false, p->n, samples, p->k, 1, d->V, p->cols, x, samples, 0, y,
                    samples);
}

static void apply_adjoint(vkd_device_tap *d, const float *e, int samples, float scale, float *dx) {
    const vkd_projection *p = &d->tap->projection;
    vkd_device_gemm(d->device, !is_wide(p), false, p->k, samples, p->n, scale, d->V, p->cols, e, samples, 0,
                    dx, samples);
}

static void make_part(vkd_device_tap *d, const float *e, const float *x, int samples, float scale) {
    const vkd_projection *p = &d->tap->projection;
    const float *left = is_wide(p) ? x : e, *right = is_wide(p) ? e : x;
    vkd_device_gemm(d->device, false, true, p->rows, p->cols, samples, scale, left, samples, right, samples,
                    0, d->part, p->cols);
}

// sum |W z|^2, some samples at a time.
static void folded_energy(vkd_device_tap *d) {
    int n = d->tap->projection.n, samples = d->tap->samples.count;
    for (int begin = 0; begin < samples; begin += VKD_DEVICE_RUN) {
        int width = samples - begin < VKD_DEVICE_RUN ? samples - begin : VKD_DEVICE_RUN;
        vkd_device_gemm(d->device, false, false, n, width, n, 1, d->W, n, d->grid.Z + begin, samples, 0,
                        d->run, width);
        vkd_gpu_squares(vkd_device_launch(d->device), d->run, (size_t)n * (size_t)width, begin > 0,
                        vkd_sum_at(d, VKD_SUM_ENERGY));
    }
}

void vkd_device_tap_energy(vkd_device_tap *d) {
    const vkd_device_grid *g = &d->grid;
    size_t size = (size_t)g->shape.n * (size_t)d->tap->samples.count;
    if (d->folded)
        folded_energy(d);
    else
        vkd_gpu_squares(vkd_device_launch(d->device), g->T ? g->T : g->Z, size, false,
                        vkd_sum_at(d, VKD_SUM_ENERGY));
}

// The two products of an isometry, see core/tap_loss.c.
static void isometric_loss(vkd_device_tap *d, float c) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    int n = g->shape.n, k = g->shape.k, samples = d->tap->samples.count;
    if (d->folded) {
        vkd_device_gemm(d->device, true, false, n, k, n, 1, d->W, n, d->V, k, 0, d->folded, k);
        vkd_device_gemm(d->device, true, false, k, samples, n, 1, d->folded, k, g->Z, samples, 0, g->dX,
                        samples);
    } else {
        apply_adjoint(d, g->Z, samples, 1, g->dX);
    }
    vkd_gpu_isometric(l, g->X, k, samples, c, g->weight_of, g->dX, g->weighted, vkd_sum_at(d, VKD_SUM_LOSS),
                      vkd_sum_at(d, VKD_SUM_STRETCH));
    const float *X = g->weight_of ? g->weighted : g->X;
    if (g->weight_of) vkd_gpu_scale_by_roots(l, g->Z, n, samples, g->weight_of);
    if (d->folded) {
        vkd_device_gemm(d->device, false, true, n, k, samples, 1, g->Z, samples, X, samples, 0, d->cross, k);
        vkd_device_gemm(d->device, false, false, n, k, n, -2 * c, d->W, n, d->cross, k, 0, d->part, k);
    } else {
        make_part(d, g->Z, X, samples, -2 * c);
    }
    vkd_device_tap_energy(d);
}

// Any P and any loss.
static void residual_loss(vkd_device_tap *d, float c) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    const float *T = g->T ? g->T : g->Z;
    int n = g->shape.n, samples = d->tap->samples.count;
    apply(d, g->X, samples, g->residual);
    vkd_gpu_residual(l, g->residual, T, n, samples, d->tap->options.loss == VKD_OPTION_LOSS_SMOOTH_L1,
                     g->weight_of, vkd_sum_at(d, VKD_SUM_LOSS), vkd_sum_at(d, VKD_SUM_STRETCH));
    apply_adjoint(d, g->residual, samples, c, g->dX);
    if (d->tap->projection.map == VKD_OPTION_MAP_PROCRUSTES) // its update wants t x' alone
        vkd_gpu_pull_of_targets(l, T, n, samples, g->weight_of, g->residual);
    make_part(d, g->residual, g->X, samples, c);
}

void vkd_device_tap_loss(vkd_device_tap *d, float c) {
    if (d->grid.residual)
        residual_loss(d, c);
    else
        isometric_loss(d, c);
}
