// Which locations of a feature map lie on an object, and how much each counts in a tap's loss.
#ifndef VKD_CORE_FOREGROUND_H
#define VKD_CORE_FOREGROUND_H

/*
 * A location is foreground where its centre lies in a truth box, or where the box's own centre falls into its
 * cell. Over the batch, foreground locations share `share` of all the weight evenly and the others the rest;
 * the mean weight is 1. Where one side is empty, all weights are 1. Of masked locations (padding) none is on
 * either side; their weight is 0. For a share of 1 the weights are a mask themselves: 1 in the foreground, 0
 * elsewhere.
 */
void vkd_foreground_weights(
    const float *boxes, // (batch,max_boxes,5): x, y, w, h of 0..1, class; ends at x = 0
    int batch, int max_boxes, int h, int w,
    double share,      // 0..1
    const float *mask, // (batch,h,w) 0 where masked; NULL: nowhere
    float *weight);    // (batch,h,w) =, may be mask

#endif
