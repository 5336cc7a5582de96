// What the device tap's own files share. Private to gpu/.
#ifndef VKD_GPU_TAP_PARTS_H
#define VKD_GPU_TAP_PARTS_H

#include "gpu/device_tap.h"
#include "gpu/state.h"
#include "gpu/worker.h"

#include <stdint.h>

enum { VKD_DEVICE_RUN = 2048 }; // samples of a product whose result is only summed

// What depends on the grid; N is at most B * locations.
typedef struct vkd_device_grid {
    vkd_tap_shape shape;
    int locations;
    bool is_whole; // origin and slot say that every location counts
    int *origin;   // (N) see grid_kernels.h
    int *slot;     // (B,locations)
    float *weight_of, *Z, *T, *X, *dX, *dx, *weighted, *residual; // as in core/tap.h
    float *scales;                                                // (k), (N) the student's inv_std
    float *teacher_scales;                                        // (N) mode=layernorm
    // Pinned, for the three of them.
    int *origin_staged, *slot_staged; // (B,locations)
    float *weight_staged;             // (B,locations)
} vkd_device_grid;

struct vkd_device_tap {
    vkd_device *device;
    vkd_tap *tap;
    vkd_device_grid grid;

    vkd_device_state *state;
    double *sums;                      // (VKD_SUMS,parts)
    float *V;                          // (rows,cols) of vkd_projection
    float *gradient;                   // (rows,cols) summed since the last fetch
    float *part;                       // (rows,cols) of one forward
    float *folded, *cross;             // (n,k) as in core/tap.h
    float *run;                        // (n,VKD_DEVICE_RUN)
    float *gram;                       // (n,n)
    double *mean, *second;             // as in core/target.h
    double *batch_mean, *batch_second; // the same
    float *offset, *inv_std, *W;       // the same
    // Pinned; what is fetched at a batch's end stands apart, since it may be under way for long.
    vkd_device_state *state_fetched, *state_staged;
    float *gradient_fetched, *V_staged; // (rows,cols)
    double *moments_staged;             // (n), then as second
    float *applied_staged;              // (n) offset, then inv_std or W

    vkd_event *staged;  // the last copies out of the grid's pinned memory have been made
    vkd_event *fetched; // the last copies into state_fetched and gradient_fetched
    vkd_event *copied;  // all copies until a wait
    bool is_fetched;    // those are under way, and not collected
    bool is_current;    // nothing has been summed on the device since
    long batches;       // in the statistics, as far as the host knows

    // P's move, beside the training thread: on a copy of the host's projection, whose matrices it shares.
    vkd_worker *worker;
    bool is_moving;
    vkd_projection moving;
    double rate;
    vkd_status moved;
};

static inline bool vkd_tap_pools(const vkd_tap *tap) {
    return tap->options.pool == VKD_OPTION_POOL_GLOBAL;
}

static inline size_t vkd_tap_maps(const vkd_tap_shape *s) { // (B,k,h,w)
    return (size_t)s->batch * (size_t)s->k * (size_t)s->h * (size_t)s->w;
}

static inline size_t vkd_matrix_size(const vkd_projection *p) {
    return (size_t)p->rows * (size_t)p->cols;
}

static inline double *vkd_sum_at(const vkd_device_tap *d, int which) {
    return d->sums + (size_t)which * (size_t)vkd_device_launch(d->device)->parts;
}

// The samples that the host's tap has chosen go to the device.
void vkd_device_tap_send_samples(vkd_device_tap *d);

// Z = the teacher's samples on the student's grid; batch_mean and batch_second = their moments, where mode
// has any.
void vkd_device_tap_gather_teacher(vkd_device_tap *d, const float *t);
void vkd_device_tap_measure(vkd_device_tap *d);

// Of mode=whiten: the running covariance comes to the host, and W goes back. Waits.
vkd_status vkd_device_tap_refresh(vkd_device_tap *d);

// From X, Z and T: dX, the part of the gradient, and the partial sums of the loss. core/tap_loss.h's twin.
void vkd_device_tap_loss(vkd_device_tap *d, float c);
// VKD_SUM_ENERGY of the targets.
void vkd_device_tap_energy(vkd_device_tap *d);

#endif
