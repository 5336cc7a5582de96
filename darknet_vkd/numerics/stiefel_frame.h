// What both retractions share: the frame [Z, P] and its Gram matrix.
#ifndef VKD_NUMERICS_STIEFEL_FRAME_H
#define VKD_NUMERICS_STIEFEL_FRAME_H

#include "numerics/status.h"

// U = [Z, P] and H = U'U, with S = skew(P'D) and Z = D - P S/2.
void vkd_stiefel_frame(const float *P, // (n,k)
                       const float *D, // (n,k)
                       int n, int k,
                       double *U,  // (n,2k) =
                       double *H,  // (2k,2k) =
                       double *S); // (k,k) scratch

// P = U C N with N = (3 I - W) / 2 and W = P'P, the lower right block of H. The map that C stands
// for is orthogonal, so U C has the Gram matrix W again and N is one Newton-Schulz step on it.
// P is unchanged if the result is not finite.
vkd_status vkd_stiefel_frame_finish(const double *U, // (n,2k)
                                    const double *H, // (2k,2k)
                                    const double *C, // (2k,k)
                                    int n, int k,
                                    float *P,      // (n,k) =
                                    double *CN,    // (2k,k) scratch
                                    double *N,     // (k,k) scratch
                                    double *next); // (n,k) scratch

// N = (3 I - W) / 2, W the lower right block of H.
void vkd_stiefel_frame_correction(const double *H, // (2k,2k)
                                  int k,
                                  double *N); // (k,k) =

// dD = the adjoint of D -> Z applied to dZ = G R + U Q: dD = dZ - P skew(P'dZ) / 2.
vkd_status vkd_stiefel_frame_adjoint(const double *U, // (n,2k)
                                     const double *G, // (n,k)
                                     const double *R, // (k,k)
                                     const double *Q, // (2k,k)
                                     int n, int k,
                                     float *dD,  // (n,k) =
                                     double *dZ, // (n,k) scratch
                                     double *S); // (k,k) scratch

#endif
