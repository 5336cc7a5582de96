// Taps of one cfg that were trained side by side, one on each GPU, become one tap again.
#ifndef VKD_CORE_TAP_MERGE_H
#define VKD_CORE_TAP_MERGE_H

#include "core/tap.h"

// Afterwards all taps are equal in what outlives a step, but for the gradients that wait for an update.
// - P, momentum: see vkd_projection_merge.
// - gain, gradient norms: their means; a tap without gain has no part in it.
// - running statistics: of all samples together, each tap's that has seen any counting the same: the mean of
//   the means, and of the second moments with the spread of the means in it (Chan, Golub, LeVeque 1979). With
//   mode=whiten what is applied is the first tap's, until the statistics are next refreshed.
// - other statistics: the first tap's; calibrated ones are of other pictures on each GPU without -seed.
//
// Taps are of equal options and channels, or it answers VKD_INVALID_ARGUMENT. VKD_SINGULAR, VKD_NOT_FINITE:
// P's mean has no polar factor, and the taps stay as they were.
vkd_status vkd_tap_merge(vkd_tap *const *taps, // (count)
                         int count);

#endif
