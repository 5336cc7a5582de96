// Normalisation of feature maps (batch,c,hw): per channel over all samples, or per sample over
// channels. Statistics in float64, population variance. A NaN in the data comes out as NaN.
#ifndef VKD_NUMERICS_NORMALIZE_H
#define VKD_NUMERICS_NORMALIZE_H

// Mean and population variance of each channel over batch * hw samples, in two passes.
void vkd_channel_moments(const float *x, // (batch,c,hw)
                         int batch, int c, int hw,
                         double *mean,      // (c) =
                         double *variance); // (c) =

// y = (x - mean) * inv_std per channel. y may be x.
void vkd_normalize_apply(const float *x, // (batch,c,hw)
                         int batch, int c, int hw,
                         const float *mean,    // (c)
                         const float *inv_std, // (c)
                         float *y);            // (batch,c,hw) =

// y = (x - mean) * inv_std with the batch's own statistics, inv_std = 1 / sqrt(var + eps).
// y may be x.
void vkd_standardize_forward(const float *x, // (batch,c,hw)
                             int batch, int c, int hw, float eps,
                             float *y,        // (batch,c,hw) =
                             float *mean,     // (c) =
                             float *inv_std); // (c) =

// Gradient through mean and variance, from the forward's y and inv_std. dx may be dy.
void vkd_standardize_backward(const float *dy,      // (batch,c,hw)
                              const float *y,       // (batch,c,hw)
                              const float *inv_std, // (c)
                              int batch, int c, int hw,
                              float *dx); // (batch,c,hw) =

// The same per sample (location) over the c channels. y may be x.
void vkd_layernorm_forward(const float *x, // (batch,c,hw)
                           int batch, int c, int hw, float eps,
                           float *y,        // (batch,c,hw) =
                           float *inv_std); // (batch,hw) =

// dx may be dy.
void vkd_layernorm_backward(const float *dy,      // (batch,c,hw)
                            const float *y,       // (batch,c,hw)
                            const float *inv_std, // (batch,hw)
                            int batch, int c, int hw,
                            float *dx); // (batch,c,hw) =

#endif
