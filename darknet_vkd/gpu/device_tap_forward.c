#include "gpu/grid_kernels.h"
#include "gpu/loss_kernels.h"
#include "gpu/norm_kernels.h"
#include "gpu/step_kernels.h"
#include "gpu/tap_parts.h"

// ---- samples
// --------------------------------------------------------------------------------------------------

static void stage_samples(vkd_device_tap *d) {
    const vkd_samples *s = &d->tap->samples;
    vkd_device_grid *g = &d->grid;
    for (int i = 0; i < s->batch * s->locations; ++i)
        g->slot_staged[i] = -1;
    for (int b = 0; b < s->batch; ++b)
        for (int j = s->start[b]; j < s->start[b + 1]; ++j) {
            g->origin_staged[j] = b * s->locations + s->place[j];
            g->slot_staged[g->origin_staged[j]] = j;
        }
}

void vkd_device_tap_send_samples(vkd_device_tap *d) {
    vkd_tap *tap = d->tap;
    vkd_device_grid *g = &d->grid;
    size_t samples = (size_t)tap->samples.count, all = (size_t)g->shape.batch * (size_t)g->locations;
    bool changed = !g->is_whole || samples != all;
    if (!changed && !tap->emphasis) return;
    vkd_event_wait(d->device, d->staged); // the last forward's copies, long made
    if (changed) {
        stage_samples(d);
        vkd_device_send(d->device, g->origin, g->origin_staged, samples * sizeof *g->origin);
        vkd_device_send(d->device, g->slot, g->slot_staged, all * sizeof *g->slot);
        g->is_whole = samples == all;
    }
    if (tap->emphasis) {
        vkd_samples_gather(&tap->samples, tap->emphasis, 1, g->weight_staged);
        vkd_device_send(d->device, g->weight_of, g->weight_staged, samples * sizeof *g->weight_of);
    }
    vkd_event_mark(d->device, d->staged);
}

// ---- the teacher's side
// ------------------------------------------------------------------------------------------

void vkd_device_tap_gather_teacher(vkd_device_tap *d, const float *t) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    const vkd_tap_shape *s = &g->shape;
    int samples = d->tap->samples.count;
    if (vkd_tap_pools(d->tap))
        vkd_gpu_gather_means(l, t, s->batch, s->n, s->th * s->tw, g->slot, samples, g->Z);
    else if (s->h == s->th && s->w == s->tw)
        vkd_gpu_gather(l, t, s->n, g->locations, g->origin, samples, g->Z);
    else
        vkd_gpu_gather_resampled(l, t, s->n, s->th, s->tw, s->h, s->w, g->origin, samples, g->Z);
}

// Products in float32, a run at a time, and their sum in float64: as good as the CPU's but for the rounding
// within a run, at no float64 product, which most GPUs are slow at.
static void measure_covariance(vkd_device_tap *d) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    int n = g->shape.n, samples = d->tap->samples.count, *bad = &d->state->bad_features;
    for (int begin = 0; begin < samples; begin += VKD_DEVICE_RUN) {
        int width = samples - begin < VKD_DEVICE_RUN ? samples - begin : VKD_DEVICE_RUN;
        vkd_gpu_centre_run(l, g->Z, n, samples, begin, width, d->batch_mean, d->run);
        vkd_device_syrk(d->device, n, width, d->run, width, d->gram, n);
        vkd_gpu_add_gram(l, d->gram, n, samples, begin == 0, d->batch_second, bad);
    }
}

void vkd_device_tap_measure(vkd_device_tap *d) {
    const vkd_launch *l = vkd_device_launch(d->device);
    int samples = d->tap->samples.count;
    // Where the covariance has them on its diagonal, the variances are scratch.
    vkd_gpu_moments(l, d->grid.Z, d->grid.shape.n, samples, d->batch_mean, d->batch_second,
                    &d->state->bad_features);
    if (d->W) measure_covariance(d);
}

static vkd_status observe(vkd_device_tap *d) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_target *target = &d->tap->target;
    const vkd_whiten_options *o = target->options;
    size_t second = vkd_target_second_size(target), n = (size_t)target->n;
    if (!second || o->statistics == VKD_OPTION_STATISTICS_CALIBRATED) return VKD_OK;
    double keep = o->statistics == VKD_OPTION_STATISTICS_RUNNING ? o->momentum : 0;
    vkd_device_tap_measure(d);
    vkd_gpu_blend_second(l, d->state, keep, target->n, d->W != NULL, d->batch_mean, d->mean, d->batch_second,
                         d->second);
    vkd_gpu_blend(l, d->state, keep, n, d->batch_mean, d->mean);
    vkd_gpu_count_batch(l, d->state);
    ++d->batches;
    if (d->W) return vkd_target_is_due(target, d->batches) ? vkd_device_tap_refresh(d) : VKD_OK;
    vkd_gpu_make_scales(l, d->state, target->n, d->mean, d->second, o->eps, d->offset, d->inv_std);
    return VKD_OK;
}

static vkd_status make_target(vkd_device_tap *d, const float *t) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_whiten_options *o = d->tap->target.options;
    const vkd_device_grid *g = &d->grid;
    int n = g->shape.n, samples = d->tap->samples.count, *bad = &d->state->bad_features;
    vkd_device_tap_gather_teacher(d, t);
    vkd_status status = observe(d);
    if (status) return status;
    switch ((vkd_option_mode)o->mode) {
    case VKD_OPTION_MODE_NONE:
        vkd_gpu_check(l, g->Z, (size_t)n * (size_t)samples, bad);
        break;
    case VKD_OPTION_MODE_LAYERNORM:
        vkd_gpu_layernorm(l, g->Z, n, samples, o->eps, g->teacher_scales, bad);
        break;
    case VKD_OPTION_MODE_STANDARDIZE: // statistics that took the batch in have seen that it is finite
        vkd_gpu_normalize(l, g->Z, n, samples, d->offset, d->inv_std,
                          o->statistics == VKD_OPTION_STATISTICS_CALIBRATED ? bad : NULL);
        break;
    case VKD_OPTION_MODE_WHITEN:
        vkd_gpu_normalize(l, g->Z, n, samples, d->offset, NULL, bad);
        if (g->T)
            vkd_device_gemm(d->device, false, false, n, samples, n, 1, d->W, n, g->Z, samples, 0, g->T,
                            samples);
        break;
    }
    return VKD_OK;
}

// ---- the student's side
// ------------------------------------------------------------------------------------------

static void start_gain(vkd_device_tap *d, size_t size) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_tap_shape *s = &d->grid.shape;
    vkd_gpu_squares(l, d->grid.X, size, false, vkd_sum_at(d, VKD_SUM_RAW));
    vkd_device_tap_energy(d);
    // A random isometry reaches k of the targets' n directions.
    vkd_gpu_start_gain(l, d->state, d->sums, s->k < s->n ? (double)s->k / s->n : 1);
}

static void make_student(vkd_device_tap *d, const float *x) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    const vkd_tap_shape *s = &g->shape;
    int samples = d->tap->samples.count;
    size_t size = (size_t)s->k * (size_t)samples;
    if (vkd_tap_pools(d->tap))
        vkd_gpu_gather_means(l, x, s->batch, s->k, s->h * s->w, g->slot, samples, g->X);
    else
        vkd_gpu_gather(l, x, s->k, g->locations, g->origin, samples, g->X);
    switch (d->tap->student.norm) {
    case VKD_OPTION_STUDENT_NONE:
        break;
    case VKD_OPTION_STUDENT_GAIN:
        // Until the host has seen one; the device may have one already, which then stays.
        if (!(d->tap->student.gain > 0)) start_gain(d, size);
        vkd_gpu_gain(l, d->state, g->X, size);
        break;
    case VKD_OPTION_STUDENT_STANDARDIZE:
        vkd_gpu_standardize(l, g->X, s->k, samples, VKD_STUDENT_EPS, g->scales);
        break;
    case VKD_OPTION_STUDENT_LAYERNORM:
        vkd_gpu_layernorm(l, g->X, s->k, samples, VKD_STUDENT_EPS, g->scales, NULL);
        break;
    }
}

static void student_backward(vkd_device_tap *d) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    int k = g->shape.k, samples = d->tap->samples.count, *bad = &d->state->bad_gradient;
    size_t size = (size_t)k * (size_t)samples;
    switch (d->tap->student.norm) {
    case VKD_OPTION_STUDENT_NONE:
        vkd_gpu_check(l, g->dX, size, bad);
        break;
    case VKD_OPTION_STUDENT_GAIN:
        vkd_gpu_gain_adjoint(l, d->state, g->dX, g->X, size, vkd_sum_at(d, VKD_SUM_GAIN), bad);
        break;
    case VKD_OPTION_STUDENT_STANDARDIZE:
        vkd_gpu_standardize_adjoint(l, g->dX, g->X, g->scales, k, samples, bad);
        break;
    case VKD_OPTION_STUDENT_LAYERNORM:
        vkd_gpu_layernorm_adjoint(l, g->dX, g->X, g->scales, k, samples, bad);
        break;
    }
}

// ---- a forward and its backward
// ----------------------------------------------------------------------------------

// P is wanted only now: until here its move goes on beside this.
static vkd_status learn(vkd_device_tap *d, const float *x, double c) {
    make_student(d, x);
    vkd_status status = vkd_device_tap_settle(d);
    vkd_device_tap_loss(d, (float)c);
    student_backward(d);
    return status;
}

static void finish(vkd_device_tap *d, double c) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_device_grid *g = &d->grid;
    const vkd_tap_shape *s = &g->shape;
    bool pools = vkd_tap_pools(d->tap);
    vkd_finish f = {.isometric = g->residual == NULL,
                    .gain = d->tap->student.norm == VKD_OPTION_STUDENT_GAIN,
                    .batch = s->batch,
                    .c = c};
    vkd_gpu_finish(l, d->state, d->sums, &f);
    vkd_gpu_settle(l, d->state, d->part, vkd_matrix_size(&d->tap->projection), d->gradient);
    vkd_gpu_spread(l, d->state, g->dX, s->batch, s->k, pools ? s->h * s->w : g->locations, pools, g->slot,
                   d->tap->samples.count, g->dx);
}

vkd_status vkd_device_tap_forward(vkd_device_tap *d, const float *x, const float *t) {
    const vkd_launch *l = vkd_device_launch(d->device);
    vkd_tap *tap = d->tap;
    vkd_status status = VKD_OK, moved = VKD_OK;
    d->is_current = false;
    vkd_device_use(d->device);
    vkd_samples_choose(&tap->samples, tap->mask);
    int samples = tap->samples.count;
    double c = samples ? d->grid.shape.batch / ((double)samples * d->grid.shape.n) : 0;
    vkd_device_tap_send_samples(d);
    vkd_gpu_begin(l, d->state, samples == 0);
    vkd_gpu_check(l, x, vkd_tap_maps(&d->grid.shape), &d->state->bad_features);
    if (samples) status = make_target(d, t);
    if (status)
        vkd_gpu_fail(l, d->state, status == VKD_NOT_FINITE);
    else if (samples)
        moved = learn(d, x, c);
    finish(d, c);
    vkd_status device = vkd_device_status(d->device);
    if (device) return device;
    if (status == VKD_OK) status = moved;
    return status == VKD_NOT_FINITE ? VKD_OK : status; // collect tells
}

vkd_status vkd_device_tap_backward(vkd_device_tap *d, float *delta, double sign, double factor) {
    const vkd_launch *l = vkd_device_launch(d->device);
    const vkd_tap_options *o = &d->tap->options;
    size_t size = vkd_tap_maps(&d->grid.shape);
    d->is_current = false;
    vkd_device_use(d->device);
    vkd_gpu_squares(l, delta, size, false, vkd_sum_at(d, VKD_SUM_TASK));
    vkd_gpu_squares(l, d->grid.dx, size, false, vkd_sum_at(d, VKD_SUM_DX));
    vkd_gpu_weigh(l, d->state, d->sums, !o->has_weight, o->has_weight ? o->weight : o->ratio, factor);
    vkd_gpu_add(l, d->state, (float)sign, d->grid.dx, size, delta);
    return vkd_device_status(d->device);
}
