// Pictures with a map of numbers in colour over them, side by side, as a PNG file.
#ifndef VKD_HOST_HEATMAP_H
#define VKD_HOST_HEATMAP_H

#include "host/padding.h"

#include "darknet.h"

typedef struct vkd_sheet {
    int w, h;              // of the whole
    int panel_w, panel_h;  // of one picture
    int row_h;             // of the second row, which has the legend too
    unsigned char *pixels; // (h,w,3)
    image picture;         // at the panels' size
    vkd_frame place;       // where it lies in the maps
} vkd_sheet;

enum { VKD_SHEET_ROWS = 2, VKD_SHEET_COLUMNS = 4 };

// Cells for pictures of this one's proportions, each with a line of letters above.
vkd_sheet vkd_sheet_create(image picture, vkd_frame place);
void vkd_sheet_free(vkd_sheet *sheet);
// Written whole or not at all; a failure is one line and exit status 1.
void vkd_sheet_write(const vkd_sheet *sheet, const char *path);

// The picture alone.
void vkd_sheet_picture(vkd_sheet *sheet, int row, int column, const char *title);

// From dark (low) over red to yellow (high).
void vkd_sheet_heat(vkd_sheet *sheet, int row, int column, const char *title,
                    const float *map, // (h,w)
                    int h, int w, double low, double high);

// Blue at -extent, orange at extent, nothing at 0.
void vkd_sheet_difference(vkd_sheet *sheet, int row, int column, const char *title,
                          const float *map, // (h,w)
                          int h, int w, double extent);

// What the colours mean, and `lines` of text below.
void vkd_sheet_legend(vkd_sheet *sheet, int row, int column, const char *const *lines, int count);

#endif
