#include "gpu/norm_kernels.h"
#include "gpu/step_kernels.h"
#include "gpu/tap_parts.h"
#include "numerics/finite.h"

#include <string.h>

// Until the GPU has made all copies that were enqueued.
static vkd_status wait(vkd_device_tap *d) {
    vkd_event_mark(d->device, d->copied);
    vkd_event_wait(d->device, d->copied);
    return vkd_device_status(d->device);
}

// ---- a batch's end
// -----------------------------------------------------------------------------------------------

static void send_projection(vkd_device_tap *d) {
    size_t matrix = vkd_matrix_size(&d->tap->projection) * sizeof(float);
    memcpy(d->V_staged, d->tap->projection.V, matrix);
    vkd_device_send(d->device, d->V, d->V_staged, matrix);
}

vkd_status vkd_device_tap_settle(vkd_device_tap *d) {
    if (!d->is_moving) return VKD_OK;
    vkd_device_use(d->device);
    vkd_worker_wait(d->worker);
    d->is_moving = false;
    d->tap->projection = d->moving;
    // P's last copy out of pinned memory came before what has been collected since.
    send_projection(d);
    vkd_status status = vkd_device_status(d->device);
    return status ? status : d->moved;
}

// What a log and a sidecar want.
static void take_scalars(vkd_device_tap *d, const vkd_device_state *s) {
    vkd_tap *tap = d->tap;
    tap->task_norm = s->norms.task;
    tap->loss_norm = s->norms.loss;
    tap->norm_steps = (long)s->norms.steps;
    tap->idle = s->norms.idle;
    tap->loss = s->loss;
    tap->weight = s->weight;
    tap->ratio = s->ratio;
    tap->student.gain = s->gain;
    if (d->mean) tap->target.batches = d->batches = (long)s->batches;
}

// The copies that were fetched, when they have arrived.
static vkd_status take_fetched(vkd_device_tap *d) {
    const vkd_device_state *s = d->state_fetched;
    vkd_tap *tap = d->tap;
    if (!d->is_fetched) return VKD_OK;
    vkd_status status = vkd_device_tap_settle(d); // the sum of the last batch is in use
    if (status && status != VKD_NOT_FINITE) return status;
    vkd_event_wait(d->device, d->fetched);
    status = vkd_device_status(d->device);
    if (status) return status;
    d->is_fetched = false;
    take_scalars(d, s);
    for (size_t i = 0; i < vkd_matrix_size(&tap->projection); ++i)
        tap->projection.gradient[i] += d->gradient_fetched[i];
    tap->student.gradient += s->gradient;
    tap->student.curvature += s->curvature;
    tap->refused += s->refused;
    return VKD_OK;
}

vkd_status vkd_device_tap_fetch(vkd_device_tap *d) {
    size_t matrix = vkd_matrix_size(&d->tap->projection) * sizeof(float);
    if (d->is_current) return vkd_device_status(d->device);
    vkd_device_use(d->device);
    vkd_status status = take_fetched(d);
    if (status) return status;
    vkd_device_fetch(d->device, d->state_fetched, d->state, sizeof *d->state);
    vkd_device_fetch(d->device, d->gradient_fetched, d->gradient, matrix);
    vkd_event_mark(d->device, d->fetched);
    vkd_device_zero(d->device, d->gradient, matrix);
    vkd_gpu_restart(vkd_device_launch(d->device), d->state);
    d->is_fetched = d->is_current = true;
    return vkd_device_status(d->device);
}

vkd_status vkd_device_tap_collect(vkd_device_tap *d) {
    vkd_device_use(d->device);
    vkd_status status = vkd_device_tap_fetch(d);
    return status ? status : take_fetched(d);
}

static void move(void *argument) {
    vkd_device_tap *d = argument;
    d->moved = vkd_projection_update(&d->moving, d->rate);
}

vkd_status vkd_device_tap_update(vkd_device_tap *d, double rate) {
    vkd_tap *tap = d->tap;
    vkd_projection *p = &tap->projection;
    vkd_status status = vkd_device_tap_collect(d);
    if (!status) status = vkd_device_tap_settle(d);
    if (status && status != VKD_NOT_FINITE) return status;
    vkd_student_update(&tap->student, tap->options.momentum);
    tap->refused = 0;
    if (tap->student.norm == VKD_OPTION_STUDENT_GAIN)
        vkd_gpu_set_gain(vkd_device_launch(d->device), d->state, tap->student.gain);
    d->rate = rate * tap->options.learning_rate;
    if (!vkd_all_finite(p->gradient, vkd_matrix_size(p))) return vkd_projection_update(p, d->rate);
    d->moving = *p;
    d->is_moving = true;
    vkd_worker_start(d->worker, move, d);
    return vkd_device_status(d->device);
}

// ---- the teacher's statistics
// ------------------------------------------------------------------------------------

// From the host's target, through pinned memory that no copy is under way from.
static void send_applied(vkd_device_tap *d) {
    const vkd_target *t = &d->tap->target;
    size_t n = (size_t)t->n, second = vkd_target_second_size(t);
    if (!second) return;
    memcpy(d->applied_staged, t->offset, n * sizeof(float));
    memcpy(d->applied_staged + n, d->W ? t->W : t->inv_std, second * sizeof(float));
    vkd_device_send(d->device, d->offset, d->applied_staged, n * sizeof(float));
    vkd_device_send(d->device, d->W ? d->W : d->inv_std, d->applied_staged + n, second * sizeof(float));
}

static vkd_status fetch_moments(vkd_device_tap *d, const double *mean, const double *second) {
    size_t n = (size_t)d->tap->target.n, size = vkd_target_second_size(&d->tap->target);
    vkd_device_fetch(d->device, d->state_staged, d->state, sizeof *d->state);
    vkd_device_fetch(d->device, d->moments_staged, mean, n * sizeof(double));
    vkd_device_fetch(d->device, d->moments_staged + n, second, size * sizeof(double));
    return wait(d);
}

static void take_moments(vkd_device_tap *d, double *mean, double *second) {
    size_t n = (size_t)d->tap->target.n, size = vkd_target_second_size(&d->tap->target);
    memcpy(mean, d->moments_staged, n * sizeof(double));
    memcpy(second, d->moments_staged + n, size * sizeof(double));
}

vkd_status vkd_device_tap_refresh(vkd_device_tap *d) {
    vkd_target *t = &d->tap->target;
    vkd_status status = fetch_moments(d, d->mean, d->second);
    if (status) return status;
    t->batches = d->batches = (long)d->state_staged->batches;
    if (d->state_staged->bad_features) return VKD_OK; // the batch is refused in any case
    take_moments(d, t->mean, t->second);
    status = vkd_target_refresh(t);
    if (!status) send_applied(d);
    return status;
}

vkd_status vkd_device_tap_calibrate(vkd_device_tap *d, const float *t, int images) {
    vkd_tap *tap = d->tap;
    vkd_target *target = &tap->target;
    if (!d->mean) return VKD_OK;
    vkd_device_use(d->device);
    vkd_samples_choose(&tap->samples, tap->mask);
    vkd_samples_keep(&tap->samples, images);
    if (!tap->samples.count) return VKD_OK;
    vkd_device_tap_send_samples(d);
    vkd_gpu_begin(vkd_device_launch(d->device), d->state, false);
    vkd_device_tap_gather_teacher(d, t);
    vkd_device_tap_measure(d);
    vkd_status status = fetch_moments(d, d->batch_mean, d->batch_second);
    if (status) return status;
    if (d->state_staged->bad_features) return VKD_NOT_FINITE;
    take_moments(d, target->batch_mean, target->batch_second);
    vkd_target_take(target, tap->samples.count);
    return VKD_OK;
}

// ---- the whole tap
// -----------------------------------------------------------------------------------------------

vkd_status vkd_device_tap_pull(vkd_device_tap *d) {
    vkd_target *t = &d->tap->target;
    size_t n = (size_t)t->n;
    vkd_status status = vkd_device_tap_settle(d);
    if (status && status != VKD_NOT_FINITE) return status;
    vkd_device_use(d->device);
    if (d->mean) vkd_device_fetch(d->device, d->applied_staged, d->offset, n * sizeof(float));
    if (d->mean && !d->W) vkd_device_fetch(d->device, d->applied_staged + n, d->inv_std, n * sizeof(float));
    if (d->mean)
        status = fetch_moments(d, d->mean, d->second);
    else {
        vkd_device_fetch(d->device, d->state_staged, d->state, sizeof *d->state);
        status = wait(d);
    }
    if (status) return status;
    take_scalars(d, d->state_staged);
    if (!d->mean) return VKD_OK;
    take_moments(d, t->mean, t->second);
    memcpy(t->offset, d->applied_staged, n * sizeof(float));
    if (!d->W) memcpy(t->inv_std, d->applied_staged + n, n * sizeof(float));
    return VKD_OK;
}

vkd_status vkd_device_tap_push(vkd_device_tap *d) {
    const vkd_tap *tap = d->tap;
    const vkd_target *t = &tap->target;
    size_t n = (size_t)t->n, second = vkd_target_second_size(t);
    vkd_device_use(d->device);
    vkd_status status = vkd_device_tap_settle(d);
    if (status && status != VKD_NOT_FINITE) return status;
    // What the device alone has stays: the sums since the last fetch.
    vkd_device_fetch(d->device, d->state_staged, d->state, sizeof *d->state);
    status = wait(d);
    if (status) return status;
    vkd_device_state *s = d->state_staged;
    s->norms = (vkd_norms){tap->task_norm, tap->loss_norm, tap->norm_steps, tap->idle};
    s->gain = tap->student.gain;
    s->batches = d->batches = t->batches;
    vkd_device_send(d->device, d->state, s, sizeof *s);
    send_projection(d);
    if (second) {
        memcpy(d->moments_staged, t->mean, n * sizeof(double));
        memcpy(d->moments_staged + n, t->second, second * sizeof(double));
        vkd_device_send(d->device, d->mean, d->moments_staged, n * sizeof(double));
        vkd_device_send(d->device, d->second, d->moments_staged + n, second * sizeof(double));
        send_applied(d);
    }
    return wait(d);
}
