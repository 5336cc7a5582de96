#include "core/tap_loss.h"
#include "gpu/tap_parts.h"

#include <stdlib.h>
#include <string.h>

// ---- memory
// ---------------------------------------------------------------------------------------------------

typedef struct buffer {
    void *at; // of a pointer
    bool wanted, pinned;
    size_t bytes;
} buffer;

enum { grid_buffers = 15, channel_buffers = 22 };

static bool whitens(const vkd_tap *tap) {
    return tap->options.whiten.mode == VKD_OPTION_MODE_WHITEN;
}

// What depends on the grid: the one list of what is made, counted and freed.
static void list_grid_buffers(const vkd_tap *tap, vkd_device_grid *g, buffer *list) {
    size_t n = (size_t)tap->shape.n, k = (size_t)tap->shape.k;
    size_t samples = (size_t)g->shape.batch * (size_t)g->locations, one = sizeof(float);
    bool isometric = vkd_tap_is_isometric(&tap->options, &tap->projection),
         weighed = vkd_tap_weighs(&tap->options);
    int norm = tap->options.student_norm;
    bool by_sample = norm == VKD_OPTION_STUDENT_LAYERNORM;
    const buffer buffers[grid_buffers] = {
        {&g->origin, true, false, samples * sizeof(int)},
        {&g->slot, true, false, samples * sizeof(int)},
        {&g->dx, true, false, vkd_tap_maps(&g->shape) * one},
        {&g->Z, true, false, samples * n * one},
        {&g->T, whitens(tap) && !tap->folded, false, samples * n * one},
        {&g->X, true, false, samples * k * one},
        {&g->dX, true, false, samples * k * one},
        {&g->weight_of, weighed, false, samples * one},
        {&g->weighted, weighed && isometric, false, samples * k * one},
        {&g->residual, !isometric, false, samples * n * one},
        {&g->scales, by_sample || norm == VKD_OPTION_STUDENT_STANDARDIZE, false,
         (by_sample ? samples : k) * one},
        {&g->teacher_scales, tap->options.whiten.mode == VKD_OPTION_MODE_LAYERNORM, false, samples * one},
        {&g->origin_staged, true, true, samples * sizeof(int)},
        {&g->slot_staged, true, true, samples * sizeof(int)},
        {&g->weight_staged, weighed, true, samples * one},
    };
    memcpy(list, buffers, sizeof buffers);
}

static void list_channel_buffers(vkd_device_tap *d, buffer *list) {
    const vkd_tap *tap = d->tap;
    size_t n = (size_t)tap->shape.n, k = (size_t)tap->shape.k, one = sizeof(float), two = sizeof(double);
    size_t matrix = vkd_matrix_size(&tap->projection) * one, second = vkd_target_second_size(&tap->target);
    size_t sums = (size_t)VKD_SUMS * (size_t)vkd_device_launch(d->device)->parts;
    bool has = second > 0, whiten = whitens(tap), folds = tap->folded != NULL;
    const buffer buffers[channel_buffers] = {
        {&d->state, true, false, sizeof *d->state},
        {&d->sums, true, false, sums * two},
        {&d->V, true, false, matrix},
        {&d->gradient, true, false, matrix},
        {&d->part, true, false, matrix},
        {&d->folded, folds, false, n * k * one},
        {&d->cross, folds, false, n * k * one},
        {&d->run, whiten, false, n * VKD_DEVICE_RUN * one},
        {&d->gram, whiten, false, n * n * one},
        {&d->mean, has, false, n * two},
        {&d->second, has, false, second * two},
        {&d->batch_mean, has, false, n * two},
        {&d->batch_second, has, false, second * two},
        {&d->offset, has, false, n * one},
        {&d->inv_std, has, false, n * one},
        {&d->W, whiten, false, n * n * one},
        {&d->state_staged, true, true, sizeof *d->state_staged},
        {&d->state_fetched, true, true, sizeof *d->state_fetched},
        {&d->gradient_fetched, true, true, matrix},
        {&d->V_staged, true, true, matrix},
        {&d->moments_staged, has, true, (n + second) * two},
        {&d->applied_staged, has, true, (n + second) * one},
    };
    memcpy(list, buffers, sizeof buffers);
}

static void set(const buffer *b, void *memory) {
    memcpy(b->at, &memory, sizeof memory);
}

static bool take(vkd_device *device, const buffer *list, int count) {
    bool made = true;
    for (int i = 0; i < count && made; ++i) {
        const buffer *b = &list[i];
        void *memory = !b->wanted  ? NULL
                       : b->pinned ? vkd_pinned_alloc(device, b->bytes)
                                   : vkd_device_alloc(device, b->bytes);
        set(b, memory);
        made = memory || !b->wanted;
    }
    return made;
}

static void drop(vkd_device *device, const buffer *list, int count) {
    for (int i = 0; i < count; ++i) {
        void *memory;
        memcpy(&memory, list[i].at, sizeof memory);
        if (list[i].pinned)
            vkd_pinned_free(device, memory);
        else
            vkd_device_free(device, memory);
        set(&list[i], NULL);
    }
}

static size_t bytes_of(const buffer *list, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; ++i)
        bytes += list[i].wanted && !list[i].pinned ? list[i].bytes : 0;
    return bytes;
}

static vkd_status answer(vkd_device *device) {
    vkd_status status = vkd_device_status(device);
    return status ? status : VKD_OUT_OF_MEMORY;
}

static bool make_grid(vkd_device_tap *d, vkd_device_grid *g, vkd_tap_shape shape) {
    buffer list[grid_buffers];
    *g = (vkd_device_grid){.shape = shape, .locations = vkd_tap_pools(d->tap) ? 1 : shape.h * shape.w};
    list_grid_buffers(d->tap, g, list);
    return take(d->device, list, grid_buffers);
}

static void free_grid(vkd_device_tap *d, vkd_device_grid *g) {
    buffer list[grid_buffers];
    if (d->staged) vkd_event_wait(d->device, d->staged); // out of pinned memory that goes now
    list_grid_buffers(d->tap, g, list);
    drop(d->device, list, grid_buffers);
}

size_t vkd_device_tap_bytes(const vkd_device_tap *d) {
    vkd_device_tap look = *d; // the lists hold addresses, of which only the sizes are read
    buffer grid[grid_buffers], channels[channel_buffers];
    list_grid_buffers(look.tap, &look.grid, grid);
    list_channel_buffers(&look, channels);
    return bytes_of(grid, grid_buffers) + bytes_of(channels, channel_buffers);
}

vkd_status vkd_device_tap_create(vkd_device_tap **out, vkd_device *device, vkd_tap *tap) {
    *out = NULL;
    vkd_device_tap *d = calloc(1, sizeof *d);
    if (!d) return VKD_OUT_OF_MEMORY;
    d->device = device;
    d->tap = tap;
    vkd_device_use(device);
    buffer channels[channel_buffers];
    list_channel_buffers(d, channels);
    bool made = take(device, channels, channel_buffers) && make_grid(d, &d->grid, tap->shape);
    if (made) made = (d->staged = vkd_event_create(device)) != NULL;
    if (made) made = (d->fetched = vkd_event_create(device)) != NULL;
    if (made) made = (d->copied = vkd_event_create(device)) != NULL;
    if (made) made = (d->worker = vkd_worker_create()) != NULL;
    vkd_status status = made ? vkd_device_tap_push(d) : answer(device);
    if (status)
        vkd_device_tap_free(d);
    else
        *out = d;
    return status;
}

void vkd_device_tap_free(vkd_device_tap *d) {
    if (!d) return;
    vkd_device_use(d->device);
    if (d->worker) vkd_device_tap_settle(d);
    vkd_worker_free(d->worker);
    buffer channels[channel_buffers];
    list_channel_buffers(d, channels);
    free_grid(d, &d->grid);
    drop(d->device, channels, channel_buffers);
    vkd_event_free(d->device, d->staged);
    vkd_event_free(d->device, d->fetched);
    vkd_event_free(d->device, d->copied);
    free(d);
}

vkd_status vkd_device_tap_resize(vkd_device_tap *d, vkd_tap_shape shape) {
    if (shape.batch < 1 || shape.h < 1 || shape.w < 1 || shape.th < 1 || shape.tw < 1)
        return VKD_INVALID_ARGUMENT;
    vkd_device_use(d->device);
    vkd_device_grid next;
    vkd_status status = make_grid(d, &next, shape) ? VKD_OK : answer(d->device);
    if (!status) status = vkd_tap_resize(d->tap, shape);
    if (!status) { // the old buffers go with `next`
        vkd_device_grid old = d->grid;
        d->grid = next;
        next = old;
    }
    free_grid(d, &next);
    return status;
}

const float *vkd_device_tap_dx(const vkd_device_tap *d) {
    return d->grid.dx;
}
