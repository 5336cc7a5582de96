// Small steps of a map, which every update that re-bases is: only two k x k matrices depend on the map.
//
// With P orthonormal and D a tangent, S = P'D skew and F = D'D + S S the Gram matrix of D's part normal to
// span P, each map gives V = D C1 + P C2 with C1, C2 (k,k) functions of S and F. Rounding is first taken out
// of the frame: N = (3 I - P'P)/2 brings P to P N, orthonormal but for the square of its defect, and of
// X = N P'D only what the map reads is kept, as S; the rest Y = X - S is no tangent. V'V comes out as I where
// P'P nearly is.
#ifndef VKD_NUMERICS_TANGENT_FRAME_H
#define VKD_NUMERICS_TANGENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "numerics/status.h"

typedef struct vkd_tangent_map {
    // S (k,k) skew = what the map reads of X (k,k), which is X itself for a tangent.
    void (*coordinates)(const double *X, int k, double *S);
    vkd_status (*step)(const double *S, // (k,k) skew
                       const double *F, // (k,k) symmetric
                       double size,     // of D, |F| about its square
                       double accuracy, // of C1 and C2, where they are series
                       int k,
                       double *C1,       // (k,k) =
                       double *C2,       // (k,k) =
                       double *scratch); // (4k,k)
} vkd_tangent_map;

// The products that a step begins with, (k,k) each.
typedef struct vkd_frame {
    double *X; // P'D
    double *W; // P'P
    double *H; // D'D
} vkd_frame;

// Whether the step may go this way: rows of X and of the normal part below 1/2, P near the manifold.
bool vkd_frame_is_small(const vkd_frame *frame, int k);

size_t vkd_frame_workspace(int k); // doubles

// V = P + P K + D C, K of the size of the step and of P's defect.
vkd_status vkd_frame_step(const vkd_tangent_map *map, const vkd_frame *frame, int k, double accuracy,
                          double *K, // (k,k) =
                          double *C, // (k,k) =
                          double *work);

#endif
