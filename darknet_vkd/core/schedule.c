#include "core/schedule.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

// The batch at which the tap stops; 0 where no end is known.
static size_t end_of(const vkd_tap_options *o, size_t max_batches) {
    return o->until > 0 ? (size_t)o->until : max_batches;
}

bool vkd_schedule_finished(const vkd_tap_options *o, size_t batch, size_t max_batches) {
    size_t end = end_of(o, max_batches);
    return end > 0 && batch >= end;
}

double vkd_schedule(const vkd_tap_options *o, size_t batch, size_t max_batches) {
    size_t warmup = o->warmup > 0 ? (size_t)o->warmup : 0;
    size_t end = end_of(o, max_batches);
    if (vkd_schedule_finished(o, batch, max_batches)) return 0;
    if (batch < warmup) return (double)(batch + 1) / (double)warmup;
    if (end == 0) return 1;
    // Here warmup <= batch < end, so 0 <= s < 1.
    double s = (double)(batch - warmup) / (double)(end - warmup);
    switch ((vkd_option_ramp)o->ramp) {
    case VKD_OPTION_RAMP_LINEAR:
        return 1 - s;
    case VKD_OPTION_RAMP_COSINE:
        return 0.5 * (1 + cos(pi * s));
    case VKD_OPTION_RAMP_CONSTANT:
        break;
    }
    return 1;
}
