// Resampling of feature maps between grids.
#ifndef VKD_NUMERICS_RESAMPLE_H
#define VKD_NUMERICS_RESAMPLE_H

#include "numerics/status.h"

// y = x on another grid: a copy when the sizes are equal; the average over blocks when h and w are
// integer multiples of out_h and out_w; otherwise bilinear with aligned pixel centres and no
// antialiasing (align_corners=False in torch). x and y do not overlap.
vkd_status vkd_resample(const float *x, // (planes,h,w)
                        int planes, int h, int w,
                        float *y, // (planes,out_h,out_w) =
                        int out_h, int out_w);

// dx += the adjoint of vkd_resample applied to dy.
vkd_status vkd_resample_adjoint(const float *dy, // (planes,out_h,out_w)
                                int planes, int h, int w,
                                float *dx, // (planes,h,w) +=
                                int out_h, int out_w);

#endif
