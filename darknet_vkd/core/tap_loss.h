// The loss of a tap between its sample matrices. Private to core/ and gpu/.
#ifndef VKD_CORE_TAP_LOSS_H
#define VKD_CORE_TAP_LOSS_H

#include "core/tap.h"

// True where l2 under an isometry needs neither P X nor W z: see tap_loss.c.
bool vkd_tap_is_isometric(const vkd_tap_options *options, const vkd_projection *p);

// From tap->X, Z, T and weight_of: tap->dX = c d(sum)/dX, the projection's gradient += c d(sum)/dP. Returns
// the sum of weight d(P x, t); *stretch = the sum of weight |P x|^2.
double vkd_tap_loss(vkd_tap *tap, float c, double *stretch);

// Multiply-adds of its products, and of the target's whitening.
double vkd_tap_loss_work(const vkd_tap *tap);

// The sum of |t|^2 over the samples.
double vkd_tap_target_energy(vkd_tap *tap);

#endif
