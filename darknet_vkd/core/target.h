// The teacher's side of a tap: brought to the student's grid, pooled where asked, normalised. No gradient.
#ifndef VKD_CORE_TARGET_H
#define VKD_CORE_TARGET_H

#include "core/options.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vkd_target {
    const vkd_whiten_options *options;
    int n; // the teacher's channels
    // Statistics: the running average, or the last batch's own.
    double *mean;         // (n)
    double *second;       // (n) variance for standardize, (n,n) covariance for whiten
    double *batch_mean;   // (n) scratch
    double *batch_second; // as second, scratch
    long batches;         // that went into the running average
    // What is applied: y = inv_std (x - mean), or y = W (x - mean).
    float *offset;  // (n) the mean
    float *inv_std; // (n) standardize
    float *W;       // (n,n) whiten
    float *scratch; // (n,locations) whiten; (batch,locations) layernorm
    double *work;
    int kept;         // directions kept by whitening
    double condition; // of the whitened covariance, after shrinkage and floor
} vkd_target;

// samples: batch * locations. Whatever the status, *t may be handed to vkd_target_free.
vkd_status vkd_target_create(vkd_target *t, const vkd_whiten_options *options, int n, int batch,
                             int locations);
void vkd_target_free(vkd_target *t);

// For another grid: sizes what depends on it; the statistics stay.
vkd_status vkd_target_resize(vkd_target *t, int batch, int locations);

// Elements of `second`: n for standardize, n * n for whiten, 0 otherwise.
size_t vkd_target_second_size(const vkd_target *t);

// y = the normalised x; the running statistics take this batch in first. VKD_NOT_FINITE: x has a NaN or an
// infinity; the statistics are then unchanged.
vkd_status vkd_target_normalize(vkd_target *t,
                                const float *x, // (batch,n,locations)
                                int batch, int locations,
                                float *y); // (batch,n,locations) =, not x

// Makes what is applied from `mean` and `second`, as after reading them from a sidecar.
vkd_status vkd_target_refresh(vkd_target *t);

#endif
