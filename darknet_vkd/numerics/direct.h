// Convolutions without im2col, for few channels, where neither a product nor Winograd's filtering reaches the
// processor's peak: a block of rows of an image is copied between its zeros, stride by stride, so that what a
// weight meets is one run of memory for all of the block's pixels, and a few filters times a few vectors of
// pixels stay in registers.
#ifndef VKD_NUMERICS_DIRECT_H
#define VKD_NUMERICS_DIRECT_H

#include <stddef.h>

#include "numerics/convolution.h"
#include "numerics/status.h"

// Whether the shape is one of these: sizes of 1 and more, a pad below size, an output, no absurd stride, and
// no channel, filter or row of so many values that they cannot be numbered in an int.
bool vkd_direct_serves(const vkd_convolution *s);

// Floats of `workspace` below, for a shape that is served; the adjoint's with stride 1.
size_t vkd_direct_forward_workspace(const vkd_convolution *s);
size_t vkd_direct_adjoint_workspace(const vkd_convolution *s);
size_t vkd_direct_gradient_workspace(const vkd_convolution *s);

// y = epilogue(weights * x + bias) + residual, (out) = (h + 2 pad - size) / stride + 1. y is not x.
// VKD_INVALID_ARGUMENT: a shape that is not served, or no images.
vkd_status vkd_direct_forward(const vkd_convolution *s,
                              const float *weights, // (n,c,size,size)
                              const float *x,       // (batch,c,h,w)
                              int batch,
                              float *y, // (batch,n,out_h,out_w) =
                              const vkd_ending *ending, float *workspace);

// dx += the adjoint applied to dy. VKD_INVALID_ARGUMENT for a stride above 1 as well.
vkd_status vkd_direct_adjoint(const vkd_convolution *s,
                              const float *weights, // (n,c,size,size)
                              const float *dy,      // (batch,n,out_h,out_w)
                              int batch,
                              float *dx, // (batch,c,h,w) +=
                              float *workspace);

// dweights += the gradient in the weights. Every thread sums its own images' in turn, and the threads' sums
// are added in order: the same bits for the same number of threads.
// Numbers that are not finite: each product that im2col's sum has is in this one, those of the padding's
// zeros too, so that a weight whose sum over im2col is not finite is not finite here. This one has more
// products, of pixels and the zeros that stand between dy's rows and behind its last: an infinite pixel may
// make NaN of any weight of its channel, and of one shortly before it, where im2col's sum is an infinity, or
// finite since none of the weight's outputs meets the pixel.
vkd_status vkd_direct_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                               float *dweights, // (n,c,size,size) +=
                               float *workspace);

#endif
