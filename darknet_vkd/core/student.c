#include "core/student.h"

#include "core/scalars.h"
#include "numerics/finite.h"
#include "numerics/normalize.h"
#include "numerics/reduce.h"

#include <math.h>
#include <stdlib.h>

static size_t scales(const vkd_student *s, size_t samples) {
    return s->norm == VKD_OPTION_STUDENT_LAYERNORM ? samples : (size_t)s->k;
}

vkd_status vkd_student_resize(vkd_student *s, size_t samples) {
    free(s->inv_std);
    s->inv_std = calloc(scales(s, samples), sizeof *s->inv_std);
    return s->inv_std ? VKD_OK : VKD_OUT_OF_MEMORY;
}

size_t vkd_student_bytes(const vkd_student *s, size_t samples) {
    return (size_t)s->k * sizeof *s->mean + scales(s, samples) * sizeof *s->inv_std;
}

vkd_status vkd_student_create(vkd_student *s, vkd_option_student_norm norm, int k, size_t samples) {
    *s = (vkd_student){.norm = norm, .k = k};
    if (k < 1 || samples < 1) return VKD_INVALID_ARGUMENT;
    s->mean = calloc((size_t)k, sizeof *s->mean);
    if (!s->mean) return VKD_OUT_OF_MEMORY;
    return vkd_student_resize(s, samples);
}

void vkd_student_free(vkd_student *s) {
    free(s->mean);
    free(s->inv_std);
    *s = (vkd_student){0};
}

static void multiply(float *X, size_t n, float factor) {
    for (size_t i = 0; i < n; ++i)
        X[i] *= factor;
}

void vkd_student_forward(vkd_student *s, float *X, int samples) {
    switch (s->norm) {
    case VKD_OPTION_STUDENT_NONE:
        break;
    case VKD_OPTION_STUDENT_GAIN:
        multiply(X, (size_t)s->k * (size_t)samples, (float)s->gain);
        break;
    case VKD_OPTION_STUDENT_STANDARDIZE:
        vkd_standardize_forward(X, 1, s->k, samples, VKD_STUDENT_EPS, X, s->mean, s->inv_std);
        break;
    case VKD_OPTION_STUDENT_LAYERNORM:
        vkd_layernorm_forward(X, 1, s->k, samples, VKD_STUDENT_EPS, X, s->inv_std);
        break;
    }
}

// X = g x: d loss / d x = g dX, d loss / d g = <dX, x> = <dX, X> / g, and the loss c sum |g P x - t|^2 has
// the second derivative 2c sum |P x|^2 in g.
static void gain_backward(vkd_student *s, const float *X, float *dX, int samples, double c, double stretch) {
    size_t n = (size_t)s->k * (size_t)samples;
    s->gradient += vkd_dot(dX, X, NULL, (size_t)s->k, (size_t)samples) / s->gain;
    s->curvature += 2 * c * stretch / (s->gain * s->gain);
    multiply(dX, n, (float)s->gain);
}

void vkd_student_backward(vkd_student *s, const float *X, float *dX, int samples, double c, double stretch) {
    switch (s->norm) {
    case VKD_OPTION_STUDENT_NONE:
        break;
    case VKD_OPTION_STUDENT_GAIN:
        gain_backward(s, X, dX, samples, c, stretch);
        break;
    case VKD_OPTION_STUDENT_STANDARDIZE:
        vkd_standardize_backward(dX, X, s->inv_std, 1, s->k, samples, dX);
        break;
    case VKD_OPTION_STUDENT_LAYERNORM:
        vkd_layernorm_backward(dX, X, s->inv_std, 1, s->k, samples, dX);
        break;
    }
}

void vkd_student_start_gain(vkd_student *s, double energy, double target) {
    if (s->norm != VKD_OPTION_STUDENT_GAIN || s->gain > 0) return;
    s->gain = vkd_gain_start(energy, target);
}

void vkd_student_update(vkd_student *s, double momentum) {
    double step = (1 - momentum) * s->gradient / s->curvature;
    if (s->norm == VKD_OPTION_STUDENT_GAIN && s->curvature > 0 && vkd_is_finite(step)) {
        double gain = fmax(s->gain - step, s->gain / 2);
        if ((float)gain > 0 && vkd_is_finite((float)gain)) s->gain = gain;
    }
    s->gradient = s->curvature = 0;
}
