// The device twin of core/tap.h: one tap whose features, targets, losses and gradients stay on the GPU.
//
//     host    vkd_tap: options, mask, emphasis | P, momentum, statistics of W | loss, weight, ratio, idle
//                             |  send                   ^ |  send                 ^
//                             v                   fetch | v                 fetch |
//     device  x, t -> X, Z -> loss, dx -> delta    sum of G, P, W'P       vkd_device_state
//
// The vkd_tap it is made from stays the master of all that outlives a step: P, its momentum and base, the
// whitening matrix, the options. The caller owns it, keeps it alive, and reads what a log wants in it:
// `loss`, `weight`, `ratio`, `idle`, `refused`, `norm_steps`, `student.gain`, `projection.defect`; they are
// those of the last vkd_device_tap_collect. Its feature-sized buffers on the host are never touched, so they
// take no memory.
//
// One step of a batch in `subdivisions` parts, on one stream, seen from the calling thread:
//
//     for each part:  tap->mask, tap->emphasis = ...     as for vkd_tap_forward
//                     vkd_device_tap_forward(d, x, t)    enqueues
//                     vkd_device_tap_backward(d, ...)    enqueues: norms, weight, delta += sign weight dx
//     vkd_device_tap_fetch(d)                            enqueues: the copy of G and of the scalars
//     ... the rest of the student's backward is enqueued; the GPU works on it ...
//     vkd_device_tap_collect(d)                          waits for that copy, and for nothing behind it
//     vkd_device_tap_update(d, rate)                     P begins to move, on a thread beside this one
//     ... the next batch: the student's and the teacher's forward are enqueued ...
//     vkd_device_tap_forward(d, x, t)                    when it comes to P: waits for the move, enqueues its
//     copy
//
// So a step waits once a batch for the GPU, in collect, for n x k floats and some scalars, while the GPU goes
// on with what was enqueued after vkd_device_tap_fetch; and once for the CPU's k x k algebra, where that has
// not ended by the time P is wanted. Neither loss nor weight is waited for: the weight that ratio= asks for
// is found on the device (core/scalars.h, the CPU's own code), and whether a batch is refused is decided
// there too, so forward and backward answer VKD_OK for features that are not finite; collect tells. The
// exceptions: with mode=whiten, a forward that makes the whitening matrix anew (with running statistics the
// first 32, then one in 32; see core/target.c) waits for the covariance, n x n doubles, which the CPU
// factorises; and the mask is staged in pinned memory, whose last copy must have been made, which it has
// unless the caller runs two forwards ahead of the GPU.
//
// All pointers to x, t and delta are device memory. Everything goes through the device's one stream, so the
// caller's own kernels there need no synchronisation with these.
//
// Answers: VKD_OK; VKD_DEVICE where CUDA or cuBLAS failed, now or earlier (vkd_device_error tells);
// VKD_OUT_OF_MEMORY where memory ran out on either side; others as of the twin in core/tap.h.
#ifndef VKD_GPU_DEVICE_TAP_H
#define VKD_GPU_DEVICE_TAP_H

#include "core/tap.h"
#include "gpu/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vkd_device_tap vkd_device_tap;

// For `tap`, as it is now: P, statistics, gain and norms are sent. Neither device nor tap become its own;
// both must outlive it. *out is NULL on failure.
vkd_status vkd_device_tap_create(vkd_device_tap **out, vkd_device *device, vkd_tap *tap);
void vkd_device_tap_free(vkd_device_tap *d);

// Of the device's memory.
size_t vkd_device_tap_bytes(const vkd_device_tap *d);

// vkd_tap_resize of the host's tap, and of this one. On failure both keep the old grid.
vkd_status vkd_device_tap_resize(vkd_device_tap *d, vkd_tap_shape shape);

// As vkd_tap_forward: loss and dx of this part of the batch; the gradient of P += its own.
vkd_status vkd_device_tap_forward(vkd_device_tap *d,
                                  const float *x,  // (B,k,h,w) on the device
                                  const float *t); // (B,n,th,tw) on the device

// As vkd_tap_weigh, and then delta += sign * weight * dx: Darknet's delta is minus the gradient, so its sign
// is -1. Before the addition, delta is the task's gradient that ratio= compares with. Where the weight is 0
// delta keeps its bits.
vkd_status vkd_device_tap_backward(vkd_device_tap *d,
                                   float *delta, // (B,k,h,w) on the device, +=
                                   double sign, double factor);

// After the last part's backward, as early as may be: the copy of the gradient's sum begins.
vkd_status vkd_device_tap_fetch(vkd_device_tap *d);

// The copy has arrived, and the host's tap has the scalars. Fetches first where nobody has. refused > 0:
// parts since the last update were not finite, and were left out.
vkd_status vkd_device_tap_collect(vkd_device_tap *d);

// As vkd_tap_update; collects first where nobody has. The move of P itself goes on when this returns, until
// vkd_device_tap_settle: meanwhile nobody else may touch P, its momentum or its gradient, and
// projection.defect is the last one's. A gradient that is not finite is answered here; what else may befall
// the move, there.
vkd_status vkd_device_tap_update(vkd_device_tap *d, double rate);

// P has moved, and goes to the device without being waited for; the answer is the move's, as of
// vkd_projection_update. Every function here that wants P begins with it, and passes on what it answers but
// for VKD_NOT_FINITE, after which P stays; so that only who looks at the host's P needs to call it. Nothing
// where no move is under way.
vkd_status vkd_device_tap_settle(vkd_device_tap *d);

// statistics=calibrated, as vkd_tap_calibrate; waits. After the last call, vkd_target_refresh of the host's
// target and vkd_device_tap_push.
vkd_status vkd_device_tap_calibrate(vkd_device_tap *d,
                                    const float *t, // (B,n,th,tw) on the device
                                    int images);

// What the device has of its own comes to the host's tap, before a sidecar is written or taps are merged: the
// teacher's statistics and what collect brings; the gradient's sum does not. Waits.
vkd_status vkd_device_tap_pull(vkd_device_tap *d);

// The host's tap, as it is now, goes to the device: after a sidecar was read, a calibration, or, between this
// and a pull, vkd_tap_merge (core/tap_merge.h). The gradient's sum stays what it is. Waits.
vkd_status vkd_device_tap_push(vkd_device_tap *d);

// The gradient of the last forward, for a look at it: (B,k,h,w) on the device. Zero where it was refused.
const float *vkd_device_tap_dx(const vkd_device_tap *d);

#ifdef __cplusplus
}
#endif

#endif
