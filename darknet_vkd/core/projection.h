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
    int rebase;      // updates between re-basings; 0: one base for good
    float decay;     // what an update keeps of the momentum, or of the cross-covariance
    int n, k;        // teacher's and student's channels
    int rows, cols;  // of V: max(n,k), min(n,k)
    float *V;        // (rows,cols) for the maps with a base: map(base, D)
    float *gradient; // (rows,cols) dL/dV, summed since the last update
    float *momentum; // (rows,cols) tangent at the base; NULL for map=procrustes
    float *base;     // (rows,cols) orthonormal; NULL where V itself is always the base (rebase=1)
    float *D;        // (rows,cols) tangent at the base; NULL with it
    bool is_square;  // D and momentum are S of the tangents base S, skew-symmetric (rows = cols)
    float *kept;     // what the map's adjoint at D begins with; NULL for a map that keeps nothing, and with D
    bool is_kept;    // it belongs to D; false for whoever changes D from outside
    int since_rebase;
    double *cross; // (rows,cols) map=procrustes: running average of -gradient; NULL otherwise
    int count;     // updates in it
    float *step;   // (rows,cols) scratch
    double *work;
    double defect; // |V'V - I|_F after the last update; 0 for map=linear, which has no constraint
} vkd_projection;

// V starts Haar-distributed for every map, `linear` included, so that maps compare from one start; for
// `identity` it is I, and VKD_INVALID_ARGUMENT unless n = k.
// Of the options map, rebase and momentum count. Whatever the status, *p may be handed to
// vkd_projection_free.
vkd_status vkd_projection_create(vkd_projection *p, const vkd_tap_options *options, int n, int k,
                                 vkd_rng *rng);
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

// What D or the momentum stands for: the tangent at the base.
void vkd_projection_tangent(const vkd_projection *p,
                            const float *coordinates, // D or momentum
                            float *tangent);          // (rows,cols) =

// One step of V down the gradient, then gradient = 0. `rate` scales the step's angle: 1 turns a column by
// about 0.02 radians whatever the loss's scale. V is unchanged where the gradient is zero or not finite, and
// for map=frozen and map=identity. map=procrustes has no step: V is the best point for the average, whatever
// the rate.
vkd_status vkd_projection_update(vkd_projection *p, double rate);

/*
 * The two halves of an update, for the tests and for other step sizes.
 *
 * gather: momentum <- decay * momentum + xi, then gradient = 0. xi is the gradient at the base in the
 * canonical metric (Edelman, Arias, Smith 1998, 2.4.2), found through the map's adjoint at D: it is also what
 * the Euclidean gradient is for the free entries of a skew matrix, PyTorch's parameters. `linear` takes the
 * gradient itself, procrustes adds -gradient to its average. VKD_NOT_FINITE: the gradient was not finite, and
 * nothing changed, or the momentum overflowed, and is zero.
 */
vkd_status vkd_projection_gather(vkd_projection *p);

// move: D <- D - length * momentum / |momentum|_F, V = map(base, D), and where it is time base <- V, D <- 0.
// V is unchanged where that fails. For procrustes V = polar(cross).
vkd_status vkd_projection_move(vkd_projection *p, double length);

// Projections of one cfg that were trained side by side become one again, all of them equal but for the
// gradients that wait for an update.
// - V: the mean of theirs, then its polar factor: the point that minimises the sum of |V - V_i|_F^2 over the
//   manifold; to first order in their distances the mean of the tangents to them, retracted. From one base
//   (rebase=0) exactly that: map(base, mean of D). map=linear: the mean. map=procrustes: the polar factor of
//   the mean of cross.
// - momentum: the mean, which the next gather brings to V's tangents.
//
// VKD_INVALID_ARGUMENT: they are not of one shape, map and rebase. VKD_SINGULAR, VKD_NOT_FINITE: the mean has
// no polar factor, and nothing has changed but the first one's cross.
vkd_status vkd_projection_merge(vkd_projection *const *p, // (count)
                                int count);

// P (n,k) row-major, whichever way V is stored.
void vkd_projection_matrix(const vkd_projection *p, float *P);

#endif
