// The sheets of direct.c: what it copies of an image, so that each weight meets one run of memory.
#ifndef VKD_NUMERICS_SHEET_H
#define VKD_NUMERICS_SHEET_H

#include <stdbool.h>
#include <stddef.h>

#include "numerics/convolution.h"

// A sheet is some rows of some channels of an image between its zeros: for each channel stride x stride
// planes, the one of (i,j) with the rows i, i + stride, ... and the columns j, j + stride, ... Output pixel
// (y,x) of the block is number y pitch + x, and meets weight (i,j) of channel c at that number +
// offset[c,i,j]; the numbers between the rows are no pixels and meet what stands there.
typedef struct vkd_sheets {
    int c, h, w, n, size, stride, pad;
    int out_h, out_w;
    int pitch;
    int beyond;  // rows or columns of a plane that a pixel reads beyond its own
    int deep;    // channels of a sheet
    int rows;    // of a block, the last one's are fewer
    int blocks;  // of an image
    int run;     // numbers of a block, pixels or not
    int padded;  // run, up to a whole vector
    int weights; // c size^2
    size_t plane, sheet;
} vkd_sheets;

// Floats that a sheet and what comes of it may take (the second level of the cache), and pixels a block may
// have.
enum { SHEET_FLOATS = 128 * 1024, BLOCK_PIXELS = 1024 };

// Whether the shape and the batch have any, and all of their numbers fit an int.
bool vkd_sheets_serve(const vkd_convolution *s, int batch);

// What depends on the shape alone; the rest is set below.
vkd_sheets vkd_sheets_of(int c, int h, int w, int n, int size, int stride, int pad);

// Blocks of `most` rows at most, sheets of `deep` channels.
void vkd_sheets_cut(vkd_sheets *p, int deep, int most);

// The same, of as many rows as SHEET_FLOATS take, and of no more than so many pixels.
void vkd_sheets_fit(vkd_sheets *p, int deep, int pixels);

// offsets (deep,size,size)
void vkd_sheets_offsets(const vkd_sheets *p, int *offsets);

// `sheet` = `channels` of an image from that one on, from the output's first_row on.
void vkd_sheet_read(const vkd_sheets *p, const float *image, int channels, int first_row, float *sheet);

#endif
