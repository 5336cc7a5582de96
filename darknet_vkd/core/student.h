// The student's side of a tap: how its samples are normalised before P, and the gradient through that.
#ifndef VKD_CORE_STUDENT_H
#define VKD_CORE_STUDENT_H

#include "core/options.h"
#include "numerics/status.h"

#include <stddef.h>

#define VKD_STUDENT_EPS 1e-5f // under the roots of standardize and layernorm

typedef struct vkd_student {
    vkd_option_student_norm norm;
    int k;
    float *mean;    // (k) standardize
    float *inv_std; // (k) standardize, (samples) layernorm
    // student_norm=gain: X = gain * x with one learned scalar. 0: not set yet.
    double gain;
    double gradient;  // d loss / d gain, summed since the last update
    double curvature; // d^2 loss / d gain^2 of the l2 loss (above smooth_l1's), summed as well
} vkd_student;

// samples: the most there will be. Whatever the status, *s may be handed to vkd_student_free.
vkd_status vkd_student_create(vkd_student *s, vkd_option_student_norm norm, int k, size_t samples);
void vkd_student_free(vkd_student *s);
// For another number of samples; the gain stays.
vkd_status vkd_student_resize(vkd_student *s, size_t samples);

// What create and resize allocate.
size_t vkd_student_bytes(const vkd_student *s, size_t samples);

// X (k,samples) <- the normalised X, in place. With gain, the gain must be set.
void vkd_student_forward(vkd_student *s, float *X, int samples);

// dX (k,samples) <- the gradient in the raw samples, in place; X as the forward left it. `stretch`: the sum
// of weight |P X|^2 over samples, c the factor of the squares in the loss: what the gain's curvature is made
// of.
void vkd_student_backward(vkd_student *s, const float *X, float *dX, int samples, double c, double stretch);

// A start for the gain where it has none: the scale at which a random isometry's samples are as long as the
// targets' part in its range. energy, target: mean squares of the raw samples and of what a random P reaches
// of the targets. Where one of them is zero or not finite the gain stays 0, and a later batch starts it.
void vkd_student_start_gain(vkd_student *s, double energy, double target);

// The gain moves by (1 - momentum) of the way to the loss's minimum: a running average of the least-squares
// gain. It is never more than halved at once, so it stays above 0.
void vkd_student_update(vkd_student *s, double momentum);

#endif
