#include "host/padding.h"

#include "host/run.h"

#include <pthread.h>
#include <stdlib.h>

// Darknet's loader hands over nothing but pixels and boxes, so the frames wait here, one batch ahead of the
// training step. A slot is used again when a later batch comes.
enum { slots = 4 };
static struct {
    size_t batch;
    int count;
    vkd_frame *frames;
} kept[slots];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const vkd_frame whole = {0, 0, 1, 1};

void vkd_padding_set(size_t batch, int place, vkd_frame frame) {
    pthread_mutex_lock(&lock);
    size_t slot = batch % slots;
    int known = kept[slot].batch == batch ? kept[slot].count : 0;
    if (place >= kept[slot].count) {
        vkd_frame *grown = realloc(kept[slot].frames, ((size_t)place + 1) * sizeof *grown);
        if (!grown) vkd_fail("no memory for the frames of %d pictures", place + 1);
        kept[slot].frames = grown;
        kept[slot].count = place + 1;
    }
    for (int i = known; i < kept[slot].count; ++i)
        kept[slot].frames[i] = whole;
    kept[slot].batch = batch;
    kept[slot].frames[place] = frame;
    pthread_mutex_unlock(&lock);
}

static vkd_frame frame_of(size_t batch, int place) {
    size_t slot = batch % slots;
    return kept[slot].batch == batch && place < kept[slot].count ? kept[slot].frames[place] : whole;
}

void vkd_padding_mask(size_t batch, int first, int count, int h, int w, float *mask) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; ++i) {
        vkd_frame f = frame_of(batch, first + i);
        for (int y = 0; y < h; ++y)
            for (int x = 0; x < w; ++x) {
                double v = (y + 0.5) / h, u = (x + 0.5) / w;
                *mask++ = u >= f.left && u <= f.right && v >= f.top && v <= f.bottom;
            }
    }
    pthread_mutex_unlock(&lock);
}
