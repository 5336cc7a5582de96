// What decides in a tap's step on the device: a few threads over the partial sums, and the state.
// `sums` (VKD_SUMS,parts) are the partial sums of state.h.
#ifndef VKD_GPU_STEP_KERNELS_H
#define VKD_GPU_STEP_KERNELS_H

#include "gpu/device.h"
#include "gpu/state.h"

#ifdef __cplusplus
extern "C" {
#endif

// Of a new forward; `nothing`: it has no sample.
void vkd_gpu_begin(const vkd_launch *launch, vkd_device_state *state, bool nothing);

// The running average has taken this batch in, unless state->bad_features.
void vkd_gpu_count_batch(const vkd_launch *launch, vkd_device_state *state);

// The whitening matrix could not be made: VKD_NOT_FINITE counts as features that are not, others as nothing.
void vkd_gpu_fail(const vkd_launch *launch, vkd_device_state *state, bool not_finite);

// student_norm=gain without a start: vkd_student_start_gain on VKD_SUM_RAW and `reached` of VKD_SUM_ENERGY.
void vkd_gpu_start_gain(const vkd_launch *launch, vkd_device_state *state, const double *sums,
                        double reached);
void vkd_gpu_set_gain(const vkd_launch *launch, vkd_device_state *state, double gain);

typedef struct vkd_finish {
    bool isometric; // the loss is VKD_SUM_LOSS + VKD_SUM_ENERGY
    bool gain;      // student_norm=gain: its gradient and curvature are summed
    int batch;
    double c; // factor of the sum in the loss
} vkd_finish;

// Loss and verdict of this forward.
void vkd_gpu_finish(const vkd_launch *launch, vkd_device_state *state, const double *sums,
                    const vkd_finish *finish);

// gradient += part, or as the verdict has it.
void vkd_gpu_settle(const vkd_launch *launch, const vkd_device_state *state, const float *part, // (count)
                    size_t count,
                    float *gradient); // (count) +=

// VKD_SUM_TASK and VKD_SUM_DX to norms, and those to weight and ratio.
void vkd_gpu_weigh(const vkd_launch *launch, vkd_device_state *state, const double *sums, bool is_ratio,
                   double amount, double factor);

// delta += sign * weight * dx; not a bit changes where the weight is 0.
void vkd_gpu_add(const vkd_launch *launch, const vkd_device_state *state, float sign,
                 const float *dx, // (count)
                 size_t count,
                 float *delta); // (count) +=

// What is summed until a fetch starts afresh.
void vkd_gpu_restart(const vkd_launch *launch, vkd_device_state *state);

#ifdef __cplusplus
}
#endif

#endif
