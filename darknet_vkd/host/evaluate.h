// Average precision of a detector on a list of pictures: `detector map`, and -map while training.
#ifndef VKD_HOST_EVALUATE_H
#define VKD_HOST_EVALUATE_H

#include "core/average_precision.h"

#include "darknet.h"

typedef struct vkd_evaluate_options {
    float thresh; // detections with less probability are left out
    float
        nms; // of two boxes of a class that overlap by more than this IoU the better one stays; 0 = all stay
    vkd_ap_question *question; // NULL, or one more figure for result->asked
    int threads;      // for loading pictures and reading out boxes; 0 = one per processor, at most 16
    int progress;     // show it: on a terminal one line, rewritten, that is gone afterwards; in a log nothing
    const char *json; // NULL, or where to write the detections as a COCO result file
    int coco_names; // in that file: 1 = picture ids are the number in the file name, class ids are COCO's, as
                    // `detector valid` writes them; 0 = both count from 1, pictures in the order of the list
} vkd_evaluate_options;

vkd_evaluate_options vkd_evaluate_defaults(void); // .001, .45, NULL, 0, 1, NULL, 0

// Runs the network on n pictures, each letterboxed to the network's present size, and compares with their
// label files (labels.h). Works on a network in training: whole batches of the network's own size are
// predicted in inference mode, and batch, train flag, input, seen, cost and weights are afterwards what they
// were (outputs and deltas of the layers are not: the next forward pass sets them). options may be NULL.
// Returns 0 and a result to free with vkd_ap_result_free; or, after one line on stderr, 1.
int vkd_evaluate(network *net, char **paths, int n, int classes, const vkd_evaluate_options *options,
                 vkd_ap_result *result);

// darknet detector map DATA CFG WEIGHTS [-json FILE] [-thresh T] [-nms IOU] [-iou_thresh IOU] [-points N]
// To be called before anything else takes flags out of argv. Exits with 1 after one line on stderr.
void vkd_detector_map(int argc, char **argv);

#endif
