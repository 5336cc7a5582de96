#include "numerics/convolution.h"

#include "numerics/direct.h"
#include "numerics/row_moments.h"
#include "numerics/winograd.h"

typedef enum method { PRODUCT, DIRECT, WINOGRAD } method;

// Of the weights' gradient: its sums pass once for a group of pixels and must stay in a cache.
enum { FEW_WEIGHTS = 1500000 };

static method forward_method(const vkd_convolution *s) {
    if (vkd_winograd_serves(s)) return WINOGRAD;
    return vkd_direct_serves(s) ? DIRECT : PRODUCT;
}

static method adjoint_method(const vkd_convolution *s) {
    if (s->stride != 1) return PRODUCT;
    if (vkd_winograd_adjoint_serves(s)) return WINOGRAD;
    return vkd_direct_serves(s) ? DIRECT : PRODUCT;
}

static method gradient_method(const vkd_convolution *s) {
    if (vkd_winograd_gradient_serves(s)) return WINOGRAD;
    const bool few = (size_t)s->n * (size_t)s->c * (size_t)s->size * (size_t)s->size <= FEW_WEIGHTS;
    return few && vkd_direct_serves(s) ? DIRECT : PRODUCT;
}

size_t vkd_convolution_forward_workspace(const vkd_convolution *s) {
    const method m = forward_method(s);
    return m == WINOGRAD ? vkd_winograd_forward_workspace(s)
           : m == DIRECT ? vkd_direct_forward_workspace(s)
                         : 0;
}

static size_t adjoint_workspace(const vkd_convolution *s) {
    const method m = adjoint_method(s);
    return m == WINOGRAD ? vkd_winograd_adjoint_workspace(s)
           : m == DIRECT ? vkd_direct_adjoint_workspace(s)
                         : 0;
}

static size_t gradient_workspace(const vkd_convolution *s) {
    const method m = gradient_method(s);
    return m == WINOGRAD ? vkd_winograd_gradient_workspace(s)
           : m == DIRECT ? vkd_direct_gradient_workspace(s)
                         : 0;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t vkd_convolution_workspace(const vkd_convolution *s) {
    return larger(vkd_convolution_forward_workspace(s), larger(adjoint_workspace(s), gradient_workspace(s)));
}

vkd_convolution vkd_convolution_within(vkd_convolution s, size_t floats) {
    while (s.threads > 1 && vkd_convolution_workspace(&s) > floats)
        --s.threads;
    if (vkd_convolution_workspace(&s) > floats) s.c = 0;
    return s;
}

bool vkd_convolution_forward(const vkd_convolution *s, const float *weights, const float *x, int batch,
                             float *y, const vkd_ending *ending, float *workspace) {
    const method m = forward_method(s);
    if (m == DIRECT) return !vkd_direct_forward(s, weights, x, batch, y, ending, workspace);
    if (m != WINOGRAD || vkd_winograd_forward(s, weights, x, batch, y, ending, workspace)) return false;
    // Winograd's output is of the input's grid.
    if (ending->moments) vkd_moments_of_rows(y, batch * s->n * s->h, s->w, ending->moments);
    return true;
}

bool vkd_convolution_adjoint(const vkd_convolution *s, const float *weights, const float *dy, int batch,
                             float *dx, float *workspace) {
    const method m = adjoint_method(s);
    if (m == WINOGRAD) return !vkd_winograd_adjoint(s, weights, dy, batch, dx, workspace);
    return m == DIRECT && !vkd_direct_adjoint(s, weights, dy, batch, dx, workspace);
}

bool vkd_convolution_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                              float *dweights, float *workspace) {
    const method m = gradient_method(s);
    if (m == WINOGRAD) return !vkd_winograd_gradient(s, x, dy, batch, dweights, workspace);
    return m == DIRECT && !vkd_direct_gradient(s, x, dy, batch, dweights, workspace);
}
