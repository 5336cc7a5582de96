#include "gpu/step_kernels.h"

#include "gpu/block.cuh"

// Every thread of the block gets it.
static __device__ double total(const double *sums, int which, int parts) {
    double sum = 0;
    for (int i = (int)threadIdx.x; i < parts; i += (int)blockDim.x)
        sum += sums[(size_t)which * parts + i];
    return vkd_block_sum(sum);
}

static __global__ void begin(vkd_device_state *state, bool nothing) {
    state->bad_features = state->bad_gradient = 0;
    state->empty = state->nothing = nothing;
}

void vkd_gpu_begin(const vkd_launch *launch, vkd_device_state *state, bool nothing) {
    VKD_LAUNCH(begin, 1, 1, launch, state, nothing);
}

static __global__ void count_batch(vkd_device_state *state) {
    if (!state->bad_features) ++state->batches;
}

void vkd_gpu_count_batch(const vkd_launch *launch, vkd_device_state *state) {
    VKD_LAUNCH(count_batch, 1, 1, launch, state);
}

static __global__ void fail(vkd_device_state *state, bool not_finite) {
    if (not_finite)
        state->bad_features = 1;
    else
        state->nothing = 1;
}

void vkd_gpu_fail(const vkd_launch *launch, vkd_device_state *state, bool not_finite) {
    VKD_LAUNCH(fail, 1, 1, launch, state, not_finite);
}

static __global__ void start_gain(vkd_device_state *state, const double *sums, int parts, double reached) {
    const double energy = total(sums, VKD_SUM_RAW, parts), target = total(sums, VKD_SUM_ENERGY, parts);
    if (threadIdx.x != 0 || state->bad_features || state->gain > 0) return;
    state->gain = vkd_gain_start(energy, reached * target);
    if (!(state->gain > 0)) state->nothing = 1;
}

void vkd_gpu_start_gain(const vkd_launch *launch, vkd_device_state *state, const double *sums,
                        double reached) {
    VKD_LAUNCH(start_gain, 1, launch->block, launch, state, sums, launch->parts, reached);
}

static __global__ void set_gain(vkd_device_state *state, double gain) {
    state->gain = gain;
}

void vkd_gpu_set_gain(const vkd_launch *launch, vkd_device_state *state, double gain) {
    VKD_LAUNCH(set_gain, 1, 1, launch, state, gain);
}

static __device__ vkd_verdict judge(const vkd_device_state *state, double loss) {
    if (state->bad_features || state->nothing) return VKD_RESTED;
    return state->bad_gradient || !vkd_is_finite(loss) ? VKD_BROKEN : VKD_TAKEN;
}

static __global__ void finish_forward(vkd_device_state *state, const double *sums, int parts, vkd_finish f) {
    double sum = total(sums, VKD_SUM_LOSS, parts);
    const double energy = total(sums, VKD_SUM_ENERGY, parts), stretch = total(sums, VKD_SUM_STRETCH, parts);
    const double dot = total(sums, VKD_SUM_GAIN, parts);
    if (threadIdx.x != 0) return;
    if (f.isometric) sum += energy;
    const double loss = (sum < 0 ? 0 : sum) * f.c / f.batch; // below 0: rounding of a perfect match
    state->verdict = judge(state, loss);
    state->loss = state->verdict == VKD_TAKEN ? loss : 0;
    state->refused += state->bad_features || state->verdict == VKD_BROKEN;
    if (state->verdict == VKD_BROKEN) state->gradient = state->curvature = 0;
    if (state->verdict == VKD_TAKEN && f.gain) {
        state->gradient += dot / state->gain;
        state->curvature += 2 * f.c * stretch / (state->gain * state->gain);
    }
}

void vkd_gpu_finish(const vkd_launch *launch, vkd_device_state *state, const double *sums,
                    const vkd_finish *finish) {
    VKD_LAUNCH(finish_forward, 1, launch->block, launch, state, sums, launch->parts, *finish);
}

static __global__ void settle(const vkd_device_state *state, const float *part, size_t count,
                              float *gradient) {
    if (state->verdict == VKD_RESTED) return;
    const bool taken = state->verdict == VKD_TAKEN;
    VKD_EACH(i, count) gradient[i] = taken ? gradient[i] + part[i] : 0;
}

void vkd_gpu_settle(const vkd_launch *launch, const vkd_device_state *state, const float *part, size_t count,
                    float *gradient) {
    VKD_LAUNCH(settle, vkd_blocks(count, launch->block), launch->block, launch, state, part, count, gradient);
}

static __global__ void weigh(vkd_device_state *state, const double *sums, int parts, bool is_ratio,
                             double amount, double factor) {
    const double task = sqrt(total(sums, VKD_SUM_TASK, parts)), own = sqrt(total(sums, VKD_SUM_DX, parts));
    if (threadIdx.x != 0) return;
    if (state->empty) {
        state->weight = state->ratio = 0;
        return;
    }
    state->weight = vkd_weigh(&state->norms, task, own, is_ratio, amount, factor);
    state->ratio = vkd_ratio(state->weight, task, own);
}

void vkd_gpu_weigh(const vkd_launch *launch, vkd_device_state *state, const double *sums, bool is_ratio,
                   double amount, double factor) {
    VKD_LAUNCH(weigh, 1, launch->block, launch, state, sums, launch->parts, is_ratio, amount, factor);
}

static __global__ void add(const vkd_device_state *state, float sign, const float *dx, size_t count,
                           float *delta) {
    if (state->weight == 0) return;
    const float scale = sign * (float)state->weight;
    VKD_EACH(i, count) delta[i] += scale * dx[i];
}

void vkd_gpu_add(const vkd_launch *launch, const vkd_device_state *state, float sign, const float *dx,
                 size_t count, float *delta) {
    VKD_LAUNCH(add, vkd_blocks(count, launch->block), launch->block, launch, state, sign, dx, count, delta);
}

static __global__ void restart(vkd_device_state *state) {
    state->gradient = state->curvature = 0;
    state->refused = 0;
}

void vkd_gpu_restart(const vkd_launch *launch, vkd_device_state *state) {
    VKD_LAUNCH(restart, 1, 1, launch, state);
}
