// Where the objects of a picture are written down, and how they are read: Darknet's label files, checked.
#ifndef VKD_HOST_LABELS_H
#define VKD_HOST_LABELS_H

#include "core/error.h"
#include <stddef.h>

// One line of a label file: class, centre and size, as fractions of the picture.
typedef struct vkd_label {
    int image, class_id;
    double x, y, w, h;
} vkd_label;

typedef struct vkd_labels {
    vkd_label *labels; // (count), in order of picture, then of line
    size_t count, capacity;
    int files; // how many pictures have a label file
} vkd_labels;

// Reads the labels of all pictures, from the files where Darknet's loader looks for them (labels_of_image). A
// picture without a label file has no objects; when no picture has one, that is an error, for then the paths
// are wrong. So is a line that is not "class x y width height" with a class below `classes` and finite
// numbers. On VKD_OK the caller frees *out with vkd_labels_free; on an error it owns nothing and err->text
// has the message.
vkd_status vkd_labels_read(char *const *pictures, int n, int classes, vkd_labels *out, vkd_error *err);

void vkd_labels_free(vkd_labels *labels);

#endif
