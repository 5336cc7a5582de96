#include "numerics/sheet.h"

#include <limits.h>
#include <string.h>

#include "numerics/destination.h"
#include "numerics/lanes.h"

enum { MOST_IN_A_ROW = 1 << 24 }; // a stride of thousands would make millions of planes

// Floats of one row of all planes, or more.
static double row_of_planes(const vkd_convolution *s) {
    const double planes = (double)s->stride * s->stride * (s->c > s->n ? s->c : s->n);
    return planes * ((double)s->w / s->stride + 2.0 * s->size);
}

// A sheet of one row, its longest but for what stays in the cache, the weights of a filter, and a padded row
// or column can be numbered in an int, with room to round up.
static bool is_countable(const vkd_convolution *s) {
    static const double most = INT_MAX / 2;
    const double channels = s->c > s->n ? s->c : s->n, size = s->size;
    return row_of_planes(s) <= MOST_IN_A_ROW && row_of_planes(s) * (1 + size / s->stride) <= most &&
           channels * size * size <= most && s->h + 2 * size <= most && s->w + 2 * size <= most;
}

bool vkd_sheets_serve(const vkd_convolution *s, int batch) {
    return s->c > 0 && s->n > 0 && s->h > 0 && s->w > 0 && s->size > 0 && s->stride > 0 && s->pad >= 0 &&
           s->pad < s->size && s->threads > 0 && is_countable(s) && s->h + 2 * s->pad >= s->size &&
           s->w + 2 * s->pad >= s->size && batch > 0 &&
           batch <= INT_MAX / (s->h + 2 * s->size); // blocks of all images
}

vkd_sheets vkd_sheets_of(int c, int h, int w, int n, int size, int stride, int pad) {
    vkd_sheets p = {.c = c, .h = h, .w = w, .n = n, .size = size, .stride = stride, .pad = pad};
    p.out_h = (h + 2 * pad - size) / stride + 1;
    p.out_w = (w + 2 * pad - size) / stride + 1;
    p.beyond = (size - 1) / stride;
    p.pitch = p.out_w + p.beyond;
    p.weights = c * size * size;
    return p;
}

// Blocks of about the same size.
void vkd_sheets_cut(vkd_sheets *p, int deep, int most) {
    p->deep = deep;
    p->blocks = (p->out_h + most - 1) / most;
    p->rows = (p->out_h + p->blocks - 1) / p->blocks;
    p->blocks = (p->out_h + p->rows - 1) / p->rows;
    p->run = (p->rows - 1) * p->pitch + p->out_w;
    p->padded = round_up(p->run, LANES);
    p->plane = (size_t)(p->rows + p->beyond) * (size_t)p->pitch;
    // The last plane is read to the end of a vector.
    p->sheet = (size_t)(deep * p->stride * p->stride) * p->plane + TILE;
}

void vkd_sheets_fit(vkd_sheets *p, int deep, int pixels) {
    const int in_cache = SHEET_FLOATS / (deep * p->stride * p->stride * p->pitch) - p->beyond,
              few = pixels / p->pitch;
    vkd_sheets_cut(p, deep, clamp(in_cache < few ? in_cache : few, 1, p->out_h));
}

void vkd_sheets_offsets(const vkd_sheets *p, int *offsets) {
    const int s = p->stride;
    for (int c = 0; c < p->deep; ++c)
        for (int i = 0; i < p->size; ++i)
            for (int j = 0; j < p->size; ++j)
                *offsets++ = ((c * s + i % s) * s + j % s) * (int)p->plane + i / s * p->pitch + j / s;
}

// x[0], x[2], ..., x[2 LANES - 2], and nothing behind that is read.
INLINE lanes every_second(const float *x) {
    const lanes a = *(const lanes *)x, b = *(const lanes *)(x + LANES - 1);
#ifdef __clang__ // which has no shuffle by variables
    lanes y;
    for (int i = 0; i < LANES; ++i)
        // cppcheck-suppress uninitvar
        y[i] = i < LANES / 2 ? a[2 * i] : b[2 * i - LANES + 1];
    return y;
#else
    lane_numbers from; // cppcheck does not know that a loop over the lanes sets all of a vector
    for (int i = 0; i < LANES; ++i)
        // cppcheck-suppress uninitvar
        from[i] = i < LANES / 2 ? 2 * i : 2 * i + 1;
    return __builtin_shuffle(a, b, from);
#endif
}

// to[0..count) = x[0], x[step], ...
static void read_strided(const float *restrict x, int step, int count, float *restrict to) {
    if (step == 1)
        for (int i = 0; i < count; ++i)
            to[i] = x[i];
    else if (step == 2 && count >= LANES)
        for (int i = 0; i < count; i = next_of(i, LANES, count))
            *(lanes *)(to + i) = every_second(x + 2 * i);
    else
        for (int i = 0; i < count; ++i)
            to[i] = x[i * step];
}

// The plane (i,j) of a channel: its columns are j - pad, j - pad + stride, ..., zeros outside.
static void read_plane(const vkd_sheets *p, const float *channel, int first_row, int i, int j, float *to) {
    const int s = p->stride, column = j - p->pad, rows = p->rows + p->beyond;
    const int first = clamp(column < 0 ? (-column + s - 1) / s : 0, 0, p->pitch),
              end = clamp(p->w > column ? (p->w - column + s - 1) / s : 0, first, p->pitch);
    for (int r = 0; r < rows; ++r, to += p->pitch) {
        const int y = (first_row + r) * s + i - p->pad;
        if (y < 0 || y >= p->h) {
            memset(to, 0, (size_t)p->pitch * sizeof *to);
            continue;
        }
        for (int x = 0; x < first; ++x)
            to[x] = 0;
        if (j == 0) will_read(channel, ((size_t)p->h + (size_t)y) * (size_t)p->w, p->w);
        if (first < end)
            read_strided(channel + (size_t)y * (size_t)p->w + (first * s + column), s, end - first,
                         to + first);
        for (int x = end; x < p->pitch; ++x)
            to[x] = 0;
    }
}

void vkd_sheet_read(const vkd_sheets *p, const float *image, int channels, int first_row, float *sheet) {
    float *to = sheet;
    for (int c = 0; c < channels; ++c)
        for (int i = 0; i < p->stride; ++i)
            for (int j = 0; j < p->stride; ++j, to += p->plane)
                read_plane(p, image + (size_t)c * (size_t)p->h * (size_t)p->w, first_row, i, j, to);
    memset(to, 0, TILE * sizeof *to);
}
