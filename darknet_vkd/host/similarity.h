// How alike the features of a student's and a teacher's layers are: linear CKA (numerics/cka.h) over sampled
// locations of many pictures, for every pair whose grids match.
#ifndef VKD_HOST_SIMILARITY_H
#define VKD_HOST_SIMILARITY_H

#include "host/plugin.h"

#include <stdint.h>

// The student's layers on one grid, and the teacher's on the same or one twice as fine.
typedef struct vkd_alike {
    int h, w;          // the student's grid, to which the teacher's cells are averaged
    int rows, columns; // so many layers
    int *row, *column; // (rows), (columns) their numbers, ascending
    double *kl;        // (rows,columns) sums of HSIC over minibatches
    double *kk, *ll;   // (rows), (columns)
} vkd_alike;

typedef struct vkd_alike_list {
    vkd_alike *tables;
    int count;
} vkd_alike_list;

// True for [yolo], [region] and [detection].
bool vkd_is_head(const layer *l);

// One table for each grid of the student that a layer of the teacher matches, in the student's order. Only
// [convolutional], [shortcut] and [route] stand in them, without the heads' own last layers, and of the
// teacher without what the next layer takes in whole: a convolution right before its [shortcut], a squeeze
// before a wider convolution.
vkd_alike_list vkd_alike_create(const network *student, const network *teacher);
void vkd_alike_free(vkd_alike_list *list);

// Takes in the outputs that both networks now have, at up to `most` locations that `batch` (of the padding's
// book) does not mask, drawn from seed and batch. False: fewer locations than CKA needs.
bool vkd_alike_add(vkd_alike_list *list, const network *student, const network *teacher, int most,
                   uint64_t seed, size_t batch);

double vkd_alike_value(const vkd_alike *a, int row, int column);

#endif
