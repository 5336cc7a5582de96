// What a tap on the device keeps of scalars, in the device's memory: decided there, read by the host when the
// gradient of P is.
#ifndef VKD_GPU_STATE_H
#define VKD_GPU_STATE_H

#include "core/scalars.h"

// What became of a forward pass.
typedef enum vkd_verdict {
    VKD_TAKEN,  // its gradients count
    VKD_RESTED, // nothing to learn from it, or its features were not finite: as if it had not been
    VKD_BROKEN  // the loss or its gradient overflowed: what was summed since the last update goes with it
} vkd_verdict;

typedef struct vkd_device_state {
    vkd_norms norms;
    double loss;         // weight 1, mean over images
    double weight;       // in force
    double ratio;        // weight * |vkd gradient| / |task gradient|
    double gain;         // student_norm=gain; 0: not set yet
    double gradient;     // in the gain, summed since the last fetch
    double curvature;    // the same
    long long batches;   // that went into the teacher's running average
    int refused;         // forward passes since the last fetch that were not finite
    int bad_features;    // of this forward: features that are not finite
    int bad_gradient;    // of this forward: a dX that is not finite
    int empty;           // of this forward: no sample
    int nothing;         // of this forward: no sample, or no start for the gain
    vkd_verdict verdict; // of this forward
} vkd_device_state;

// Sums over features, added up in two steps: `parts` partial sums each, then those.
enum {
    VKD_SUM_LOSS,
    VKD_SUM_STRETCH,
    VKD_SUM_ENERGY, // of the targets, |t|^2
    VKD_SUM_GAIN,   // <dX, X>
    VKD_SUM_RAW,    // of the student's samples, |x|^2
    VKD_SUM_TASK,   // |task gradient|^2
    VKD_SUM_DX,
    VKD_SUMS
};

#endif
