// One P out of those that were trained side by side.
#include "core/projection_parts.h"

#include "numerics/parallel.h"
#include "numerics/stiefel.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

// Polar factors of means are found by Newton-Schulz steps, each of which raises a small singular value by
// half.
enum { most_polishes = 40 };

static bool are_alike(vkd_projection *const *p, int count) {
    for (int i = 1; i < count; ++i)
        if (p[i]->n != p[0]->n || p[i]->k != p[0]->k || p[i]->map != p[0]->map ||
            p[i]->rebase != p[0]->rebase)
            return false;
    return count > 0;
}

static bool share_base(vkd_projection *const *p, int count, size_t size) {
    for (int i = 1; i < count; ++i)
        if (memcmp(p[i]->base, p[0]->base, size * sizeof(float)) != 0) return false;
    return true;
}

// Of one of their matrices, which lies `offset` bytes into the struct.
static float *matrix_at(vkd_projection *p, size_t offset) {
    float *matrix;
    memcpy(&matrix, (char *)p + offset, sizeof matrix);
    return matrix;
}

static void take_mean(vkd_projection *const *p, int count, size_t offset, size_t size, float *mean) {
    for (size_t i = 0; i < size; ++i) {
        double sum = 0;
        for (int j = 0; j < count; ++j)
            sum += matrix_at(p[j], offset)[i];
        mean[i] = (float)(sum / count);
    }
}

// V <- its polar factor.
static vkd_status polish_to_the_end(vkd_projection *p) {
    vkd_status status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    for (int i = 0;
         i < most_polishes && !status && !(p->defect <= vkd_projection_defect_limit * sqrt(p->cols)); ++i) {
        status = vkd_stiefel_polish(p->V, p->rows, p->cols, p->work);
        if (!status) status = vkd_stiefel_defect(p->V, p->rows, p->cols, &p->defect, p->work);
    }
    if (!status && !(p->defect <= vkd_projection_defect_limit * sqrt(p->cols))) return VKD_SINGULAR;
    return status;
}

static vkd_status merge_V(vkd_projection *const *p, int count, size_t size) {
    vkd_projection *first = p[0];
    const vkd_orthogonal_map *map = vkd_projection_base_map(first->map);
    if (first->cross) {
        int with = 0; // those that have seen a gradient
        for (int j = 0; j < count; ++j)
            with += p[j]->count > 0;
        if (!with) return VKD_OK;
        for (size_t i = 0; i < size; ++i) {
            double sum = 0;
            for (int j = 0; j < count; ++j)
                if (p[j]->count) sum += p[j]->cross[i];
            first->cross[i] = sum / with;
        }
        return vkd_projection_move(first, 1);
    }
    if (map && first->rebase == 0 && share_base(p, count, size)) {
        take_mean(p, count, offsetof(vkd_projection, D), size, first->step);
        // Away from the base as soon as one of them is.
        int since_rebase = first->since_rebase;
        for (int i = 1; i < count; ++i)
            if (p[i]->since_rebase > first->since_rebase) first->since_rebase = p[i]->since_rebase;
        vkd_status status = vkd_projection_go_to(first, map, first->step, first->V);
        if (status) { // LCOV_EXCL_START the Ds are finite, and so is their mean
            first->since_rebase = since_rebase;
            return status;
        } // LCOV_EXCL_STOP
        memcpy(first->D, first->step, size * sizeof *first->D);
        return vkd_projection_mend(first);
    }
    memcpy(first->step, first->V, size * sizeof *first->V);
    take_mean(p, count, offsetof(vkd_projection, V), size, first->V);
    vkd_status status = map ? polish_to_the_end(first) : VKD_OK;
    if (status) memcpy(first->V, first->step, size * sizeof *first->V);
    if (status || !first->base) return status;
    memcpy(first->base, first->V, size * sizeof *first->base);
    memset(first->D, 0, size * sizeof *first->D);
    first->since_rebase = 0;
    first->is_kept = false;
    return VKD_OK;
}

static void copy_matrix(float *to, const float *from, size_t size) {
    if (to && from) memcpy(to, from, size * sizeof *to); // alike maps have both
}

vkd_status vkd_projection_merge(vkd_projection *const *p, int count) {
    if (!are_alike(p, count)) return VKD_INVALID_ARGUMENT;
    vkd_projection *first = p[0];
    size_t size = (size_t)first->rows * (size_t)first->cols;
    if (vkd_projection_is_fixed(first) || count == 1) return VKD_OK;
    int threads = vkd_projection_take_threads(first);
    vkd_status status = merge_V(p, count, size);
    vkd_limit_threads(threads);
    if (status) return status;
    if (first->momentum) take_mean(p, count, offsetof(vkd_projection, momentum), size, first->momentum);
    for (int i = 1; i < count; ++i) {
        copy_matrix(p[i]->V, first->V, size);
        copy_matrix(p[i]->momentum, first->momentum, size);
        copy_matrix(p[i]->base, first->base, size);
        copy_matrix(p[i]->D, first->D, size);
        if (first->cross) memcpy(p[i]->cross, first->cross, size * sizeof *first->cross);
        if (p[i]->count > first->count) first->count = p[i]->count;
        p[i]->since_rebase = first->since_rebase;
        p[i]->is_kept = false;
        p[i]->defect = first->defect;
    }
    for (int i = 1; i < count; ++i)
        p[i]->count = first->count;
    return VKD_OK;
}
