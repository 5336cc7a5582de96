// Convolutions on the CPU by the method that is fastest at their shape: Winograd's filtering (winograd.h),
// blocks without im2col (direct.h), or none of them, where the caller's own product over im2col is.
#ifndef VKD_NUMERICS_CONVOLUTION_H
#define VKD_NUMERICS_CONVOLUTION_H

#include <stdbool.h>
#include <stddef.h>

typedef enum vkd_epilogue {
    VKD_EPILOGUE_LINEAR,
    VKD_EPILOGUE_LEAKY, // max(v, 0.1 v)
} vkd_epilogue;

// What becomes of a sum of products: epilogue(sum + bias) + residual. And what is told of a row of y.
typedef struct vkd_ending {
    const float *bias; // (n) or NULL for none
    vkd_epilogue epilogue;
    const float *residual; // (batch,n,out_h,out_w), not y, or NULL for none: another layer's output
    float *moments;        // (batch,n,out_h,2) = as vkd_row_moments() has them, or NULL; not with `residual`
} vkd_ending;

typedef struct vkd_convolution {
    int c, h, w;           // input channels, grid
    int n;                 // filters
    int size, stride, pad; // the output's grid is (h + 2 pad - size) / stride + 1
    int threads;           // that share a batch; each has a workspace of its own
} vkd_convolution;

// Floats of `workspace` below, enough for all three; 0 where none serves. It grows with the threads.
size_t vkd_convolution_workspace(const vkd_convolution *s);
size_t vkd_convolution_forward_workspace(const vkd_convolution *s); // for the forward alone

// The shape with as many threads as leave the workspace within so many floats; of no channels, which no
// method serves, where one thread's is larger.
vkd_convolution vkd_convolution_within(vkd_convolution s, size_t floats);

// Each returns whether it was done; if not, nothing is written.

// y = epilogue(weights * x + bias) + residual. y is not x.
bool vkd_convolution_forward(const vkd_convolution *s,
                             const float *weights, // (n,c,size,size)
                             const float *x,       // (batch,c,h,w)
                             int batch,
                             float *y, // (batch,n,out_h,out_w) =
                             const vkd_ending *ending, float *workspace);

// dx += the adjoint applied to dy.
bool vkd_convolution_adjoint(const vkd_convolution *s,
                             const float *weights, // (n,c,size,size)
                             const float *dy,      // (batch,n,out_h,out_w)
                             int batch,
                             float *dx, // (batch,c,h,w) +=
                             float *workspace);

// dweights += the gradient in the weights.
bool vkd_convolution_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                              float *dweights, // (n,c,size,size) +=
                              float *workspace);

#endif
