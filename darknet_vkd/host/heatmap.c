#define _POSIX_C_SOURCE 200809L
#include "host/heatmap.h"

#include "core/file.h"
#include "host/lettering.h"
#include "host/run.h"

#include "stb_image_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { panel_width = 196, gap = 4, letter_size = 2, title_height = VKD_LETTER_H * letter_size + 4 };
// The legend, whose place is a row of its own height where the pictures are wide.
enum { legend_height = 186, least_height = 24 };

// The mean over blocks first where it is much larger, so that fine grain does not turn into noise.
static image fit(image picture, int w, int h) {
    int block = picture.w / w < picture.h / h ? picture.w / w : picture.h / h;
    if (block < 2) return resize_image(picture, w, h);
    image mean = make_image(picture.w / block, picture.h / block, picture.c);
    for (int c = 0; c < picture.c; ++c)
        for (int y = 0; y < mean.h * block; ++y)
            for (int x = 0; x < mean.w * block; ++x)
                mean.data[((size_t)c * (size_t)mean.h + (size_t)(y / block)) * (size_t)mean.w +
                          (size_t)(x / block)] +=
                    picture
                        .data[((size_t)c * (size_t)picture.h + (size_t)y) * (size_t)picture.w + (size_t)x] /
                    (float)(block * block);
    image fitted = resize_image(mean, w, h);
    free_image(mean);
    return fitted;
}

vkd_sheet vkd_sheet_create(image picture, vkd_frame place) {
    double height = (double)panel_width * picture.h / picture.w;
    vkd_sheet s = {.panel_w = panel_width, .place = place};
    s.panel_h = (int)fmin(fmax(height, least_height), 2 * panel_width);
    s.row_h = s.panel_h > legend_height ? s.panel_h : legend_height;
    s.w = VKD_SHEET_COLUMNS * (s.panel_w + gap) - gap;
    s.h = s.panel_h + title_height + gap + s.row_h + title_height;
    s.pixels = malloc((size_t)s.w * (size_t)s.h * 3);
    if (!s.pixels) vkd_fail("no memory for a picture of %d x %d", s.w, s.h);
    memset(s.pixels, 24, (size_t)s.w * (size_t)s.h * 3);
    s.picture = fit(picture, s.panel_w, s.panel_h);
    return s;
}

void vkd_sheet_free(vkd_sheet *sheet) {
    free_image(sheet->picture);
    free(sheet->pixels);
    sheet->pixels = NULL;
}

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

static void collect(void *context, void *data, int size) {
    bytes *all = context;
    unsigned char *grown = realloc(all->data, all->size + (size_t)size);
    if (!grown) vkd_fail("no memory for a PNG file");
    memcpy(grown + all->size, data, (size_t)size);
    all->data = grown;
    all->size += (size_t)size;
}

void vkd_sheet_write(const vkd_sheet *s, const char *path) {
    bytes png = {0};
    vkd_error err;
    if (!stbi_write_png_to_func(collect, &png, s->w, s->h, 3, s->pixels, s->w * 3))
        vkd_fail("%s: the picture cannot be made", path);
    if (vkd_file_write(path, png.data, png.size, &err)) vkd_fail("%s", err.text);
    free(png.data);
}

// ---- colours
// -----------------------------------------------------------------------------------------------

// Lightness rises all the way, so that the order is seen without the hue.
static void heat(double v, double *colour) {
    static const double stops[5][3] = {
        {0.05, 0.03, 0.20}, {0.40, 0.05, 0.45}, {0.80, 0.20, 0.30}, {0.98, 0.55, 0.10}, {1.00, 0.97, 0.55}};
    v = v > 0 ? v < 1 ? v : 1 : 0;
    int i = v < 1 ? (int)(4 * v) : 3;
    for (int c = 0; c < 3; ++c)
        colour[c] = stops[i][c] + (4 * v - i) * (stops[i + 1][c] - stops[i][c]);
}

static void two_sided(double v, double *colour) {
    static const double below[3] = {0.10, 0.55, 1.00}, above[3] = {1.00, 0.50, 0.05};
    memcpy(colour, v < 0 ? below : above, sizeof below);
}

// Channel c of the picture at a pixel of the panel.
static double picture_at(const vkd_sheet *s, int c, int x, int y) {
    size_t plane = (size_t)s->panel_w * (size_t)s->panel_h;
    if (s->picture.c != 3) c = 0;
    return s->picture.data[(size_t)c * plane + (size_t)y * (size_t)s->panel_w + (size_t)x];
}

// Between the centres of the four cells around; x and y are fractions of the map.
static double value_at(const float *map, int h, int w, double x, double y) {
    x = fmin(fmax(x * w - 0.5, 0), w - 1);
    y = fmin(fmax(y * h - 0.5, 0), h - 1);
    int i = (int)x, j = (int)y, right = i + 1 < w ? i + 1 : i, below = j + 1 < h ? j + 1 : j;
    double a = x - i, b = y - j;
    const float *top = map + (size_t)j * (size_t)w, *bottom = map + (size_t)below * (size_t)w;
    return (1 - b) * ((1 - a) * top[i] + a * top[right]) + b * ((1 - a) * bottom[i] + a * bottom[right]);
}

// ---- panels
// ------------------------------------------------------------------------------------------------

static int row_top(const vkd_sheet *s, int row) {
    return row * (s->panel_h + title_height + gap);
}

static unsigned char *pixel(vkd_sheet *s, int row, int column, int x, int y) {
    int left = column * (s->panel_w + gap), top = row_top(s, row) + title_height;
    return s->pixels + ((size_t)(top + y) * (size_t)s->w + (size_t)(left + x)) * 3;
}

static void put_title(vkd_sheet *s, int row, int column, const char *title) {
    vkd_letter(s->pixels, s->w, s->h, column * (s->panel_w + gap) + 2, row_top(s, row) + 3, letter_size,
               title);
}

static void set_pixel(unsigned char *to, const double *colour) {
    for (int c = 0; c < 3; ++c)
        to[c] = (unsigned char)(255 * fmin(fmax(colour[c], 0), 1) + 0.5);
}

void vkd_sheet_picture(vkd_sheet *s, int row, int column, const char *title) {
    put_title(s, row, column, title);
    for (int y = 0; y < s->panel_h; ++y)
        for (int x = 0; x < s->panel_w; ++x)
            set_pixel(pixel(s, row, column, x, y),
                      (double[]){picture_at(s, 0, x, y), picture_at(s, 1, x, y), picture_at(s, 2, x, y)});
}

// How values become colours; cover tells how much of the picture in grey they hide.
typedef struct scale {
    double low, high;
    void (*colour)(double, double *);
    double cover_least, cover_more;
} scale;

static void overlay(vkd_sheet *s, int row, int column, const float *map, int h, int w, scale scale) {
    double range = scale.high > scale.low ? scale.high - scale.low : 1;
    vkd_frame place = s->place;
    for (int y = 0; y < s->panel_h; ++y)
        for (int x = 0; x < s->panel_w; ++x) {
            double fx = (x + 0.5) / s->panel_w, fy = (y + 0.5) / s->panel_h, colour[3];
            double v = value_at(map, h, w, place.left + fx * (place.right - place.left),
                                place.top + fy * (place.bottom - place.top));
            v = (v - scale.low) / range;
            double cover = scale.cover_least + scale.cover_more * fmin(fabs(v), 1);
            double grey = (picture_at(s, 0, x, y) + picture_at(s, 1, x, y) + picture_at(s, 2, x, y)) / 4;
            scale.colour(v, colour);
            for (int c = 0; c < 3; ++c)
                colour[c] = (1 - cover) * grey + cover * colour[c];
            set_pixel(pixel(s, row, column, x, y), colour);
        }
}

void vkd_sheet_heat(vkd_sheet *s, int row, int column, const char *title, const float *map, int h, int w,
                    double low, double high) {
    put_title(s, row, column, title);
    overlay(s, row, column, map, h, w, (scale){low, high, heat, 0.6, 0.2});
}

void vkd_sheet_difference(vkd_sheet *s, int row, int column, const char *title, const float *map, int h,
                          int w, double extent) {
    put_title(s, row, column, title);
    overlay(s, row, column, map, h, w, (scale){0, extent, two_sided, 0, 0.8});
}

void vkd_sheet_legend(vkd_sheet *s, int row, int column, const char *const *lines, int count) {
    enum { bar = 14, line = VKD_LETTER_H * letter_size + 2 };
    int left = column * (s->panel_w + gap) + 2, top = row_top(s, row);
    for (int x = 0; x < s->panel_w - 8; ++x)
        for (int y = 0; y < bar; ++y) {
            double v = (double)x / (s->panel_w - 9), colour[3];
            heat(v, colour);
            set_pixel(pixel(s, row, column, x + 2, y), colour);
            two_sided(2 * v - 1, colour);
            for (int c = 0; c < 3; ++c)
                colour[c] = 0.25 + fabs(2 * v - 1) * (colour[c] - 0.25);
            set_pixel(pixel(s, row, column, x + 2, y + bar + line + 4), colour);
        }
    int y = top + title_height + bar + 2;
    vkd_letter(s->pixels, s->w, s->h, left, y, letter_size, "low         high");
    y += bar + line + 4;
    vkd_letter(s->pixels, s->w, s->h, left, y, letter_size, "teacher  student");
    for (int i = 0; i < count; ++i)
        vkd_letter(s->pixels, s->w, s->h, left, y + line + 8 + i * line, letter_size, lines[i]);
}
