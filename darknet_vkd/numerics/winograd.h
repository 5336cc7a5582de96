// 3x3 convolutions with stride 1 and padding 1 by Winograd's minimal filtering: F(m x m, 3 x 3) of Lavin,
// Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). An m x m tile of the output comes
// from an e x e tile of the input, e = m + 2, by e^2 products a channel instead of 9 m^2: 2.25 times fewer
// for m = 2, 4 times for m = 4. Its rounding is larger than a plain sum's, by about 2 (m = 2) and 10 (m = 4).
#ifndef VKD_NUMERICS_WINOGRAD_H
#define VKD_NUMERICS_WINOGRAD_H

#include <stddef.h>

#include "numerics/status.h"

typedef enum vkd_winograd_epilogue { VKD_WINOGRAD_LINEAR, VKD_WINOGRAD_LEAKY } vkd_winograd_epilogue;

typedef struct vkd_winograd {
    int m;          // 2 or 4
    int c, n, h, w; // input channels, output channels, grid
    int threads;    // that share the tiles of a batch; each has a workspace of its own
} vkd_winograd;

// A good m for these sizes; 0 where a plain product is the better way (few channels, tiny grids).
int vkd_winograd_choose(int c, int n, int h, int w);

// Floats of `workspace` below: the transformed weights, and a block of tiles for every thread.
size_t vkd_winograd_workspace(const vkd_winograd *s);

// y = epilogue(weights * x + bias). Leaky: max(v, 0.1 v). y is not x. VKD_INVALID_ARGUMENT: sizes below 1 or
// another m.
vkd_status vkd_winograd_forward(const vkd_winograd *s,
                                const float *weights, // (n,c,3,3)
                                const float *bias,    // (n) or NULL for none
                                const float *x,       // (batch,c,h,w)
                                int batch,
                                float *y, // (batch,n,h,w) =
                                vkd_winograd_epilogue epilogue, float *workspace);

// dx += the adjoint applied to dy: the convolution of dy with the weights turned by 180 degrees and their two
// channels exchanged. `s` is the forward's.
vkd_status vkd_winograd_adjoint(const vkd_winograd *s,
                                const float *weights, // (n,c,3,3)
                                const float *dy,      // (batch,n,h,w)
                                int batch,
                                float *dx, // (batch,c,h,w) +=
                                float *workspace);

#endif
