#include "core/tap_merge.h"

#include <string.h>

enum { most_taps = 64 }; // GPUs of one machine

static bool are_alike(vkd_tap *const *taps, int count) {
    for (int i = 1; i < count; ++i)
        if (taps[i]->target.n != taps[0]->target.n ||
            taps[i]->options.whiten.mode != taps[0]->options.whiten.mode ||
            taps[i]->options.whiten.statistics != taps[0]->options.whiten.statistics ||
            taps[i]->student.norm != taps[0]->student.norm)
            return false;
    return count > 0 && count <= most_taps;
}

// ---- the teacher's statistics
// ------------------------------------------------------------------------------------

static void merge_mean(vkd_tap *const *taps, int count, double *mean) {
    for (int i = 0; i < taps[0]->target.n; ++i) {
        mean[i] = 0;
        for (int j = 0; j < count; ++j)
            mean[i] += taps[j]->target.mean[i] / count;
    }
}

// The mean of the second moments and of d d', d the way from the common mean to a tap's own.
static double merged_moment(vkd_tap *const *taps, int count, const double *mean, size_t at, int i, int j) {
    double sum = 0;
    for (int t = 0; t < count; ++t) {
        const vkd_target *one = &taps[t]->target;
        sum += one->second[at] + (one->mean[i] - mean[i]) * (one->mean[j] - mean[j]);
    }
    return sum / count;
}

static void merge_second(vkd_tap *const *taps, int count, const double *mean, double *second) {
    int n = taps[0]->target.n;
    if (!taps[0]->target.W) {
        for (int i = 0; i < n; ++i)
            second[i] = merged_moment(taps, count, mean, (size_t)i, i, i);
        return;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            size_t at = (size_t)i * (size_t)n + (size_t)j;
            second[at] = merged_moment(taps, count, mean, at, i, j);
        }
}

// Of running averages of taps that have all seen something.
static void average_statistics(vkd_tap *const *taps, int count) {
    vkd_target *first = &taps[0]->target;
    size_t n = (size_t)first->n, second = vkd_target_second_size(first);
    merge_mean(taps, count, first->batch_mean);
    merge_second(taps, count, first->batch_mean, first->batch_second);
    memcpy(first->mean, first->batch_mean, n * sizeof *first->mean);
    memcpy(first->second, first->batch_second, second * sizeof *first->second);
    for (int i = 1; i < count; ++i)
        if (taps[i]->target.batches > first->batches) first->batches = taps[i]->target.batches;
    if (!first->W) vkd_target_refresh(first);
}

static void copy_statistics(vkd_target *t, const vkd_target *from) {
    size_t n = (size_t)from->n, second = vkd_target_second_size(from);
    memcpy(t->mean, from->mean, n * sizeof *t->mean);
    memcpy(t->second, from->second, second * sizeof *t->second);
    memcpy(t->offset, from->offset, n * sizeof *t->offset);
    if (t->W)
        memcpy(t->W, from->W, second * sizeof *t->W);
    else
        memcpy(t->inv_std, from->inv_std, n * sizeof *t->inv_std);
    t->batches = from->batches;
    t->samples = from->samples;
    t->kept = from->kept;
    t->condition = from->condition;
}

static void merge_statistics(vkd_tap *const *taps, int count) {
    vkd_tap *seeing[most_taps]; // a GPU without an object so far has seen nothing
    int with = 0;
    if (!vkd_target_second_size(&taps[0]->target)) return;
    if (taps[0]->target.options->statistics == VKD_OPTION_STATISTICS_RUNNING) {
        for (int i = 0; i < count; ++i)
            if (taps[i]->target.batches) seeing[with++] = taps[i];
        if (!with) return;
        average_statistics(seeing, with);
    }
    const vkd_tap *first = with ? seeing[0] : taps[0];
    for (int i = 0; i < count; ++i)
        if (taps[i] != first) copy_statistics(&taps[i]->target, &first->target);
}

// ---- scalars
// -------------------------------------------------------------------------------------------------------

static void merge_gain(vkd_tap *const *taps, int count) {
    double sum = 0;
    int with = 0;
    for (int i = 0; i < count; ++i) {
        if (!(taps[i]->student.gain > 0)) continue;
        sum += taps[i]->student.gain;
        ++with;
    }
    for (int i = 0; i < count && with; ++i)
        taps[i]->student.gain = sum / with;
}

static void merge_norms(vkd_tap *const *taps, int count) {
    double task = 0, loss = 0;
    long steps = 0;
    int with = 0;
    for (int i = 0; i < count; ++i) {
        if (!taps[i]->norm_steps) continue;
        task += taps[i]->task_norm;
        loss += taps[i]->loss_norm;
        steps = taps[i]->norm_steps > steps ? taps[i]->norm_steps : steps;
        ++with;
    }
    for (int i = 0; i < count && with; ++i) {
        taps[i]->task_norm = task / with;
        taps[i]->loss_norm = loss / with;
        taps[i]->norm_steps = steps;
    }
}

vkd_status vkd_tap_merge(vkd_tap *const *taps, int count) {
    vkd_projection *projections[most_taps];
    if (!are_alike(taps, count)) return VKD_INVALID_ARGUMENT;
    for (int i = 0; i < count; ++i)
        projections[i] = &taps[i]->projection;
    vkd_status status = vkd_projection_merge(projections, count);
    if (status || count == 1) return status;
    merge_gain(taps, count);
    merge_norms(taps, count);
    merge_statistics(taps, count);
    return VKD_OK;
}
