// Where an output of a bilinear resampling lies in its input.
#ifndef VKD_NUMERICS_RESAMPLE_PLACE_H
#define VKD_NUMERICS_RESAMPLE_PLACE_H

#include "numerics/everywhere.h"

typedef struct vkd_place { // output = (1 - t) input[low] + t input[high]
    int low, high;
    float t;
} vkd_place;

// Aligned pixel centres: output i sits at (i + 1/2) size / out_size - 1/2 of the input, clamped to the first
// and last centres.
VKD_EVERYWHERE static inline vkd_place vkd_resample_place(int i, int size, int out_size) {
    double at = (i + 0.5) * size / out_size - 0.5;
    if (at < 0) at = 0;
    vkd_place s;
    s.low = (int)at;
    if (s.low > size - 1) s.low = size - 1;
    s.high = s.low + 1 < size ? s.low + 1 : s.low;
    s.t = (float)(at - s.low);
    return s;
}

#endif
