#include "core/target.h"

#include "core/scalars.h"
#include "numerics/finite.h"
#include "numerics/normalize.h"
#include "numerics/parallel.h"
#include "numerics/whiten.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A whitening matrix costs an eigen-solve of n^3. Running statistics of a frozen teacher settle, so it is
// made at every batch at first and then once in so many.
enum { refresh_always_until = 32, refresh_interval = 32 };

size_t vkd_target_second_size(const vkd_target *t) {
    size_t n = (size_t)t->n;
    switch ((vkd_option_mode)t->options->mode) {
    case VKD_OPTION_MODE_STANDARDIZE:
        return n;
    case VKD_OPTION_MODE_WHITEN:
        return n * n;
    default:
        return 0;
    }
}

static size_t scratch_size(const vkd_target *t, int batch, int locations) {
    if (t->options->mode == VKD_OPTION_MODE_WHITEN) return (size_t)t->n * (size_t)locations;
    if (t->options->mode == VKD_OPTION_MODE_LAYERNORM) return (size_t)batch * (size_t)locations;
    return 0;
}

vkd_status vkd_target_resize(vkd_target *t, int batch, int locations) {
    size_t size = scratch_size(t, batch, locations);
    free(t->scratch);
    t->scratch = calloc(size ? size : 1, sizeof *t->scratch);
    return t->scratch ? VKD_OK : VKD_OUT_OF_MEMORY;
}

vkd_status vkd_target_create(vkd_target *t, const vkd_whiten_options *options, int n, int batch,
                             int locations) {
    memset(t, 0, sizeof *t);
    if (n < 1 || batch < 1 || locations < 1) return VKD_INVALID_ARGUMENT;
    t->options = options;
    t->n = n;
    size_t second = vkd_target_second_size(t);
    if (second) {
        bool whiten = options->mode == VKD_OPTION_MODE_WHITEN;
        size_t count = (size_t)n;
        t->mean = calloc(count, sizeof *t->mean);
        t->second = calloc(second, sizeof *t->second);
        t->batch_mean = calloc(count, sizeof *t->batch_mean);
        t->batch_second = calloc(second, sizeof *t->batch_second);
        t->offset = calloc(count, sizeof *t->offset);
        t->inv_std = calloc(count, sizeof *t->inv_std);
        if (!t->mean || !t->second || !t->batch_mean || !t->batch_second || !t->offset || !t->inv_std)
            return VKD_OUT_OF_MEMORY;
        if (whiten) {
            size_t a = vkd_covariance_workspace(n), b = vkd_whitening_matrix_workspace(n);
            t->W = calloc(second, sizeof *t->W);
            t->work = calloc((a > b ? a : b) + count, sizeof *t->work);
            if (!t->W || !t->work) return VKD_OUT_OF_MEMORY;
        }
    }
    return vkd_target_resize(t, batch, locations);
}

size_t vkd_target_bytes(const vkd_target *t, int batch, int locations) {
    size_t n = (size_t)t->n, second = vkd_target_second_size(t), scratch = scratch_size(t, batch, locations);
    size_t bytes = (scratch ? scratch : 1) * sizeof *t->scratch;
    if (second) bytes += 2 * (n * sizeof *t->mean + second * sizeof *t->second + n * sizeof *t->offset);
    if (t->W) {
        size_t a = vkd_covariance_workspace(t->n), b = vkd_whitening_matrix_workspace(t->n);
        bytes += second * sizeof *t->W + ((a > b ? a : b) + n) * sizeof *t->work;
    }
    return bytes;
}

// Multiply-adds of a covariance, and of an eigen-solve once in so many batches.
double vkd_target_work(const vkd_target *t, int samples) {
    double n = t->n;
    bool learns = t->W && t->options->statistics != VKD_OPTION_STATISTICS_CALIBRATED;
    return learns ? n * n * samples / 2 + 9 * n * n * n / refresh_interval : 0;
}

void vkd_target_free(vkd_target *t) {
    free(t->mean);
    free(t->second);
    free(t->batch_mean);
    free(t->batch_second);
    free(t->offset);
    free(t->inv_std);
    free(t->W);
    free(t->scratch);
    free(t->work);
    memset(t, 0, sizeof *t);
}

bool vkd_target_is_due(const vkd_target *t, long batches) {
    bool settles = t->options->mode == VKD_OPTION_MODE_WHITEN &&
                   t->options->statistics == VKD_OPTION_STATISTICS_RUNNING && t->options->momentum > 0;
    return !settles || batches <= refresh_always_until || batches % refresh_interval == 0;
}

vkd_status vkd_target_refresh(vkd_target *t) {
    const vkd_whiten_options *o = t->options;
    if (!vkd_target_second_size(t)) return VKD_OK;
    ++t->refreshes;
    for (int i = 0; i < t->n; ++i)
        t->offset[i] = (float)t->mean[i];
    if (o->mode == VKD_OPTION_MODE_STANDARDIZE) {
        for (int i = 0; i < t->n; ++i)
            t->inv_std[i] = (float)(1 / sqrt(t->second[i] + o->eps));
        return VKD_OK;
    }
    return vkd_whitening_matrix(t->second, t->n, o->shrinkage, o->rank, o->eps, (vkd_whitening)o->whitening,
                                t->W, &t->kept, &t->condition, t->work);
}

// Mean and second moments about it become those of a mixture: m of what was there, 1 - m of the batch. With d
// between the two means the second moment is m old + (1 - m) new + m (1 - m) d d', so that a batch of one
// sample, which has no spread of its own, brings some all the same. batch_mean is d afterwards.
static void mix(vkd_target *t, double m) {
    size_t n = (size_t)t->n;
    double *d = t->batch_mean;
    for (size_t i = 0; i < n; ++i) {
        double mean = m * t->mean[i] + (1 - m) * d[i];
        d[i] -= t->mean[i];
        t->mean[i] = mean;
    }
    bool whiten = t->options->mode == VKD_OPTION_MODE_WHITEN;
    for (size_t i = 0; i < n; ++i)
        for (size_t j = whiten ? 0 : i; j < (whiten ? n : i + 1); ++j) {
            size_t at = whiten ? i * n + j : i;
            t->second[at] = m * t->second[at] + (1 - m) * t->batch_second[at] + m * (1 - m) * d[i] * d[j];
        }
}

// batch_mean and batch_second of x alone.
static vkd_status measure(vkd_target *t, const float *x, int batch, int locations) {
    size_t second = vkd_target_second_size(t);
    if (t->options->mode == VKD_OPTION_MODE_WHITEN) {
        // The variances are scratch here; the covariance has them on its diagonal.
        vkd_channel_moments(x, batch, t->n, locations, t->batch_mean, t->work);
        if (!vkd_all_finite_double(t->batch_mean, (size_t)t->n)) return VKD_NOT_FINITE;
        vkd_status status =
            vkd_covariance(x, batch, t->n, locations, t->batch_mean, t->batch_second, t->work + t->n);
        if (status) return status;
    } else {
        vkd_channel_moments(x, batch, t->n, locations, t->batch_mean, t->batch_second);
    }
    if (!vkd_all_finite_double(t->batch_mean, (size_t)t->n) ||
        !vkd_all_finite_double(t->batch_second, second))
        return VKD_NOT_FINITE;
    return VKD_OK;
}

vkd_status vkd_target_observe(vkd_target *t, const float *x, int batch, int locations) {
    const vkd_whiten_options *o = t->options;
    size_t second = vkd_target_second_size(t);
    if (!second || o->statistics == VKD_OPTION_STATISTICS_CALIBRATED) return VKD_OK;
    vkd_status status = measure(t, x, batch, locations);
    if (status) return status;
    double m = 0; // statistics=batch
    if (o->statistics == VKD_OPTION_STATISTICS_RUNNING) m = vkd_average_keep(t->batches, o->momentum);
    mix(t, m);
    ++t->batches;
    return vkd_target_is_due(t, t->batches) ? vkd_target_refresh(t) : VKD_OK;
}

bool vkd_target_needs_calibration(const vkd_target *t) {
    return vkd_target_second_size(t) && t->options->statistics == VKD_OPTION_STATISTICS_CALIBRATED &&
           t->samples == 0;
}

vkd_status vkd_target_calibrate(vkd_target *t, const float *x, int batch, int locations) {
    if (!vkd_target_second_size(t)) return VKD_OK;
    vkd_status status = measure(t, x, batch, locations);
    if (!status) vkd_target_take(t, (long)batch * locations);
    return status;
}

void vkd_target_take(vkd_target *t, long samples) {
    mix(t, (double)t->samples / (double)(t->samples + samples));
    t->samples += samples;
}

vkd_status vkd_target_apply(vkd_target *t, const float *x, int batch, int locations, float *y) {
    const vkd_whiten_options *o = t->options;
    size_t size = (size_t)batch * (size_t)t->n * (size_t)locations;
    switch ((vkd_option_mode)o->mode) {
    case VKD_OPTION_MODE_NONE:
        if (y != x) memcpy(y, x, size * sizeof *y);
        return vkd_all_finite(y, size) ? VKD_OK : VKD_NOT_FINITE;
    case VKD_OPTION_MODE_LAYERNORM:
        vkd_layernorm_forward(x, batch, t->n, locations, o->eps, y, t->scratch);
        return vkd_all_finite(y, size) ? VKD_OK : VKD_NOT_FINITE;
    case VKD_OPTION_MODE_STANDARDIZE:
        vkd_normalize_apply(x, batch, t->n, locations, t->offset, t->inv_std, y);
        break;
    case VKD_OPTION_MODE_WHITEN:
        vkd_whiten_apply(x, batch, t->n, locations, t->W, t->offset, y, t->scratch);
        break;
    }
    // Statistics that took x in have seen that it is finite; calibrated ones have not.
    bool looked = o->statistics != VKD_OPTION_STATISTICS_CALIBRATED;
    return looked || vkd_all_finite(y, size) ? VKD_OK : VKD_NOT_FINITE;
}

vkd_status vkd_target_normalize(vkd_target *t, const float *x, int batch, int locations, float *y) {
    vkd_status status = vkd_target_observe(t, x, batch, locations);
    return status ? status : vkd_target_apply(t, x, batch, locations, y);
}

void vkd_target_centre(const vkd_target *t, float *x, int samples) {
    VKD_PARALLEL_FOR
    for (int i = 0; i < t->n; ++i)
        for (int j = 0; j < samples; ++j)
            x[(size_t)i * (size_t)samples + (size_t)j] -= t->offset[i];
}
