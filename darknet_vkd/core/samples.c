#include "core/samples.h"

#include "numerics/parallel.h"

#include <stdlib.h>
#include <string.h>

vkd_status vkd_samples_create(vkd_samples *s, int batch, int locations) {
    *s = (vkd_samples){.batch = batch, .locations = locations};
    if (batch < 1 || locations < 1) return VKD_INVALID_ARGUMENT;
    s->start = calloc((size_t)batch + 1, sizeof *s->start);
    s->place = calloc((size_t)batch * (size_t)locations, sizeof *s->place);
    if (!s->start || !s->place) return VKD_OUT_OF_MEMORY;
    vkd_samples_choose(s, NULL);
    return VKD_OK;
}

size_t vkd_samples_bytes(const vkd_samples *s) {
    return ((size_t)s->batch + 1) * sizeof *s->start +
           (size_t)s->batch * (size_t)s->locations * sizeof *s->place;
}

void vkd_samples_free(vkd_samples *s) {
    free(s->start);
    free(s->place);
    *s = (vkd_samples){0};
}

void vkd_samples_choose(vkd_samples *s, const float *mask) {
    s->count = 0;
    for (int b = 0; b < s->batch; ++b) {
        s->start[b] = s->count;
        for (int l = 0; l < s->locations; ++l)
            if (!mask || mask[(size_t)b * (size_t)s->locations + (size_t)l] != 0) s->place[s->count++] = l;
    }
    s->start[s->batch] = s->count;
}

void vkd_samples_keep(vkd_samples *s, int images) {
    if (images < 0 || images >= s->batch) return;
    s->count = s->start[images];
    for (int b = images + 1; b <= s->batch; ++b)
        s->start[b] = s->count;
}

// Image b's part of one channel, contiguous in the matrix; whole where every location counts.
static int is_whole(const vkd_samples *s, int b) {
    return s->start[b + 1] - s->start[b] == s->locations;
}

void vkd_samples_gather(const vkd_samples *s, const float *maps, int channels, float *matrix) {
    VKD_PARALLEL_FOR
    for (int c = 0; c < channels; ++c)
        for (int b = 0; b < s->batch; ++b) {
            const float *from = maps + ((size_t)b * (size_t)channels + (size_t)c) * (size_t)s->locations;
            float *to = matrix + (size_t)c * (size_t)s->count;
            if (is_whole(s, b))
                memcpy(to + s->start[b], from, (size_t)s->locations * sizeof *to);
            else
                for (int j = s->start[b]; j < s->start[b + 1]; ++j)
                    to[j] = from[s->place[j]];
        }
}

void vkd_samples_scatter(const vkd_samples *s, const float *matrix, int channels, float *maps) {
    VKD_PARALLEL_FOR
    for (int c = 0; c < channels; ++c)
        for (int b = 0; b < s->batch; ++b) {
            const float *from = matrix + (size_t)c * (size_t)s->count;
            float *to = maps + ((size_t)b * (size_t)channels + (size_t)c) * (size_t)s->locations;
            if (is_whole(s, b)) {
                memcpy(to, from + s->start[b], (size_t)s->locations * sizeof *to);
                continue;
            }
            memset(to, 0, (size_t)s->locations * sizeof *to);
            for (int j = s->start[b]; j < s->start[b + 1]; ++j)
                to[s->place[j]] = from[j];
        }
}
