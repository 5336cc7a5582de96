#include "core/foreground.h"

#include <math.h>
#include <stddef.h>

// First and last cell whose centre (i + 1/2) / cells lies in [centre - size/2, centre + size/2], and the
// centre's own cell in any case.
static void covered_cells(float centre, float size, int cells, int *first, int *last) {
    double low = ((double)centre - size / 2) * cells - 0.5, high = ((double)centre + size / 2) * cells - 0.5;
    int own = (int)((double)centre * cells);
    own = own < 0 ? 0 : own >= cells ? cells - 1 : own;
    *first = low <= 0 ? 0 : low >= own ? own : (int)ceil(low);
    *last = high >= cells - 1 ? cells - 1 : high <= own ? own : (int)floor(high);
    if (*first > own) *first = own;
}

// Cells of boxes, where they are not masked (0), become -1.
static void mark(const float *boxes, int max_boxes, int h, int w, float *cells) {
    for (int i = 0; i < max_boxes && boxes[5L * i] > 0; ++i) {
        const float *box = boxes + 5L * i;
        int left, right, top, bottom;
        covered_cells(box[0], box[2], w, &left, &right);
        covered_cells(box[1], box[3], h, &top, &bottom);
        for (int y = top; y <= bottom; ++y)
            for (int x = left; x <= right; ++x)
                if (cells[y * w + x] != 0) cells[y * w + x] = -1;
    }
}

void vkd_foreground_weights(const float *boxes, int batch, int max_boxes, int h, int w, double share,
                            const float *mask, float *weight) {
    size_t locations = (size_t)h * (size_t)w, total = (size_t)batch * locations, foreground = 0, counting = 0;
    for (size_t i = 0; i < total; ++i)
        weight[i] = !mask || mask[i] != 0;
    for (int b = 0; b < batch; ++b)
        mark(boxes + (size_t)b * (size_t)max_boxes * 5, max_boxes, h, w, weight + (size_t)b * locations);
    for (size_t i = 0; i < total; ++i) {
        counting += weight[i] != 0;
        foreground += weight[i] < 0;
    }
    double on = 1, off = share < 1;
    if (share < 1 && foreground > 0 && foreground < counting) {
        on = share * (double)counting / (double)foreground;
        off = (1 - share) * (double)counting / (double)(counting - foreground);
    }
    for (size_t i = 0; i < total; ++i)
        weight[i] = (float)(weight[i] < 0 ? on : weight[i] > 0 ? off : 0);
}
