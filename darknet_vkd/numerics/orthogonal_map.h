// A map D -> V from the tangents at a base point P of the Stiefel manifold St(n,k) to St(n,k), and its
// adjoint. For each of them the derivative at D = 0 is the identity on tangents, and a tangent D may be of
// any rank and size. Where P'P is only nearly I, small steps (tangent_frame.h) bring V'V nearer to it; after
// larger ones V'V = P'P up to rounding with the exponential and Cayley's map, and householder leaves a defect
// about as large as P's.
#ifndef VKD_NUMERICS_ORTHOGONAL_MAP_H
#define VKD_NUMERICS_ORTHOGONAL_MAP_H

#include <stddef.h>

#include "numerics/status.h"
#include "numerics/tangent_frame.h"

// A map of tangents of any size, n > k, with its n x k products in float32, and k x k algebra in float64.
// What forward keeps is what adjoint begins with, so that coming back to a point costs no more than its
// gradient.
typedef struct vkd_single_map {
    size_t (*kept)(int n, int k);      // floats
    size_t (*workspace)(int n, int k); // doubles
    vkd_status (*forward)(const float *P, const float *D, int n, int k,
                          float *V,    // =, not P nor D; unchanged unless VKD_OK
                          float *kept, // =
                          double *work);
    // dD may be G.
    vkd_status (*adjoint)(const float *P, const float *G, int n, int k, const float *kept,
                          float *dD, // =
                          double *work);
} vkd_single_map;

// For n = k every tangent is D = P S with S (k,k) skew-symmetric. The same map of S, which spares the
// products that lead from D to S and back. Storage and k x k products in float32, the factorization in
// float64.
typedef struct vkd_square_map {
    size_t (*kept)(int k);      // floats
    size_t (*workspace)(int k); // doubles
    vkd_status (*forward)(const float *P, const float *S, int k,
                          float *V,    // =, not P nor S; unchanged unless VKD_OK
                          float *kept, // =
                          double *work);
    // dS = X - X' where X is the gradient with respect to any S: that of the free entries, and P dS is the
    // gradient in the canonical metric. dS may be G.
    vkd_status (*adjoint)(const float *G, int k, const float *kept,
                          float *dS, // =
                          double *work);
} vkd_square_map;

// The float64 core. Arrays are row-major (n,k), n >= k >= 1, finite, and do not overlap.
typedef struct vkd_orthogonal_map {
    vkd_status (*forward)(const double *P, // base
                          const double *D, // tangent at P
                          int n, int k,
                          double *V, // =
                          double *work);
    // dD = the gradient with respect to D where G is the gradient at V: the exact adjoint of the derivative,
    // as a function of every (n,k) matrix D, tangent or not.
    vkd_status (*adjoint)(const double *P, const double *D, const double *G, int n, int k,
                          double *dD, // =
                          double *work);
    size_t (*workspace)(int n, int k); // doubles, for any
    // For n = k, V from M = skew(D'P) (k,k), which is the one product with D that forward would begin with.
    // Null for a map without this form.
    vkd_status (*square)(const double *P, const double *M, int k,
                         double *V, // =
                         double *work);
    const vkd_tangent_map *tangent; // forward's small steps for n > k
    // For n = k and a small tangent D = P S: X = V - P from D alone, in float32, whose rounding is relative
    // to the step. Null for a map without this form.
    vkd_status (*square_step)(float *S, // (k,k) skew; scratch afterwards
                              int k,
                              float *X,     // (k,k) D on entry, V - P on return
                              int *pivots); // (k)
    const vkd_single_map *single;           // null for a map without this form
    const vkd_square_map *in_coordinates;   // the same
} vkd_orthogonal_map;

// The float64 forward of any step: map->forward, or the tangent's frame where it is enough.
vkd_status vkd_map_forward_double(const vkd_orthogonal_map *map, const double *P, const double *D, int n,
                                  int k, double *V, double *work); // map->workspace and the frame's
size_t vkd_map_forward_workspace(const vkd_orthogonal_map *map, int n, int k);

// The float32 shell: storage float32, work float64 - but for the products of a large P with a small step, and
// D'P of a large square: their rounding is relative to the step. VKD_INVALID_ARGUMENT unless n >= k >= 1,
// VKD_NOT_FINITE for an input or a result that is not finite; the output is then unchanged.
size_t vkd_map_workspace(const vkd_orthogonal_map *map, int n,
                         int k); // doubles; enough for single and in_coordinates, too

// V = the point. D = 0 gives P bit for bit. V may be P or D.
vkd_status vkd_map_forward(const vkd_orthogonal_map *map, const float *P, // (n,k)
                           const float *D,                                // (n,k)
                           int n, int k,
                           float *V, // (n,k) =
                           double *work);

// dD may be any of the three inputs.
vkd_status vkd_map_adjoint(const vkd_orthogonal_map *map, const float *P, // (n,k)
                           const float *D,                                // (n,k)
                           const float *G,                                // (n,k)
                           int n, int k,
                           float *dD, // (n,k) =
                           double *work);

#endif
