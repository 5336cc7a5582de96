// Taps of one cfg that were trained side by side, one on each GPU, become one tap again.
#ifndef VKD_CORE_TAP_MERGE_H
#define VKD_CORE_TAP_MERGE_H

#include "core/tap.h"

/*
 * Afterwards all taps are equal in what outlives a step:
 *
 *     P       the mean of theirs, then its polar factor: the point that minimises the sum of |P - P_i|_F^2
 * over the manifold. To first order in their distances this is the mean of the tangents to them, retracted.
 *             rebase=0, where all share one base: exactly that, V = map(base, mean of D). procrustes: the
 * polar factor of the mean cross-covariance. linear: the mean itself. momentum, gain, norms       the mean
 * (the next gather projects the momentum to P's tangents) statistics                  the mean of the means;
 * of the second moments, with the spread of the means in it
 *
 * Gradients that wait for an update stay each tap's own. Taps are of equal options and channels, or it
 * answers VKD_INVALID_ARGUMENT. VKD_NOT_FINITE, VKD_SINGULAR: the polar factor or the whitening cannot be
 * computed, and nothing has changed but the first tap's whitening.
 */
vkd_status vkd_tap_merge(vkd_tap *const *taps, // (count)
                         int count);

#endif
