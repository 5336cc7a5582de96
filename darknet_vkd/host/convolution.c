// Which of Darknet's convolutions Winograd's filtering does on the CPU, and how.
#define _POSIX_C_SOURCE 200809L
#include "host/hooks.h"
#include "host/plugin.h"
#include "numerics/parallel.h"

vkd_winograd vkd_winograd_of(const layer *l) {
    bool fits = l->type == CONVOLUTIONAL && l->size == 3 && l->stride == 1 && l->pad == 1 && l->groups == 1 &&
                !l->xnor && !l->binary;
    return (vkd_winograd){
        .m = fits ? vkd_winograd_choose(l->c, l->n, l->h, l->w) : 0,
        .c = l->c,
        .n = l->n,
        .h = l->h,
        .w = l->w,
        .threads = vkd_threads(),
    };
}

size_t vkd_convolution_workspace(const layer *l) {
    vkd_winograd s = vkd_winograd_of(l);
    return s.m ? vkd_winograd_workspace(&s) * sizeof(float) : 0;
}

// Not where a loader of another program set the workspace: it must be large enough.
static bool has_room(const vkd_winograd *s, const layer *l) {
    return s->m && vkd_winograd_workspace(s) * sizeof(float) <= l->workspace_size;
}

int vkd_convolve(const layer *l, const float *input, float *workspace, float *output) {
    vkd_winograd s = vkd_winograd_of(l);
    return has_room(&s, l) && vkd_winograd_forward(&s, l->weights, NULL, input, l->batch, output,
                                                   VKD_WINOGRAD_LINEAR, workspace) == VKD_OK;
}

int vkd_convolve_adjoint(const layer *l, const float *delta, float *workspace, float *input_delta) {
    vkd_winograd s = vkd_winograd_of(l);
    return has_room(&s, l) &&
           vkd_winograd_adjoint(&s, l->weights, delta, l->batch, input_delta, workspace) == VKD_OK;
}
