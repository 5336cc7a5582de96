// One tap as a whole: student features x, teacher features t, one loss between them, its gradient in x.
//
//     x (B,k,h,w) -> pool -> student_norm --> X --> P X
//                                                       \  loss = c sum |P X - T|^2, c = 1 / (n locations)
//     t (B,n,ht,wt) -> resample or pool -> vkd_whiten -> T
//
// so the loss of an image is the mean over locations and teacher channels, and images are summed, as
// Darknet sums. All gradients here are +dL/dx of the loss with weight 1.
#ifndef VKD_CORE_TAP_H
#define VKD_CORE_TAP_H

#include "core/options.h"
#include "core/projection.h"
#include "core/target.h"

#include <stdint.h>

typedef struct vkd_tap_shape {
    int batch;
    int k, h, w;   // student
    int n, th, tw; // teacher
} vkd_tap_shape;

typedef struct vkd_tap {
    vkd_tap_options options; // a copy
    vkd_tap_shape shape;
    int locations; // h * w, or 1 where pool=global
    vkd_projection projection;
    vkd_target target;

    float *pooled;         // (B,k,1) pool=global
    float *resampled;      // (B,n,locations) where grids differ or pool=global; else NULL
    float *T;              // (B,n,locations) the target
    float *X;              // (B,k,locations) the normalised student; NULL where student_norm=none, pool=dense
    float *mean, *inv_std; // (k) of the student
    float *dx;             // (B,k,h,w) gradient of the loss with weight 1
    float *dX;             // (B,k,locations); dx itself where pool=dense
    float *emphasis;       // (B,locations) weight of each location, mean 1; NULL where all count the same
    float *weighted;       // (n,locations) emphasis * T
    float *residual;       // (n,locations) where P is no isometry

    // Running averages of gradient norms, for ratio=. 0 steps: none yet.
    double task_norm, loss_norm;
    long norm_steps;

    // Of the last forward and backward.
    double loss;   // weight 1, mean over images
    double weight; // in force
    double ratio;  // weight * |vkd gradient| / |task gradient| of this batch
    int idle;      // batches in a row whose gradient was zero or not finite
} vkd_tap;

// `seed` and `index` (of the tap) decide P's start. *tap is NULL on failure.
vkd_status vkd_tap_create(vkd_tap **tap, const vkd_tap_options *options, vkd_tap_shape shape, uint64_t seed,
                          uint64_t index);
void vkd_tap_free(vkd_tap *tap);

// For another grid (random=1). P and the statistics stay.
vkd_status vkd_tap_resize(vkd_tap *tap, vkd_tap_shape shape);

// Where tap->emphasis is not NULL (foreground > 0), the caller sets it before every forward.
// Loss and dx for this batch; the projection's gradient += its own. VKD_NOT_FINITE: dx is then zero, and
// neither statistics nor projection took the batch in.
vkd_status vkd_tap_forward(vkd_tap *tap,
                           const float *x,  // (B,k,h,w)
                           const float *t); // (B,n,th,tw)

// T = the target of the last forward, whose teacher features were t.
vkd_status vkd_tap_target(vkd_tap *tap,
                          const float *t, // (B,n,th,tw)
                          float *T);      // (B,n,locations) =

// The weight for this batch: the fixed one, or the one that keeps ratio=, times `factor` of the schedule.
// Sets tap->weight and tap->ratio. The caller adds weight * dx to its gradient.
double vkd_tap_weigh(vkd_tap *tap,
                     const float *task, // (B,k,h,w) the task's own gradient at x, of either sign
                     double factor);

// `rate`: the run's learning rate now over the cfg's.
vkd_status vkd_tap_update(vkd_tap *tap, double rate);

#endif
