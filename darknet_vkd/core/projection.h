// The projection of one tap: P, its gradient, its momentum and its update.
//
// P maps k student channels to n teacher channels. It is stored tall, whichever side is wider:
//
//     n >= k:  V (n,k) = P     P'P = I, an isometry
//     n <  k:  V (k,n) = P'    PP' = I, part of the student is not supervised
#ifndef VKD_CORE_PROJECTION_H
#define VKD_CORE_PROJECTION_H

#include "core/options.h"
#include "numerics/rng.h"

#include <stdbool.h>

typedef struct vkd_projection {
    vkd_option_map map;
    int n, k;        // teacher's and student's channels
    int rows, cols;  // of V: max(n,k), min(n,k)
    float *V;        // (rows,cols)
    float *gradient; // (rows,cols) dL/dV, summed since the last update
    float *momentum; // (rows,cols)
    float *step;     // (rows,cols) scratch
    double *work;
    double defect; // |V'V - I|_F after the last update; 0 for map=linear, which has no constraint
} vkd_projection;

// V starts Haar-distributed for every map, `linear` included, so that maps compare from one start.
// Whatever the status, *p may be handed to vkd_projection_free.
vkd_status vkd_projection_create(vkd_projection *p, vkd_option_map map, int n, int k, vkd_rng *rng);
void vkd_projection_free(vkd_projection *p);

// What vkd_projection_create allocates.
size_t vkd_projection_bytes(const vkd_projection *p);
// Multiply-adds of an update, about: the thin exponential, or the low-rank Cayley.
double vkd_projection_update_work(const vkd_projection *p);

// y = P x.
void vkd_projection_apply(const vkd_projection *p,
                          const float *x, // (k,samples)
                          int samples,
                          float *y); // (n,samples) =

// dx = scale * P'e.
void vkd_projection_apply_adjoint(const vkd_projection *p,
                                  const float *e, // (n,samples)
                                  int samples, float scale,
                                  float *dx); // (k,samples) =

// gradient += scale * e x' (its transpose where n < k): dL/dP for the loss's derivative e at P x.
void vkd_projection_accumulate(vkd_projection *p,
                               const float *e, // (n,samples)
                               const float *x, // (k,samples)
                               int samples, float scale);

// True where P'P = I holds, and with it |Px - t|^2 = |x|^2 - 2<x, P't> + |t|^2.
bool vkd_projection_is_isometry(const vkd_projection *p);

// One step of V down the gradient, then gradient = 0. `rate` scales the step's angle: 1 turns a column by
// about 0.02 radians whatever the loss's scale. V is unchanged where the gradient is zero or not finite, and
// for map=frozen.
vkd_status vkd_projection_update(vkd_projection *p, double rate);

// P (n,k) row-major, whichever way V is stored.
void vkd_projection_matrix(const vkd_projection *p, float *P);

#endif
