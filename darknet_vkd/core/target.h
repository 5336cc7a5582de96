// The teacher's side of a tap: its samples normalised by statistics of many of them. No gradient.
#ifndef VKD_CORE_TARGET_H
#define VKD_CORE_TARGET_H

#include "core/options.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vkd_target {
    const vkd_whiten_options *options;
    int n; // the teacher's channels
    // Statistics: the running average, the last batch's own, or those of all the samples it was calibrated
    // on.
    double *mean;         // (n)
    double *second;       // (n) variance for standardize, (n,n) covariance for whiten
    double *batch_mean;   // (n) scratch
    double *batch_second; // as second, scratch
    long batches;         // that went into the running average
    long samples;         // that it was calibrated on
    // What is applied: y = inv_std (x - mean), or y = W (x - mean).
    float *offset;  // (n) the mean
    float *inv_std; // (n) standardize
    float *W;       // (n,n) whiten
    float *scratch; // (n,locations) whiten; (batch,locations) layernorm
    double *work;
    long refreshes;   // how often what is applied was made
    int kept;         // directions kept by whitening
    double condition; // of the whitened covariance, after shrinkage and floor
} vkd_target;

// samples: batch * locations. Whatever the status, *t may be handed to vkd_target_free.
vkd_status vkd_target_create(vkd_target *t, const vkd_whiten_options *options, int n, int batch,
                             int locations);
void vkd_target_free(vkd_target *t);

// For another grid: sizes what depends on it; the statistics stay.
vkd_status vkd_target_resize(vkd_target *t, int batch, int locations);

// What create and resize allocate.
size_t vkd_target_bytes(const vkd_target *t, int batch, int locations);
// Multiply-adds of taking in so many samples, about.
double vkd_target_work(const vkd_target *t, int samples);

// Elements of `second`: n for standardize, n * n for whiten, 0 otherwise.
size_t vkd_target_second_size(const vkd_target *t);

// Statistics=batch and running take x in; calibrated ones stay. VKD_NOT_FINITE: x has a NaN or an infinity,
// and nothing has changed.
vkd_status vkd_target_observe(vkd_target *t,
                              const float *x, // (batch,n,locations)
                              int batch, int locations);

// y = the normalised x. y may be x unless mode=whiten.
vkd_status vkd_target_apply(vkd_target *t,
                            const float *x, // (batch,n,locations)
                            int batch, int locations,
                            float *y); // (batch,n,locations) =

// Both: what a training step does.
vkd_status vkd_target_normalize(vkd_target *t,
                                const float *x, // (batch,n,locations)
                                int batch, int locations,
                                float *y); // (batch,n,locations) =, not x

// x <- x - mean, what is left of mode=whiten's normalisation when W is folded into the projection.
void vkd_target_centre(const vkd_target *t, float *x, // (n,samples)
                       int samples);

// True where statistics=calibrated waits for its samples.
bool vkd_target_needs_calibration(const vkd_target *t);

// Takes x in: after the last call, vkd_target_refresh. Every sample counts the same, whatever the calls they
// came in (Chan, Golub, LeVeque 1979, eq. 2.1). VKD_NOT_FINITE as above.
vkd_status vkd_target_calibrate(vkd_target *t,
                                const float *x, // (batch,n,locations)
                                int batch, int locations);

// Of samples whose moments stand in batch_mean and batch_second, where those were measured elsewhere: a GPU.
void vkd_target_take(vkd_target *t, long samples);

// Whether what is applied is made anew when `batches` have gone into the running average.
bool vkd_target_is_due(const vkd_target *t, long batches);

// Makes what is applied from `mean` and `second`, as after reading them from a sidecar.
vkd_status vkd_target_refresh(vkd_target *t);

#endif
