// 3x3 convolutions with stride 1 and padding 1 by Winograd's minimal filtering: F(m x m, 3 x 3) of Lavin,
// Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). An m x m tile of the output comes
// from an e x e tile of the input, e = m + 2, by e^2 products a channel instead of 9 m^2: 2.25 times fewer
// for m = 2, 4 times for m = 4. Its rounding is larger than a plain sum's, by about 2 (m = 2) and 10 (m = 4).
#ifndef VKD_NUMERICS_WINOGRAD_H
#define VKD_NUMERICS_WINOGRAD_H

#include <stddef.h>

#include "numerics/convolution.h"
#include "numerics/status.h"

// A good m for this shape; 0 where another way is better (few channels, tiny grids, another kernel), and
// where a block cannot be numbered in an int.
int vkd_winograd_choose(const vkd_convolution *s);

// Floats of `workspace` below: the transformed weights, and a block of tiles for every thread.
size_t vkd_winograd_forward_workspace(const vkd_convolution *s, int m);
size_t vkd_winograd_adjoint_workspace(const vkd_convolution *s, int m);

// y = epilogue(weights * x + bias). y is not x. VKD_INVALID_ARGUMENT: sizes below 1, another m or kernel, a
// shape beyond int. A pixel that is not finite makes NaN of all its tiles.
vkd_status vkd_winograd_forward(const vkd_convolution *s, int m,
                                const float *weights, // (n,c,3,3)
                                const float *bias,    // (n) or NULL for none
                                const float *x,       // (batch,c,h,w)
                                int batch,
                                float *y, // (batch,n,h,w) =
                                vkd_epilogue epilogue, float *workspace);

// dx += the adjoint applied to dy: the convolution of dy with the weights turned by 180 degrees and their two
// channels exchanged. `s` is the forward's.
vkd_status vkd_winograd_adjoint(const vkd_convolution *s, int m,
                                const float *weights, // (n,c,3,3)
                                const float *dy,      // (batch,n,h,w)
                                int batch,
                                float *dx, // (batch,c,h,w) +=
                                float *workspace);

#endif
