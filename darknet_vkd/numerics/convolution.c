#include "numerics/convolution.h"

#include "numerics/direct.h"
#include "numerics/winograd.h"

typedef enum method { PRODUCT, DIRECT, WINOGRAD } method;

// Limits by `make bench-step`'s layers on Zen 5 and Zen 4. A pointwise convolution is a product already; the
// copy pays where its channels are few.
enum { FEW_CHANNELS = 128, FEW_WEIGHTS = 300000 };

static bool is_pointwise(const vkd_convolution *s) {
    return s->size == 1 && s->stride == 1 && s->pad == 0;
}

static method forward_method(const vkd_convolution *s) {
    if (vkd_winograd_choose(s)) return WINOGRAD;
    if (is_pointwise(s) && s->c >= FEW_CHANNELS) return PRODUCT;
    return vkd_direct_serves(s) ? DIRECT : PRODUCT;
}

static method adjoint_method(const vkd_convolution *s) {
    return s->stride == 1 ? forward_method(s) : PRODUCT;
}

// The sums of all weights pass once for a group of pixels: they must stay in a cache.
static method gradient_method(const vkd_convolution *s) {
    const bool few = (size_t)s->n * (size_t)s->c * (size_t)s->size * (size_t)s->size <= FEW_WEIGHTS;
    return few && vkd_direct_serves(s) ? DIRECT : PRODUCT;
}

static size_t workspace(const vkd_convolution *s, method m) {
    return m == WINOGRAD ? vkd_winograd_workspace(s, vkd_winograd_choose(s))
           : m == DIRECT ? vkd_direct_workspace(s)
                         : 0;
}

size_t vkd_convolution_forward_workspace(const vkd_convolution *s) {
    return workspace(s, forward_method(s));
}

size_t vkd_convolution_workspace(const vkd_convolution *s) { // the adjoint's method is the forward's, or none
    const size_t there = workspace(s, forward_method(s)), gradient = workspace(s, gradient_method(s));
    return there > gradient ? there : gradient;
}

bool vkd_convolution_forward(const vkd_convolution *s, const float *weights, const float *bias,
                             const float *x, int batch, float *y, vkd_epilogue epilogue, float *workspace) {
    const method m = forward_method(s);
    if (m == WINOGRAD)
        return !vkd_winograd_forward(s, vkd_winograd_choose(s), weights, bias, x, batch, y, epilogue,
                                     workspace);
    return m == DIRECT && !vkd_direct_forward(s, weights, bias, x, batch, y, epilogue, workspace);
}

bool vkd_convolution_adjoint(const vkd_convolution *s, const float *weights, const float *dy, int batch,
                             float *dx, float *workspace) {
    const method m = adjoint_method(s);
    if (m == WINOGRAD)
        return !vkd_winograd_adjoint(s, vkd_winograd_choose(s), weights, dy, batch, dx, workspace);
    return m == DIRECT && !vkd_direct_adjoint(s, weights, dy, batch, dx, workspace);
}

bool vkd_convolution_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                              float *dweights, float *workspace) {
    return gradient_method(s) == DIRECT && !vkd_direct_gradient(s, x, dy, batch, dweights, workspace);
}
