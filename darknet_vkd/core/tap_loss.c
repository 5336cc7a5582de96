#include "core/tap_loss.h"

#include "numerics/loss.h"
#include "numerics/parallel.h"
#include "numerics/reduce.h"

#include <cblas.h>
#include <math.h>

bool vkd_tap_is_isometric(const vkd_tap_options *options, const vkd_projection *p) {
    return options->loss == VKD_OPTION_LOSS_L2 && vkd_projection_is_isometry(p);
}

// P changes at every update, W when the statistics are refreshed.
static void fold(vkd_tap *tap) {
    const vkd_projection *p = &tap->projection;
    int n = p->n, k = p->k;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, n, 1, tap->target.W, n, p->V, k, 0,
                tap->folded, k);
}

// sum |W z|^2, some samples at a time. <W'W, sum z z'> would be half the work, and lose digits as W's
// condition number grows.
static double folded_energy(vkd_tap *tap) {
    int n = tap->projection.n, samples = tap->samples.count;
    double sum = 0;
    for (int begin = 0; begin < samples; begin += VKD_TAP_RUN) {
        int width = samples - begin < VKD_TAP_RUN ? samples - begin : VKD_TAP_RUN;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, width, n, 1, tap->target.W, n,
                    tap->Z + begin, samples, 0, tap->whitened, width);
        sum += vkd_dot(tap->whitened, tap->whitened, NULL, (size_t)n, (size_t)width);
    }
    return sum;
}

double vkd_tap_target_energy(vkd_tap *tap) {
    if (tap->folded) return folded_energy(tap);
    return vkd_dot(tap->T, tap->T, NULL, (size_t)tap->shape.n, (size_t)tap->samples.count);
}

/*
 * l2 with P'P = I: |P x - t|^2 = |x|^2 - 2<x, P't> + |t|^2, and P X X' is normal to the manifold. So of
 *
 *     dX = 2c P'(P X - T)        G = 2c (P X - T) X'
 *
 * two products remain: U = P'T in dX = 2c (X - U), and G = -2c T X'. With T = W Z, U = (W'P)'Z with the two
 * folded into one, and T X' = W (Z X') after the sum over samples: nothing costs n x n a sample but the value
 * of |t|^2. Weights s of the samples enter as their roots, once on either side of a product.
 */
static double isometric_loss(vkd_tap *tap, float c, double *stretch) {
    vkd_projection *p = &tap->projection;
    float *s = tap->weight_of, *X = tap->X, *dX = tap->dX;
    int samples = tap->samples.count, n = p->n, k = p->k;
    size_t cols = (size_t)samples, student = (size_t)k * cols;
    if (tap->folded) {
        fold(tap);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, samples, n, 1, tap->folded, k, tap->Z,
                    samples, 0, dX, samples);
    } else {
        vkd_projection_apply_adjoint(p, tap->Z, samples, 1, dX);
    }
    *stretch = vkd_dot(X, X, s, (size_t)k, cols);
    double sum = *stretch - 2 * vkd_dot(X, dX, s, (size_t)k, cols);
    VKD_PARALLEL_FOR
    for (size_t i = 0; i < student; ++i)
        dX[i] = 2 * c * (X[i] - dX[i]);
    if (s) {
        vkd_scale_columns(dX, s, (size_t)k, cols, dX);
        for (size_t j = 0; j < cols; ++j)
            s[j] = sqrtf(s[j]);
        vkd_scale_columns(tap->Z, s, (size_t)n, cols, tap->Z);
        vkd_scale_columns(X, s, (size_t)k, cols, tap->weighted);
        X = tap->weighted;
    }
    if (!tap->folded) {
        vkd_projection_accumulate(p, tap->Z, X, samples, -2 * c);
        return sum + vkd_dot(tap->Z, tap->Z, NULL, (size_t)n, cols);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, k, samples, 1, tap->Z, samples, X, samples, 0,
                tap->cross, k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, n, -2 * c, tap->target.W, n, tap->cross, k,
                1, p->gradient, k);
    return sum + folded_energy(tap);
}

// Any P and any loss: e = P X - T in full, dX = c P'd'(e), G = c d'(e) X'.
static double residual_loss(vkd_tap *tap, float c, double *stretch) {
    vkd_projection *p = &tap->projection;
    const float *s = tap->weight_of;
    float *e = tap->residual;
    int samples = tap->samples.count;
    size_t n = (size_t)p->n, cols = (size_t)samples;
    double sum;
    vkd_projection_apply(p, tap->X, samples, e);
    *stretch = tap->student.norm == VKD_OPTION_STUDENT_GAIN ? vkd_dot(e, e, s, n, cols) : 0;
    if (tap->options.loss == VKD_OPTION_LOSS_L2) {
        sum = vkd_l2_forward(e, tap->T, s, n, cols);
        vkd_l2_backward(e, tap->T, s, n, cols, 1, e);
    } else {
        sum = vkd_smooth_l1_forward(e, tap->T, s, n, cols);
        vkd_smooth_l1_backward(e, tap->T, s, n, cols, 1, e);
    }
    vkd_projection_apply_adjoint(p, e, samples, c, tap->dX);
    if (p->map == VKD_OPTION_MAP_PROCRUSTES) { // its update wants t x' alone
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < cols; ++j)
                e[i * cols + j] = -2 * (s ? s[j] : 1) * tap->T[i * cols + j];
    }
    vkd_projection_accumulate(p, e, tap->X, samples, c);
    return sum;
}

double vkd_tap_loss(vkd_tap *tap, float c, double *stretch) {
    double sum = tap->residual ? residual_loss(tap, c, stretch) : isometric_loss(tap, c, stretch);
    return sum < 0 ? 0 : sum; // rounding of a perfect match
}

double vkd_tap_loss_work(const vkd_tap *tap) {
    double n = tap->shape.n, k = tap->shape.k, N = (double)tap->shape.batch * tap->locations;
    if (tap->folded) return 2 * n * k * N + n * n * N / 2 + 2 * n * n * k;
    double whitens = tap->target.W ? n * n * N : 0;
    return whitens + (tap->residual ? 3 : 2) * n * k * N;
}
