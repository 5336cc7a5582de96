// 3x3 convolutions with stride 1 and padding 1 by Winograd's minimal filtering, F(4 x 4, 3 x 3) of Lavin,
// Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016): a 4 x 4 tile of the output comes
// from a 6 x 6 tile of the input by 36 products a channel instead of 144. Its rounding is about 10 times a
// plain sum's.
#ifndef VKD_NUMERICS_WINOGRAD_H
#define VKD_NUMERICS_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "numerics/convolution.h"
#include "numerics/status.h"

// Whether it is a good way for this shape, forward and back: not for few channels, tiny grids, other kernels,
// and where a block cannot be numbered in an int.
bool vkd_winograd_serves(const vkd_convolution *s);
bool vkd_winograd_adjoint_serves(const vkd_convolution *s);

// Whether it can be done at all, for so many images.
bool vkd_winograd_accepts(const vkd_convolution *s, int batch);

// Floats of `workspace` below, for a shape that is served.
size_t vkd_winograd_forward_workspace(const vkd_convolution *s);
size_t vkd_winograd_adjoint_workspace(const vkd_convolution *s);

// y = epilogue(weights * x + bias) + residual. y is not x. VKD_INVALID_ARGUMENT: sizes below 1, another
// kernel, a shape beyond int. A pixel that is not finite makes NaN of all its tiles, which may reach into
// another image of the batch (tiles.h).
vkd_status vkd_winograd_forward(const vkd_convolution *s,
                                const float *weights, // (n,c,3,3)
                                const float *x,       // (batch,c,h,w)
                                int batch,
                                float *y, // (batch,n,h,w) =
                                const vkd_ending *ending, float *workspace);

// dx += the adjoint applied to dy: the convolution of dy with the weights turned by 180 degrees and their two
// channels exchanged. `s` is the forward's.
vkd_status vkd_winograd_adjoint(const vkd_convolution *s,
                                const float *weights, // (n,c,3,3)
                                const float *dy,      // (batch,n,h,w)
                                int batch,
                                float *dx, // (batch,c,h,w) +=
                                float *workspace);

// dweights += the gradient in the weights, the same bits for any number of threads (winograd_gradient.c). It
// wants a few channels more than the other two.
bool vkd_winograd_gradient_serves(const vkd_convolution *s);
size_t vkd_winograd_gradient_workspace(const vkd_convolution *s);
vkd_status vkd_winograd_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                                 float *dweights, // (n,c,3,3) +=
                                 float *workspace);

#endif
