// Which locations of a batch count as samples, and the way between feature maps and sample matrices.
//
//     maps (batch,channels,locations)  -- gather -->  matrix (channels,count), samples ordered by image
//                                      <- scatter --
#ifndef VKD_CORE_SAMPLES_H
#define VKD_CORE_SAMPLES_H

#include "numerics/status.h"

#include <stddef.h>

typedef struct vkd_samples {
    int batch, locations;
    int count;  // samples now, at most batch * locations
    int *start; // (batch + 1): image b's samples are start[b] .. start[b + 1] - 1
    int *place; // (count) the location of each sample in its image, ascending
} vkd_samples;

// Every location counts. Whatever the status, *s may be handed to vkd_samples_free.
vkd_status vkd_samples_create(vkd_samples *s, int batch, int locations);
void vkd_samples_free(vkd_samples *s);

// What vkd_samples_create allocates.
size_t vkd_samples_bytes(const vkd_samples *s);

// The locations whose mask is not zero. NULL: all.
void vkd_samples_choose(vkd_samples *s, const float *mask); // (batch,locations)

// Leaves out the images from `images` on.
void vkd_samples_keep(vkd_samples *s, int images);

void vkd_samples_gather(const vkd_samples *s,
                        const float *maps, // (batch,channels,locations)
                        int channels,
                        float *matrix); // (channels,count) =

// Zero where a location does not count.
void vkd_samples_scatter(const vkd_samples *s,
                         const float *matrix, // (channels,count)
                         int channels,
                         float *maps); // (batch,channels,locations) =

#endif
