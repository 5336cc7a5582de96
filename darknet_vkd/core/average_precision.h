// Average precision and recall of a detector, as COCO defines them and pycocotools computes them (COCOeval,
// iouType "bbox", no crowd annotations): T. Lin et al., "Microsoft COCO: Common Objects in Context", 2014.
#ifndef VKD_CORE_AVERAGE_PRECISION_H
#define VKD_CORE_AVERAGE_PRECISION_H

#include "numerics/status.h"
#include <stddef.h>

// An object that is really there. Boxes are (left, top, width, height) in pixels of the original picture.
typedef struct vkd_ground_truth {
    int image;    // 0 .. images-1
    int class_id; // 0 .. classes-1
    double x, y, w, h;
    double area; // decides small (<= 32^2), medium, large (>= 96^2); w*h unless a mask says otherwise
} vkd_ground_truth;

typedef struct vkd_detection {
    int image, class_id;
    double x, y, w, h;
    double score;
} vkd_detection;

// A figure beside COCO's: the mean over the classes at one IoU, as users of other forks ask for it.
typedef struct vkd_ap_question {
    double iou; // above 0, to 1: the least overlap of a hit
    int points; // 0, or 2 and more: precision is averaged over so many recalls, 0 .. 1 (101: COCO, 11: PASCAL
                // VOC 2007), or 0: over all, the area under the curve (PASCAL VOC 2010). Precision at a
                // recall is the best at it or above.
} vkd_ap_question;

// Every figure is in 0..1, or -1 where there is no object to find (no object of that size; a class without
// any).
typedef struct vkd_ap_result {
    double ap;                            // mean over IoU .50:.05:.95 and over the classes that have objects
    double ap50, ap75;                    // at one IoU
    double ap_small, ap_medium, ap_large; // by area of the object
    double ar1, ar10, ar100;              // recall with at most 1, 10, 100 detections per picture and class
    double ar_small, ar_medium, ar_large;
    double asked; // the question's answer; -1 without a question
    int classes;
    double *class_ap;   // (classes)
    double *class_ap50; // (classes)
    int *class_objects; // (classes) number of objects
} vkd_ap_result;

// truth: (truths), found: (detections), both in any order. Equal scores are ranked by picture, then by place
// in `found`; among a class's detections in one picture only the 100 best count. On VKD_OK the caller frees
// *result with vkd_ap_result_free; on anything else *result is all zero and owns nothing. VKD_NOT_FINITE: a
// NaN or an infinity in a box, an area or a score. VKD_INVALID_ARGUMENT: a class or picture out of range, a
// negative width, height or area, classes < 1, images < 0, a question that
// asks for another IoU or another number of points. question may be NULL.
vkd_status vkd_average_precision(const vkd_ground_truth *truth, size_t truths, const vkd_detection *found,
                                 size_t detections, int classes, int images, const vkd_ap_question *question,
                                 vkd_ap_result *result);

void vkd_ap_result_free(vkd_ap_result *result); // leaves it zero; a zero result may be freed again

#endif
