// Where in its frame each picture of a batch lies: the loader tells, the taps ask.
#ifndef VKD_HOST_PADDING_H
#define VKD_HOST_PADDING_H

#include <stddef.h>

typedef struct vkd_frame {
    float left, top, right, bottom; // of the picture, as fractions of the network's input
} vkd_frame;

// Of picture `place` of batch `batch`. The last few batches are remembered.
void vkd_padding_set(size_t batch, int place, vkd_frame frame);

// mask = 1 where a location's centre lies in its picture, 0 in the padding; 1 for pictures nothing is known
// of.
void vkd_padding_mask(size_t batch, int first, int count, int h, int w,
                      float *mask); // (count,h,w) =

#endif
