#include "core/tap.h"

#include "core/scalars.h"
#include "core/tap_loss.h"
#include "numerics/finite.h"
#include "numerics/reduce.h"
#include "numerics/resample.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Stream of the generator for P's start; the index is the tap's.
enum { stream_projection = 0x50 };

static bool is_global(const vkd_tap *tap) {
    return tap->options.pool == VKD_OPTION_POOL_GLOBAL;
}

static bool needs_resampling(const vkd_tap *tap) {
    return is_global(tap) || tap->shape.h != tap->shape.th || tap->shape.w != tap->shape.tw;
}

static bool whitens(const vkd_tap *tap) {
    return tap->options.whiten.mode == VKD_OPTION_MODE_WHITEN;
}

static bool folds(const vkd_tap *tap) {
    return whitens(tap) && vkd_tap_is_isometric(&tap->options, &tap->projection);
}

bool vkd_tap_weighs(const vkd_tap_options *options) {
    return options->foreground > 0 && options->foreground < 1;
}

// ---- making and freeing
// ---------------------------------------------------------------------------------------

typedef struct buffer {
    float **at;
    bool wanted;
    size_t count;
} buffer;

enum { grid_buffers = 12, channel_buffers = 3 };

// What depends on the grid: the one list of what is made, counted and freed.
static void list_grid_buffers(vkd_tap *tap, buffer *list) {
    const vkd_tap_shape *s = &tap->shape;
    size_t samples = (size_t)s->batch * (size_t)tap->locations;
    size_t student = samples * (size_t)s->k, teacher = samples * (size_t)s->n;
    size_t maps = (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    bool weighs = vkd_tap_weighs(&tap->options);
    bool isometric = vkd_tap_is_isometric(&tap->options, &tap->projection);
    const buffer buffers[grid_buffers] = {
        {&tap->dx, true, maps},
        {&tap->Z, true, teacher},
        {&tap->X, true, student},
        {&tap->dX, true, student},
        {&tap->pooled, is_global(tap), student},
        {&tap->resampled, needs_resampling(tap), teacher},
        {&tap->mask, tap->options.mask_padding || tap->options.foreground >= 1, samples},
        {&tap->emphasis, weighs, samples},
        {&tap->weight_of, weighs, samples},
        {&tap->weighted, weighs && isometric, student},
        {&tap->residual, !isometric, teacher},
        {&tap->T, whitens(tap) && !folds(tap), teacher},
    };
    memcpy(list, buffers, sizeof buffers);
}

// What depends on the channels alone.
static void list_channel_buffers(vkd_tap *tap, buffer *list) {
    size_t n = (size_t)tap->shape.n, k = (size_t)tap->shape.k;
    const buffer buffers[channel_buffers] = {
        {&tap->folded, folds(tap), n * k},
        {&tap->cross, folds(tap), n * k},
        {&tap->whitened, folds(tap), n * VKD_TAP_RUN},
    };
    memcpy(list, buffers, sizeof buffers);
}

static bool take(const buffer *list, int count) {
    bool made = true;
    for (int i = 0; i < count && made; ++i) {
        size_t size = list[i].count;
        *list[i].at = list[i].wanted ? calloc(size ? size : 1, sizeof **list[i].at) : NULL;
        made = *list[i].at || !list[i].wanted;
    }
    return made;
}

static void drop(const buffer *list, int count) {
    for (int i = 0; i < count; ++i) {
        free(*list[i].at);
        *list[i].at = NULL;
    }
}

static size_t bytes_of(const buffer *list, int count) {
    size_t floats = 0;
    for (int i = 0; i < count; ++i)
        floats += list[i].wanted ? list[i].count : 0;
    return floats * sizeof(float);
}

static void free_buffers(vkd_tap *tap) {
    buffer list[grid_buffers];
    if (tap->T == tap->Z) tap->T = NULL;
    list_grid_buffers(tap, list);
    drop(list, grid_buffers);
    vkd_samples_free(&tap->samples);
}

// Without freeing: what depends on the grid, in the tap and in its parts.
static void forget_buffers(vkd_tap *tap) {
    buffer list[grid_buffers];
    list_grid_buffers(tap, list);
    for (int i = 0; i < grid_buffers; ++i)
        *list[i].at = NULL;
    tap->samples = (vkd_samples){0};
    tap->target.scratch = NULL;
    tap->student.inv_std = NULL;
}

static vkd_status make_buffers(vkd_tap *tap) {
    const vkd_tap_shape *s = &tap->shape;
    buffer list[grid_buffers];
    tap->locations = is_global(tap) ? 1 : s->h * s->w;
    list_grid_buffers(tap, list);
    if (!take(list, grid_buffers)) return VKD_OUT_OF_MEMORY;
    size_t samples = (size_t)s->batch * (size_t)tap->locations;
    if (!tap->T && !folds(tap)) tap->T = tap->Z;
    for (size_t i = 0; i < samples && tap->emphasis; ++i)
        tap->emphasis[i] = 1;
    for (size_t i = 0; i < samples && tap->mask; ++i)
        tap->mask[i] = 1;
    return vkd_samples_create(&tap->samples, s->batch, tap->locations);
}

static vkd_status make_folded(vkd_tap *tap) {
    buffer list[channel_buffers];
    list_channel_buffers(tap, list);
    return take(list, channel_buffers) ? VKD_OK : VKD_OUT_OF_MEMORY;
}

size_t vkd_tap_bytes(const vkd_tap *tap) {
    vkd_tap look = *tap; // the lists hold addresses, of which only the sizes are read
    buffer grid[grid_buffers], channels[channel_buffers];
    list_grid_buffers(&look, grid);
    list_channel_buffers(&look, channels);
    size_t samples = (size_t)tap->shape.batch * (size_t)tap->locations;
    return sizeof *tap + bytes_of(grid, grid_buffers) + bytes_of(channels, channel_buffers) +
           vkd_projection_bytes(&tap->projection) + vkd_student_bytes(&tap->student, samples) +
           vkd_target_bytes(&tap->target, tap->shape.batch, tap->locations) +
           vkd_samples_bytes(&tap->samples);
}

double vkd_tap_work(const vkd_tap *tap, int steps) {
    int samples = tap->shape.batch * tap->locations;
    return (vkd_tap_loss_work(tap) + vkd_target_work(&tap->target, samples) +
            vkd_projection_update_work(&tap->projection) / steps) /
           tap->shape.batch;
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
    if (!status) status = make_folded(tap);
    if (!status) status = make_buffers(tap);
    size_t samples = (size_t)shape.batch * (size_t)tap->locations;
    if (!status)
        status = vkd_target_create(&tap->target, &tap->options.whiten, shape.n, shape.batch, tap->locations);
    if (!status)
        status = vkd_student_create(&tap->student, (vkd_option_student_norm)options->student_norm, shape.k,
                                    samples);
    if (status)
        vkd_tap_free(tap);
    else
        *out = tap;
    return status;
}

void vkd_tap_free(vkd_tap *tap) {
    if (!tap) return;
    buffer channels[channel_buffers];
    free_buffers(tap);
    list_channel_buffers(tap, channels);
    drop(channels, channel_buffers);
    vkd_projection_free(&tap->projection);
    vkd_target_free(&tap->target);
    vkd_student_free(&tap->student);
    free(tap);
}

vkd_status vkd_tap_resize(vkd_tap *tap, vkd_tap_shape shape) {
    if (!shape_is_valid(&shape) || shape.k != tap->shape.k || shape.n != tap->shape.n)
        return VKD_INVALID_ARGUMENT;
    vkd_tap next = *tap;
    forget_buffers(&next);
    next.shape = shape;
    vkd_status status = make_buffers(&next);
    if (!status) status = vkd_target_resize(&next.target, shape.batch, next.locations);
    if (!status) status = vkd_student_resize(&next.student, (size_t)shape.batch * (size_t)next.locations);
    if (!status) { // the old buffers go with `next`
        vkd_tap old = *tap;
        *tap = next;
        next = old;
    }
    free_buffers(&next);
    free(next.target.scratch);
    free(next.student.inv_std);
    return status;
}

// ---- forward and backward
// -------------------------------------------------------------------------------------

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

// The teacher's features on the student's grid, (B,n,locations): t itself where that is its own.
static vkd_status regrid(vkd_tap *tap, const float *t, const float **on_grid) {
    const vkd_tap_shape *s = &tap->shape;
    *on_grid = needs_resampling(tap) ? tap->resampled : t;
    if (is_global(tap))
        mean_over_locations(t, s->batch * s->n, s->th * s->tw, tap->resampled);
    else if (needs_resampling(tap))
        return vkd_resample(t, s->batch * s->n, s->th, s->tw, tap->resampled, s->h, s->w);
    return VKD_OK;
}

static vkd_status make_target(vkd_tap *tap, const float *t) {
    const float *on_grid;
    int n = tap->shape.n, samples = tap->samples.count;
    vkd_status status = regrid(tap, t, &on_grid);
    if (status) return status;
    vkd_samples_gather(&tap->samples, on_grid, n, tap->Z);
    status = vkd_target_observe(&tap->target, tap->Z, 1, samples);
    if (status) return status;
    if (!whitens(tap)) return vkd_target_apply(&tap->target, tap->Z, 1, samples, tap->Z);
    vkd_target_centre(&tap->target, tap->Z, samples);
    if (!vkd_all_finite(tap->Z, (size_t)n * (size_t)samples)) return VKD_NOT_FINITE;
    if (tap->T)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, samples, n, 1, tap->target.W, n, tap->Z,
                    samples, 0, tap->T, samples);
    return VKD_OK;
}

// False: student_norm=gain has no start from this batch, whose features or targets are all zero.
static bool make_student(vkd_tap *tap, const float *x) {
    const vkd_tap_shape *s = &tap->shape;
    int samples = tap->samples.count;
    if (is_global(tap)) {
        mean_over_locations(x, s->batch * s->k, s->h * s->w, tap->pooled);
        x = tap->pooled;
    }
    vkd_samples_gather(&tap->samples, x, s->k, tap->X);
    bool gain = tap->student.norm == VKD_OPTION_STUDENT_GAIN;
    if (gain && !(tap->student.gain > 0)) {
        // A random isometry reaches k of the targets' n directions.
        double reached = s->k < s->n ? (double)s->k / s->n : 1;
        vkd_student_start_gain(&tap->student, vkd_dot(tap->X, tap->X, NULL, (size_t)s->k, (size_t)samples),
                               reached * vkd_tap_target_energy(tap));
    }
    if (gain && !(tap->student.gain > 0)) return false;
    vkd_student_forward(&tap->student, tap->X, samples);
    return true;
}

static void spread_gradient(vkd_tap *tap) {
    const vkd_tap_shape *s = &tap->shape;
    vkd_samples_scatter(&tap->samples, tap->dX, s->k, is_global(tap) ? tap->pooled : tap->dx);
    if (is_global(tap)) mean_over_locations_adjoint(tap->pooled, s->batch * s->k, s->h * s->w, tap->dx);
}

// No gradient from this batch.
static vkd_status rest(vkd_tap *tap, vkd_status status) {
    const vkd_tap_shape *s = &tap->shape;
    memset(tap->dx, 0, (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w * sizeof *tap->dx);
    tap->loss = 0;
    tap->refused += status == VKD_NOT_FINITE;
    return status;
}

vkd_status vkd_tap_forward(vkd_tap *tap, const float *x, const float *t) {
    const vkd_tap_shape *s = &tap->shape;
    size_t inputs = (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
    vkd_samples_choose(&tap->samples, tap->mask);
    if (!vkd_all_finite(x, inputs)) return rest(tap, VKD_NOT_FINITE);
    int samples = tap->samples.count;
    if (!samples) return rest(tap, VKD_OK);
    vkd_status status = make_target(tap, t);
    if (status) return rest(tap, status);
    if (!make_student(tap, x)) return rest(tap, VKD_OK);
    if (tap->emphasis) vkd_samples_gather(&tap->samples, tap->emphasis, 1, tap->weight_of);
    double c = s->batch / ((double)samples * s->n), stretch;
    tap->loss = vkd_tap_loss(tap, (float)c, &stretch) * c / s->batch;
    vkd_student_backward(&tap->student, tap->X, tap->dX, samples, c, stretch);
    spread_gradient(tap);
    if (vkd_is_finite(tap->loss) && vkd_all_finite(tap->dx, inputs)) return VKD_OK;
    // Of the sums some part may be finite, and as wrong.
    memset(tap->projection.gradient, 0, (size_t)s->n * (size_t)s->k * sizeof *tap->projection.gradient);
    tap->student.gradient = tap->student.curvature = 0;
    return rest(tap, VKD_NOT_FINITE);
}

vkd_status vkd_tap_target(vkd_tap *tap, const float *t, float *T) {
    const float *on_grid;
    vkd_status status = regrid(tap, t, &on_grid);
    return status ? status : vkd_target_apply(&tap->target, on_grid, tap->shape.batch, tap->locations, T);
}

vkd_status vkd_tap_calibrate(vkd_tap *tap, const float *t, int images) {
    const float *on_grid;
    vkd_status status = regrid(tap, t, &on_grid);
    if (status) return status;
    vkd_samples_choose(&tap->samples, tap->mask);
    vkd_samples_keep(&tap->samples, images);
    if (!tap->samples.count) return VKD_OK;
    vkd_samples_gather(&tap->samples, on_grid, tap->shape.n, tap->Z);
    return vkd_target_calibrate(&tap->target, tap->Z, 1, tap->samples.count);
}

// ---- weight and update
// ------------------------------------------------------------------------------------------

double vkd_tap_weigh(vkd_tap *tap, const float *task, double factor) {
    const vkd_tap_shape *s = &tap->shape;
    size_t planes = (size_t)s->batch * (size_t)s->k, grid = (size_t)s->h * (size_t)s->w;
    if (!tap->samples.count) return tap->weight = tap->ratio = 0; // without an object, which is no fault
    double task_norm = sqrt(vkd_dot(task, task, NULL, planes, grid));
    double loss_norm = sqrt(vkd_dot(tap->dx, tap->dx, NULL, planes, grid));
    vkd_norms norms = {tap->task_norm, tap->loss_norm, tap->norm_steps, tap->idle};
    bool is_ratio = !tap->options.has_weight;
    tap->weight = vkd_weigh(&norms, task_norm, loss_norm, is_ratio,
                            is_ratio ? tap->options.ratio : tap->options.weight, factor);
    tap->task_norm = norms.task;
    tap->loss_norm = norms.loss;
    tap->norm_steps = (long)norms.steps;
    tap->idle = norms.idle;
    tap->ratio = vkd_ratio(tap->weight, task_norm, loss_norm);
    return tap->weight;
}

vkd_status vkd_tap_update(vkd_tap *tap, double rate) {
    vkd_student_update(&tap->student, tap->options.momentum);
    tap->refused = 0;
    return vkd_projection_update(&tap->projection, rate * tap->options.learning_rate);
}
