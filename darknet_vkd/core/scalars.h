// What a tap decides from sums over its features: the same text on the CPU and in a kernel.
#ifndef VKD_CORE_SCALARS_H
#define VKD_CORE_SCALARS_H

#include "numerics/everywhere.h"
#include "numerics/finite.h"

#include <math.h>

// What a running average keeps of itself when it takes in the next value, after `count` of them: a plain mean
// at first, so that nothing of an arbitrary start remains, then exponential.
VKD_EVERYWHERE static inline double vkd_average_keep(long long count, double limit) {
    double m = (double)count / ((double)count + 1);
    return m > limit ? limit : m;
}

// Running averages of gradient norms, for ratio=. steps = 0: none yet.
typedef struct vkd_norms {
    double task, loss;
    long long steps;
    int idle; // forward passes in a row whose gradient was zero or not finite
} vkd_norms;

// Of the gradient norms: an average over about ten batches, since early in training they fall fast.
#define VKD_NORM_MOMENTUM 0.9

// The weight of this batch: `amount` itself, or where `is_ratio` what makes weight * loss_norm that share of
// the task's; times `factor`. 0: no gradient from this batch.
VKD_EVERYWHERE static inline double vkd_weigh(vkd_norms *a, double task_norm, double loss_norm, bool is_ratio,
                                              double amount, double factor) {
    if (!(loss_norm > 0) || !vkd_is_finite(loss_norm)) {
        ++a->idle;
        return 0;
    }
    int idle = a->idle + 1;
    a->idle = 0;
    if (!vkd_is_finite(task_norm)) return 0; // the task's own trouble; nothing of it enters the averages
    double m = vkd_average_keep(a->steps, VKD_NORM_MOMENTUM);
    a->task = m * a->task + (1 - m) * task_norm;
    a->loss = m * a->loss + (1 - m) * loss_norm;
    ++a->steps;
    // A batch whose own gradient stands out above the average is held to it: one spike of |dx|, as a channel
    // of the student that nearly dies makes through 1 / std, can otherwise end a run.
    double norm = loss_norm > a->loss ? loss_norm : a->loss;
    double weight = factor * (is_ratio ? amount * a->task / norm : amount);
    if (!vkd_is_finite((float)weight)) { // no better than no gradient: times a zero it would be a NaN
        a->idle = idle;
        return 0;
    }
    return weight;
}

// What share of the task's gradient norm the weighted one has; 0 for a weight of 0.
VKD_EVERYWHERE static inline double vkd_ratio(double weight, double task_norm, double loss_norm) {
    return weight != 0 && task_norm > 0 ? weight * loss_norm / task_norm : 0;
}

// A start for student_norm=gain from two sums of squares, of the raw samples and of what is reached of the
// targets. 0: none, as one of them is zero or not finite.
VKD_EVERYWHERE static inline double vkd_gain_start(double energy, double target) {
    double gain = sqrt(target / energy);
    return (float)gain > 0 && vkd_is_finite((float)gain) ? gain : 0;
}

#endif
