// When a tap counts, and how much: its factor over the batches of a run.
#ifndef VKD_CORE_SCHEDULE_H
#define VKD_CORE_SCHEDULE_H

#include "core/options.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * The factor in [0,1] on the tap's weight (or on its ratio) at `batch`, counted from 0 as Darknet's
 * get_current_batch counts the batches already trained. `end` is o->until, or max_batches where until = 0.
 *
 *   1 |        _______          constant         rise:  (batch + 1) / warmup     for batch < warmup
 *     |      /         \                         ramp:  s = (batch - warmup) / (end - warmup)
 *     |    /             \      cosine, linear          constant 1, linear 1 - s, cosine (1 + cos(pi s)) / 2
 *   0 |  /                 \___                  stop:  0                        for batch >= end
 *       0     warmup      end
 *
 * With until = 0 and max_batches = 0 (no end is known) there is no ramp and no stop: only the rise.
 * With until = 0 and warmup >= max_batches the run ends while the weight still rises.
 */
double vkd_schedule(const vkd_tap_options *o, size_t batch, size_t max_batches);

// True from the batch on at which the tap stops for good: its teacher is no longer needed.
bool vkd_schedule_finished(const vkd_tap_options *o, size_t batch, size_t max_batches);

#endif
