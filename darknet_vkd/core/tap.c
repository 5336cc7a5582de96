#include "core/tap.h"

#include "numerics/finite.h"
#include "numerics/loss.h"
#include "numerics/normalize.h"
#include "numerics/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Stream of the generator for P's start; the index is the tap's.
enum { stream_projection = 0x50 };

static const float student_eps = 1e-5f;
// Of the gradient norms: an average over about ten batches, since early in training they fall fast.
static const double norm_momentum = 0.9;

static bool is_global(const vkd_tap *tap) {
    return tap->options.pool == VKD_OPTION_POOL_GLOBAL;
}

static bool needs_resampling(const vkd_tap *tap) {
    return is_global(tap) || tap->shape.h != tap->shape.th || tap->shape.w != tap->shape.tw;
}

static float *new_floats(size_t count) {
    return calloc(count ? count : 1, sizeof(float));
}

static void free_buffers(vkd_tap *tap) {
    if (tap->dX != tap->dx) free(tap->dX);
    free(tap->pooled);
    free(tap->resampled);
    free(tap->T);
    free(tap->X);
    free(tap->dx);
    free(tap->residual);
    free(tap->emphasis);
    free(tap->weighted);
    tap->emphasis = tap->weighted = NULL;
    tap->pooled = tap->resampled = tap->T = tap->X = tap->dx = tap->dX = tap->residual = NULL;
}

// Everything whose size depends on the grid.
static vkd_status make_buffers(vkd_tap *tap) {
    const vkd_tap_shape *s = &tap->shape;
    tap->locations = is_global(tap) ? 1 : s->h * s->w;
    size_t samples = (size_t)s->batch * (size_t)tap->locations;
    size_t student = samples * (size_t)s->k, teacher = samples * (size_t)s->n;
    tap->dx = new_floats((size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w);
    tap->T = new_floats(teacher);
    tap->dX = tap->dx;
    if (!tap->dx || !tap->T) return VKD_OUT_OF_MEMORY;
    if (is_global(tap)) {
        tap->pooled = new_floats(student);
        tap->dX = new_floats(student);
        if (!tap->pooled || !tap->dX) return VKD_OUT_OF_MEMORY;
    }
    if (needs_resampling(tap) && !(tap->resampled = new_floats(teacher))) return VKD_OUT_OF_MEMORY;
    if (tap->options.student_norm == VKD_OPTION_STUDENT_STANDARDIZE && !(tap->X = new_floats(student)))
        return VKD_OUT_OF_MEMORY;
    if (tap->options.foreground > 0) {
        tap->emphasis = new_floats(samples);
        tap->weighted = new_floats((size_t)s->n * (size_t)tap->locations);
        if (!tap->emphasis || !tap->weighted) return VKD_OUT_OF_MEMORY;
        for (size_t i = 0; i < samples; ++i)
            tap->emphasis[i] = 1;
    }
    if (!vkd_projection_is_isometry(&tap->projection) &&
        !(tap->residual = new_floats((size_t)s->n * (size_t)tap->locations)))
        return VKD_OUT_OF_MEMORY;
    return VKD_OK;
}

static bool shape_is_valid(const vkd_tap_shape *s) {
    return s->batch > 0 && s->k > 0 && s->h > 0 && s->w > 0 && s->n > 0 && s->th > 0 && s->tw > 0;
}

vkd_status vkd_tap_create(vkd_tap **out, const vkd_tap_options *options, vkd_tap_shape shape, uint64_t seed,
                          uint64_t index) {
    *out = NULL;
    if (!shape_is_valid(&shape)) return VKD_INVALID_ARGUMENT;
    vkd_tap *tap = calloc(1, sizeof *tap);
    if (!tap) return VKD_OUT_OF_MEMORY;
    tap->options = *options;
    tap->shape = shape;
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, stream_projection, index);
    vkd_status status = vkd_projection_create(&tap->projection, options, shape.n, shape.k, &rng);
    if (!status) status = make_buffers(tap);
    if (!status)
        status = vkd_target_create(&tap->target, &tap->options.whiten, shape.n, shape.batch, tap->locations);
    tap->mean = new_floats((size_t)shape.k);
    tap->inv_std = new_floats((size_t)shape.k);
    if (!status && (!tap->mean || !tap->inv_std)) status = VKD_OUT_OF_MEMORY;
    if (status)
        vkd_tap_free(tap);
    else
        *out = tap;
    return status;
}

void vkd_tap_free(vkd_tap *tap) {
    if (!tap) return;
    free_buffers(tap);
    free(tap->mean);
    free(tap->inv_std);
    vkd_projection_free(&tap->projection);
    vkd_target_free(&tap->target);
    free(tap);
}

vkd_status vkd_tap_resize(vkd_tap *tap, vkd_tap_shape shape) {
    if (!shape_is_valid(&shape) || shape.k != tap->shape.k || shape.n != tap->shape.n)
        return VKD_INVALID_ARGUMENT;
    free_buffers(tap);
    tap->shape = shape;
    vkd_status status = make_buffers(tap);
    return status ? status : vkd_target_resize(&tap->target, shape.batch, tap->locations);
}

// y (planes) = the mean of each plane of x (planes,locations).
static void mean_over_locations(const float *x, int planes, int locations, float *y) {
    for (int i = 0; i < planes; ++i) {
        double sum = 0;
        for (int j = 0; j < locations; ++j)
            sum += x[(size_t)i * (size_t)locations + (size_t)j];
        y[i] = (float)(sum / locations);
    }
}

// The adjoint: dx (planes,locations) = dy (planes) / locations at every location.
static void mean_over_locations_adjoint(const float *dy, int planes, int locations, float *dx) {
    for (int i = 0; i < planes; ++i)
        for (int j = 0; j < locations; ++j)
            dx[(size_t)i * (size_t)locations + (size_t)j] = dy[i] / (float)locations;
}

static vkd_status make_target(vkd_tap *tap, const float *t) {
    const vkd_tap_shape *s = &tap->shape;
    const float *source = t;
    if (is_global(tap)) {
        mean_over_locations(t, s->batch * s->n, s->th * s->tw, tap->resampled);
        source = tap->resampled;
    } else if (needs_resampling(tap)) {
        vkd_status status = vkd_resample(t, s->batch * s->n, s->th, s->tw, tap->resampled, s->h, s->w);
        if (status) return status;
        source = tap->resampled;
    }
    return vkd_target_normalize(&tap->target, source, s->batch, tap->locations, tap->T);
}

// The normalised student's features, (B,k,locations).
static const float *make_student(vkd_tap *tap, const float *x) {
    const vkd_tap_shape *s = &tap->shape;
    if (is_global(tap)) {
        mean_over_locations(x, s->batch * s->k, s->h * s->w, tap->pooled);
        x = tap->pooled;
    }
    if (tap->options.student_norm != VKD_OPTION_STUDENT_STANDARDIZE) return x;
    vkd_standardize_forward(x, s->batch, s->k, tap->locations, student_eps, tap->X, tap->mean, tap->inv_std);
    return tap->X;
}

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += (double)a[i] * b[i];
    return sum;
}

// y = s * x, each location (column) by its weight. y may be x.
static void weigh_locations(const float *x, const float *s, int channels, int locations, float *y) {
    for (int i = 0; i < channels; ++i)
        for (int j = 0; j < locations; ++j) {
            size_t at = (size_t)i * (size_t)locations + (size_t)j;
            y[at] = s[j] * x[at];
        }
}

// sum_j s_j <a_j, b_j> over locations j.
static double weighted_dot(const float *a, const float *b, const float *s, int channels, int locations) {
    double sum = 0;
    for (int i = 0; i < channels; ++i)
        for (int j = 0; j < locations; ++j) {
            size_t at = (size_t)i * (size_t)locations + (size_t)j;
            sum += (double)s[j] * a[at] * b[at];
        }
    return sum;
}

/*
 * sum |P X - T|^2 of one image, dX = 2c P'(P X - T), G += 2c (P X - T) X'.
 *
 * With P'P = I two products do: U = P'T gives dX = 2c (X - U) and sum = |X|^2 - 2<X,U> + |T|^2, and of G only
 * -2c T X' counts, since P X X' is normal to the manifold (method: |Px - t|^2 = |x - P't|^2 + |t|^2 -
 * |P't|^2).
 */
static double isometry_loss(vkd_tap *tap, const float *X, const float *T, float c, float *dX) {
    vkd_projection *p = &tap->projection;
    int locations = tap->locations;
    size_t student = (size_t)p->k * (size_t)locations, teacher = (size_t)p->n * (size_t)locations;
    vkd_projection_apply_adjoint(p, T, locations, 1, dX);
    double sum = dot(X, X, student) - 2 * dot(X, dX, student) + dot(T, T, teacher);
    for (size_t i = 0; i < student; ++i)
        dX[i] = 2 * c * (X[i] - dX[i]);
    vkd_projection_accumulate(p, T, X, locations, -2 * c);
    return sum;
}

// The same with a weight s for each location (column): sum s |P x - t|^2. P (sum s x x') is normal as well.
static double emphasized_isometry_loss(vkd_tap *tap, const float *X, const float *T, const float *s, float c,
                                       float *dX) {
    vkd_projection *p = &tap->projection;
    int locations = tap->locations;
    size_t student = (size_t)p->k * (size_t)locations;
    vkd_projection_apply_adjoint(p, T, locations, 1, dX);
    double sum = weighted_dot(X, X, s, p->k, locations) - 2 * weighted_dot(X, dX, s, p->k, locations) +
                 weighted_dot(T, T, s, p->n, locations);
    for (size_t i = 0; i < student; ++i)
        dX[i] = 2 * c * (X[i] - dX[i]);
    weigh_locations(dX, s, p->k, locations, dX);
    weigh_locations(T, s, p->n, locations, tap->weighted);
    vkd_projection_accumulate(p, tap->weighted, X, locations, -2 * c);
    return sum;
}

// Any P, and any weights s (NULL: all 1).
static double residual_loss(vkd_tap *tap, const float *X, const float *T, const float *s, float c,
                            float *dX) {
    vkd_projection *p = &tap->projection;
    int locations = tap->locations;
    size_t teacher = (size_t)p->n * (size_t)locations;
    vkd_projection_apply(p, X, locations, tap->residual);
    vkd_l2_backward(tap->residual, T, teacher, 0.5f, tap->residual);
    double sum = s ? weighted_dot(tap->residual, tap->residual, s, p->n, locations)
                   : dot(tap->residual, tap->residual, teacher);
    if (s) weigh_locations(tap->residual, s, p->n, locations, tap->residual);
    vkd_projection_apply_adjoint(p, tap->residual, locations, 2 * c, dX);
    vkd_projection_accumulate(p, tap->residual, X, locations, 2 * c);
    return sum;
}

static double image_loss(vkd_tap *tap, const float *X, const float *T, const float *s, float c, float *dX) {
    if (!vkd_projection_is_isometry(&tap->projection)) return residual_loss(tap, X, T, s, c, dX);
    return s ? emphasized_isometry_loss(tap, X, T, s, c, dX) : isometry_loss(tap, X, T, c, dX);
}

static vkd_status refuse(vkd_tap *tap, vkd_status status) {
    const vkd_tap_shape *s = &tap->shape;
    memset(tap->dx, 0, (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w * sizeof *tap->dx);
    tap->loss = 0;
    return status;
}

vkd_status vkd_tap_forward(vkd_tap *tap, const float *x, const float *t) {
    const vkd_tap_shape *s = &tap->shape;
    size_t inputs = (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    if (!vkd_all_finite(x, inputs)) return refuse(tap, VKD_NOT_FINITE);
    vkd_status status = make_target(tap, t);
    if (status) return refuse(tap, status);
    const float *X = make_student(tap, x);
    float c = 1.0f / ((float)tap->locations * (float)s->n);
    size_t student = (size_t)s->k * (size_t)tap->locations, teacher = (size_t)s->n * (size_t)tap->locations;
    double sum = 0;
    for (int b = 0; b < s->batch; ++b)
        sum += image_loss(tap, X + (size_t)b * student, tap->T + (size_t)b * teacher,
                          tap->emphasis ? tap->emphasis + (size_t)b * (size_t)tap->locations : NULL, c,
                          tap->dX + (size_t)b * student);
    tap->loss = sum * c / s->batch;
    if (tap->options.student_norm == VKD_OPTION_STUDENT_STANDARDIZE)
        vkd_standardize_backward(tap->dX, X, tap->inv_std, s->batch, s->k, tap->locations, tap->dX);
    if (is_global(tap)) mean_over_locations_adjoint(tap->dX, s->batch * s->k, s->h * s->w, tap->dx);
    return VKD_OK;
}

double vkd_tap_weigh(vkd_tap *tap, const float *task, double factor) {
    const vkd_tap_shape *s = &tap->shape;
    size_t size = (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    double task_norm = sqrt(dot(task, task, size)), loss_norm = sqrt(dot(tap->dx, tap->dx, size));
    tap->weight = tap->ratio = 0;
    if (!(loss_norm > 0) || !vkd_is_finite(loss_norm)) {
        ++tap->idle;
        return 0;
    }
    tap->idle = 0;
    if (!vkd_is_finite(task_norm)) return 0; // the task's own trouble; nothing of it enters the averages
    // A plain mean at first, then exponential.
    double m = (double)tap->norm_steps / ((double)tap->norm_steps + 1);
    if (m > norm_momentum) m = norm_momentum;
    tap->task_norm = m * tap->task_norm + (1 - m) * task_norm;
    tap->loss_norm = m * tap->loss_norm + (1 - m) * loss_norm;
    ++tap->norm_steps;
    // A batch whose own gradient stands out above the average is held to it: one spike of |dx|, as a channel
    // of the student that nearly dies makes through 1 / std, can otherwise end a run.
    double norm = loss_norm > tap->loss_norm ? loss_norm : tap->loss_norm;
    tap->weight =
        factor * (tap->options.has_weight ? tap->options.weight : tap->options.ratio * tap->task_norm / norm);
    tap->ratio = task_norm > 0 ? tap->weight * loss_norm / task_norm : 0;
    return tap->weight;
}

vkd_status vkd_tap_update(vkd_tap *tap, double rate) {
    return vkd_projection_update(&tap->projection, rate * tap->options.learning_rate);
}
