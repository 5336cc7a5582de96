// The memory of a frozen teacher: its weights, and one block that its layers share. Their workspace is at its
// start, and outputs lie where no workspace is needed and no other output lives: an output's place is
// another's as soon as its last reader has run.
#define _DEFAULT_SOURCE // madvise
#include "core/memory_plan.h"
#include "host/plugin.h"
#include "host/run.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

// The block is measured in cache lines of so many floats.
enum { LINE = 16 };

// Where a layer's output, its places of maxima and its copy of the input lie: on the teacher's device or the
// host.
#ifdef GPU
#define PLACE(net, l, buffer) (vkd_is_on_device(net) ? &(l)->buffer##_gpu : &(l)->buffer)
#else
#define PLACE(net, l, buffer) (&(l)->buffer)
#endif

static size_t lines(size_t floats) {
    return (floats + LINE - 1) / LINE;
}

static size_t values_of(const layer *l) {
    return (size_t)l->outputs * (size_t)l->batch;
}

// Heads keep their outputs, and a delta that they write in inference too; recurrent layers hold a state.
bool vkd_teacher_shares_output(const layer *l) {
    switch (l->type) {
    case CONVOLUTIONAL:
    case MAXPOOL:
    case AVGPOOL:
    case ROUTE:
    case SHORTCUT:
    case UPSAMPLE:
    case REORG:
    case BATCHNORM:
        return true;
    default:
        return false;
    }
}

// ---- what only training needs
// ---------------------------------------------------------------------------------

static void drop(float **buffer) {
    free(*buffer);
    *buffer = NULL;
}

static void drop_training_buffers(layer *l) {
    if (l->type == BATCHNORM || vkd_is_plain_convolution(l)) {
        drop(&l->x);
        drop(&l->x_norm);
        drop(&l->weight_updates);
        drop(&l->bias_updates);
        drop(&l->scale_updates);
        drop(&l->mean_delta);
        drop(&l->variance_delta);
    }
    if (vkd_teacher_shares_output(l)) drop(&l->delta);
}

// ---- the block
// -------------------------------------------------------------------------------------------------

// Whose output it is: [dropout] works on the one of the layer above.
static int owner_of(const network *net, int i) {
    while (net->layers[i].type == DROPOUT)
        --i;
    return i;
}

static void is_read(const network *net, vkd_lifetime *life, int i, int reader) {
    if (i >= 0) life[owner_of(net, i)].last = reader;
}

// What one layer needs for the time of its pass, in lines. A pooling layer notes there where its maxima
// were.
static size_t workspace_of(const network *net, const layer *l) {
    if (l->type == MAXPOOL) return lines(values_of(l));
    if (vkd_is_on_device(net)) return lines((l->workspace_size + sizeof(float) - 1) / sizeof(float));
    return lines(vkd_teacher_workspace(l));
}

// kept: NULL for all.
static void lifetimes(const network *net, const int *kept, int count, vkd_lifetime *life) {
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        life[i] = (vkd_lifetime){vkd_teacher_shares_output(l) ? lines(values_of(l)) : 0, kept ? i : net->n,
                                 workspace_of(net, l)};
    }
    for (int i = 0; i < net->n && kept; ++i) {
        const layer *l = &net->layers[i];
        if (l->type != ROUTE) is_read(net, life, i - 1, i);
        for (int s = 0; l->type == ROUTE && s < l->n; ++s)
            is_read(net, life, l->input_layers[s], i);
        if (l->type == SHORTCUT) is_read(net, life, l->index, i);
    }
    for (int t = 0; t < count && kept; ++t)
        is_read(net, life, kept[t], net->n);
    // A shortcut that alone reads the convolution above is written by it, at its time and in its place.
    for (int i = 1; i < net->n && kept; ++i)
        if (life[i - 1].last == i && vkd_teacher_may_join(net, i)) {
            life[i - 1].last = life[i].last;
            life[i].size = 0;
        }
}

bool vkd_teacher_is_joined(const network *net, int i) {
    return i > 0 && i < net->n && net->layers[i].type == SHORTCUT &&
           *PLACE(net, &net->layers[i], output) == *PLACE(net, &net->layers[i - 1], output);
}

void vkd_teacher_let_go(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (vkd_teacher_shares_output(l)) *PLACE(net, l, output) = NULL;
        if (l->type == MAXPOOL) *PLACE(net, l, indexes) = NULL;
        if (l->type == BATCHNORM) *PLACE(net, l, x) = NULL;
    }
    if (vkd_is_on_device(net))
        vkd_device_copy_free(net->workspace);
    else
        free(net->workspace);
    net->workspace = NULL;
}

static void share(network *net, const vkd_lifetime *life, const size_t *offset) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (vkd_teacher_shares_output(l)) *PLACE(net, l, output) = net->workspace + offset[i] * LINE;
        if (l->type == SHORTCUT && !life[i].size) *PLACE(net, l, output) = *PLACE(net, &l[-1], output);
        if (l->type == MAXPOOL) *PLACE(net, l, indexes) = (int *)net->workspace;
        // Its copy of the input, which it writes over.
        if (l->type == BATCHNORM) *PLACE(net, l, x) = *PLACE(net, l, output);
        if (l->type == DROPOUT) *PLACE(net, l, output) = *PLACE(net, &l[-1], output), l->delta = l[-1].delta;
    }
    net->output = net->layers[net->n - 1].output;
}

// In large pages where the system has them: a product walks through several of the small ones' worth at once.
static float *allocate_block(size_t bytes) {
    const size_t page = (size_t)2 << 20;
    if (bytes < page) return aligned_alloc(LINE * sizeof(float), bytes);
    bytes = (bytes + page - 1) / page * page;
    float *block = aligned_alloc(page, bytes);
#ifdef MADV_HUGEPAGE
    if (block) madvise(block, bytes, MADV_HUGEPAGE); // or not: it is advice
#endif
    return block;
}

void vkd_teacher_keep(network *net, const int *kept, int count) {
    vkd_teacher_let_go(net);
    vkd_lifetime *life = calloc((size_t)net->n, sizeof *life);
    size_t *offset = calloc((size_t)net->n, sizeof *offset);
    if (!life || !offset) vkd_fail("no memory for the teacher's outputs");
    lifetimes(net, kept, count, life);
    const size_t line = LINE * sizeof(float), bytes = line * (1 + vkd_memory_plan(life, net->n, offset));
    net->workspace =
        vkd_is_on_device(net) ? vkd_device_copy_of(NULL, bytes / sizeof(float)) : allocate_block(bytes);
    if (!net->workspace) vkd_fail("no memory for the teacher's outputs: %zu bytes", bytes);
    share(net, life, offset);
    free(life);
    free(offset);
}

void vkd_teacher_free_training(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        drop_training_buffers(l);
        if (vkd_teacher_shares_output(l)) drop(&l->output);
        if (l->type == MAXPOOL) free(l->indexes), l->indexes = NULL;
    }
    drop(&net->input); // it looks at the student's
    drop(&net->truth);
#ifdef __GLIBC__
    malloc_trim(0); // it would otherwise stay with the process
#endif
}

// ---- how much it is
// --------------------------------------------------------------------------------------------

// In lines. The outputs' places tell how long the block is.
static size_t block_of(const network *net) {
    size_t most = 0;
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        size_t end = workspace_of(net, l);
        if (end > most) most = end;
        if (!vkd_teacher_shares_output(l)) continue;
        end = (size_t)(l->output - net->workspace) / LINE + lines(values_of(l));
        if (end > most) most = end;
    }
    return most;
}

static size_t own_bytes(const layer *l) {
    size_t weights = l->type == CONNECTED ? (size_t)l->outputs * (size_t)l->inputs : (size_t)l->nweights;
    size_t filters = (size_t)(l->type == CONNECTED ? l->outputs : l->type == BATCHNORM ? l->c : l->n);
    float *const of_outputs[] = {l->output, l->delta, l->x, l->x_norm};
    float *const of_weights[] = {l->weights, l->weight_updates};
    float *const of_filters[] = {l->biases,       l->bias_updates,     l->scales, l->scale_updates,
                                 l->rolling_mean, l->rolling_variance, l->mean,   l->variance,
                                 l->mean_delta,   l->variance_delta};
    size_t floats = 0;
    for (size_t b = vkd_teacher_shares_output(l) ? 1 : 0; b < sizeof of_outputs / sizeof *of_outputs; ++b)
        if (of_outputs[b] && !(b && of_outputs[b] == l->output)) floats += values_of(l);
    for (size_t b = 0; b < sizeof of_weights / sizeof *of_weights; ++b)
        if (of_weights[b]) floats += weights;
    for (size_t b = 0; b < sizeof of_filters / sizeof *of_filters; ++b)
        if (of_filters[b]) floats += filters;
    return floats * sizeof(float);
}

size_t vkd_teacher_bytes(const network *teacher) {
    size_t bytes = block_of(teacher) * LINE * sizeof(float);
    for (int i = 0; i < teacher->n; ++i)
        if (teacher->layers[i].type != DROPOUT) bytes += own_bytes(&teacher->layers[i]);
    return bytes;
}
