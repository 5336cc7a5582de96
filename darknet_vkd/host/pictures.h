// The training pictures of a data file as a network takes them, without augmentation and in their own order.
#ifndef VKD_HOST_PICTURES_H
#define VKD_HOST_PICTURES_H

#include "host/padding.h"

#include "darknet.h"

// A file that is not there or cannot be read is one line and exit status 1.
void vkd_need_file(const char *path);
// The lines of a file without blanks at their ends, (*n) and each to be freed; empty ones are left out.
char **vkd_lines_read(const char *path, int *n);

typedef struct vkd_picture_list {
    char *file;   // train= (or another key) of the data file
    char **paths; // (count), count >= 1, without empty lines
    int count;
} vkd_picture_list;

// Of train= in DATA. Without one, or without a picture in it: one line on stderr and exit status 1.
vkd_picture_list vkd_picture_list_read(const char *data);
// The same of another key, whose list is `what`.
vkd_picture_list vkd_picture_list_of(const char *data, char *key, const char *what);
void vkd_picture_list_free(vkd_picture_list *list);

// The first of the pictures, each letterboxed to the network's present size. Truth boxes are in the loader's
// layout, 5 numbers a box (centre x, y, width, height as fractions of the input; class) and zeros behind the
// last, from the label files (labels.h); all zero for a network that does not end in [yolo] or [region].
// A picture or label file that cannot be read is one line that names it and exit status 1.
void vkd_pictures_load(const network *net, char *const *paths, int count,
                       float *input,       // (count,c,h,w) =
                       float *truth,       // (count,net->truths) =; NULL: not wanted
                       vkd_frame *frames); // (count) =, where each picture lies; NULL: not wanted

#endif
