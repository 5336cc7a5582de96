// Darknet's convolutions on the CPU, handed to numerics/convolution.h.
#define _POSIX_C_SOURCE 200809L
#include "host/hooks.h"
#include "host/plugin.h"
#include "numerics/parallel.h"

#include <stdatomic.h>

// As many as when the first layer's workspace was measured, whatever is set afterwards.
static int threads(void) {
    static atomic_int measured;
    int then = 0, now = vkd_threads();
    return atomic_compare_exchange_strong(&measured, &then, now) ? now : then;
}

// Bytes, as Darknet's own: resize_network() refuses workspaces of more than 2e9.
static const size_t most_workspace = (size_t)1 << 30;

bool vkd_is_plain_convolution(const layer *l) {
    return l->type == CONVOLUTIONAL && !l->xnor && !l->binary;
}

// A shape without channels, which no method serves, for what is no plain convolution.
vkd_convolution vkd_convolution_of(const layer *l) {
    const bool plain = vkd_is_plain_convolution(l) && l->groups == 1;
    const vkd_convolution s = {
        .c = plain ? l->c : 0,
        .h = l->h,
        .w = l->w,
        .n = l->n,
        .size = l->size,
        .stride = l->stride,
        .pad = l->pad,
        .threads = threads(),
    };
    return vkd_convolution_within(s, most_workspace / sizeof(float));
}

size_t vkd_convolution_bytes(const layer *l) {
    const vkd_convolution s = vkd_convolution_of(l);
    return vkd_convolution_workspace(&s) * sizeof(float);
}

// Not where a loader of another program set the workspace: it must be large enough.
static bool has_room(const layer *l) {
    return vkd_convolution_bytes(l) <= l->workspace_size;
}

bool vkd_convolve_measured(const layer *l, const float *input, float *workspace, float *output,
                           float *moments) {
    const vkd_convolution s = vkd_convolution_of(l);
    const vkd_ending ending = {.moments = moments};
    return has_room(l) &&
           vkd_convolution_forward(&s, l->weights, input, l->batch, output, &ending, workspace);
}

int vkd_convolve(const layer *l, const float *input, float *workspace, float *output) {
    return vkd_convolve_measured(l, input, workspace, output, NULL);
}

int vkd_convolve_backward(const layer *l, const float *input, float *workspace, float **input_delta) {
    const vkd_convolution s = vkd_convolution_of(l);
    if (!has_room(l)) return 0;
    if (*input_delta && vkd_convolution_adjoint(&s, l->weights, l->delta, l->batch, *input_delta, workspace))
        *input_delta = NULL;
    // Darknet's own way makes both gradients from one im2col.
    return !*input_delta &&
           vkd_convolution_gradient(&s, input, l->delta, l->batch, l->weight_updates, workspace);
}
