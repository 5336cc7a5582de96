// One tap as a whole: student features x, teacher features t, one loss between them, its gradient in x.
//
//     x (B,k,h,w) -> pool -> samples -> student_norm --> X (k,N) --> P X
//                                                                       \  loss = c sum d(P X, T)
//     t (B,n,ht,wt) -> resample or pool -> samples -> vkd_whiten -> T (n,N)
//
// A sample is a location that counts (see samples.h); d is |.|^2 or smooth L1; c = B / (n N), so that the
// loss of an image is the mean over locations and teacher channels, and images are summed, as Darknet sums.
// All gradients here are +dL/dx of the loss with weight 1.
#ifndef VKD_CORE_TAP_H
#define VKD_CORE_TAP_H

#include "core/options.h"
#include "core/projection.h"
#include "core/samples.h"
#include "core/student.h"
#include "core/target.h"

#include <stdbool.h>
#include <stdint.h>

enum { VKD_TAP_RUN = 512 };

typedef struct vkd_tap_shape {
    int batch;
    int k, h, w;   // student
    int n, th, tw; // teacher
} vkd_tap_shape;

// Whether samples weigh differently. With foreground=1 they do not: none lies outside an object.
bool vkd_tap_weighs(const vkd_tap_options *options);

typedef struct vkd_tap {
    vkd_tap_options options; // a copy
    vkd_tap_shape shape;
    int locations; // h * w, or 1 where pool=global
    vkd_projection projection;
    vkd_target target;
    vkd_student student;
    vkd_samples samples;

    // Set by the caller before a forward where they are not NULL.
    // (B,locations) 0: no sample, but padding or outside every object; NULL where all count (mask_padding=0
    // and foreground < 1)
    float *mask;
    float *emphasis; // (B,locations) weight of each sample, mean 1; NULL unless vkd_tap_weighs

    float *pooled;    // (B,k,1) pool=global
    float *resampled; // (B,n,locations) where grids differ or pool=global; else NULL
    float *Z;         // (n,N) the teacher's samples, normalised; only centred where mode=whiten
    float *T;         // (n,N) the targets: Z itself, or W Z where mode=whiten; NULL where W is folded into P
    float *X;         // (k,N) the normalised student
    float *dX;        // (k,N)
    float *dx;        // (B,k,h,w) gradient of the loss with weight 1
    float *weight_of; // (N) emphasis of each sample; its root while the gradient in P is summed; NULL without
    float *weighted;  // (k,N) the student times that root
    float *residual;  // (n,N) where the loss is not l2 or P no isometry; else NULL
    // Whitening folded into the projection; NULL where it is not.
    float *folded;   // (n,k) W'P
    float *whitened; // (n,VKD_TAP_RUN) W z of some samples, for their length
    float *cross;    // (n,k) sum of weight z x'

    // Running averages of gradient norms, for ratio=. 0 steps: none yet.
    double task_norm, loss_norm;
    long norm_steps;

    // Of the last forward and backward.
    double loss;   // weight 1, mean over images
    double weight; // in force
    double ratio;  // weight * |vkd gradient| / |task gradient| of this batch
    int idle;      // forward passes in a row whose gradient was zero or not finite, of those with samples
    int refused;   // forward passes since the last update that were not finite
    bool told;     // the condition of its whitening has been printed
} vkd_tap;

// `seed` and `index` (of the tap) decide P's start. *tap is NULL on failure.
vkd_status vkd_tap_create(vkd_tap **tap, const vkd_tap_options *options, vkd_tap_shape shape, uint64_t seed,
                          uint64_t index);
void vkd_tap_free(vkd_tap *tap);

// All that the tap has allocated.
size_t vkd_tap_bytes(const vkd_tap *tap);
// Multiply-adds it costs for each image of a step; `steps` of them make an update (subdivisions).
double vkd_tap_work(const vkd_tap *tap, int steps);

// For another grid (random=1). P and the statistics stay; on failure all of the tap does.
vkd_status vkd_tap_resize(vkd_tap *tap, vkd_tap_shape shape);

// statistics=calibrated: takes the first `images` of a batch in; after the last one, vkd_target_refresh.
vkd_status vkd_tap_calibrate(vkd_tap *tap, const float *t, // (B,n,th,tw)
                             int images);

// Loss and dx for this batch; the projection's gradient += its own. VKD_NOT_FINITE: dx and loss are zero.
// Where the features were not finite, neither statistics nor projection took the batch in; where the loss or
// its gradient overflowed, what was summed for P and the gain since the last update is dropped.
vkd_status vkd_tap_forward(vkd_tap *tap,
                           const float *x,  // (B,k,h,w)
                           const float *t); // (B,n,th,tw)

// T = what the student is asked for, with the statistics as the last forward left them; locations that do not
// count have one as well.
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
