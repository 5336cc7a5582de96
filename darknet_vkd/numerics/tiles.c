#include "numerics/tiles.h"

#include <string.h>

#include "numerics/lanes.h"

static int tiles_for(int pixels) {
    return (pixels + TILE_OUT - 1) / TILE_OUT;
}

// Two images in a line where that saves a tile, which it does for sides of 4 i + 1.
static int images_in_line(int side, int images) {
    return images > 1 && tiles_for(2 * side + 1) < 2 * tiles_for(side) ? 2 : 1;
}

vkd_tiles vkd_tiles_of(int h, int w, int batch) {
    vkd_tiles t = {.h = h, .w = w, .batch = batch};
    t.across = images_in_line(w, batch);
    t.down = images_in_line(h, (batch + t.across - 1) / t.across);
    t.columns = tiles_for(t.across * (w + 1) - 1);
    t.rows_each = tiles_for(t.down * (h + 1) - 1);
    const int images = t.across * t.down;
    t.rows = (batch + images - 1) / images * t.rows_each;
    return t;
}

int vkd_tiles_most_columns(int w) {
    return tiles_for(images_in_line(w, 2) * (w + 1) - 1);
}

vkd_tile_block vkd_tiles_block(const vkd_tiles *t, int first, int rows) {
    if (rows > t->rows - first) rows = t->rows - first;
    return (vkd_tile_block){first, rows, round_up(rows * t->columns, LANES)};
}

// Floats of a line: a row of pixels of every tile, one after the other.
static size_t line_floats(int tiles) {
    return (size_t)TILE_OUT * (size_t)tiles;
}

// Lines before and after a transform, a row of tiles, and two columns behind the ends of each row's lines.
size_t vkd_tiles_room(int tiles) {
    return TILE_IN * (2 * line_floats(tiles) + (size_t)tiles + 4 * (size_t)tiles);
}

// ---- one-dimensional transforms of rows of tiles (Lavin, Gray 2016, section 4.2)
// ------------------------------------------------------------------------------------------
//
// in and out are rows of `count` values, `step_in` and `step_out` apart.

// B'd
static void transform_in(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                         size_t count) {
    for (size_t t = 0; t < count; ++t) {
        const float a = in[t], b = in[step_in + t], c = in[2 * step_in + t], d = in[3 * step_in + t],
                    e = in[4 * step_in + t], f = in[5 * step_in + t];
        const float p = e - 4 * c, q = d - 4 * b, r = e - c, s = 2 * (d - b);
        out[t] = 4 * a - 5 * c + e;
        out[step_out + t] = p + q;
        out[2 * step_out + t] = p - q;
        out[3 * step_out + t] = r + s;
        out[4 * step_out + t] = r - s;
        out[5 * step_out + t] = 4 * b - 5 * d + f;
    }
}

// A'M
static void transform_out(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                          size_t count) {
    for (size_t t = 0; t < count; ++t) {
        const float a = in[t], b = in[step_in + t], c = in[2 * step_in + t], d = in[3 * step_in + t],
                    e = in[4 * step_in + t], f = in[5 * step_in + t];
        const float p = b + c, q = b - c, r = d + e, s = d - e;
        out[t] = a + p + r;
        out[step_out + t] = q + 2 * s;
        out[2 * step_out + t] = p + 4 * r;
        out[3 * step_out + t] = q + 8 * s + f;
    }
}

// ---- in
// ------------------------------------------------------------------------------------------------------

// Row r of a mosaic's pixels is row *y of the images from *image on. False: of none.
static bool find_row(const vkd_tiles *t, int mosaic, int r, int *image, int *y) {
    if (r < 0) return false;
    const int down = r / (t->h + 1);
    *y = r % (t->h + 1);
    *image = (mosaic * t->down + down) * t->across;
    return *y < t->h && down < t->down && *image < t->batch;
}

static int images_beside(const vkd_tiles *t, int image) {
    return t->batch - image < t->across ? t->batch - image : t->across;
}

// A line is pixel row i of all the block's tiles, image row after image row: 4 columns of each, zeros
// outside. With border = 1 rows and columns begin at -1, and the two columns behind, which the last tile
// reads as well, stand in `ends`.
static void read_line(const vkd_tiles *t, const vkd_tile_block *b, const float *x, size_t image_floats, int i,
                      int border, float *line, float *ends) {
    const int width = TILE_OUT * t->columns;
    for (int r = 0; r < b->rows; ++r, line += width, ends += 2) {
        const int row = b->first + r;
        int at = 0, image, y;
        ends[0] = ends[1] = 0; // the second lies behind the mosaic
        if (find_row(t, row / t->rows_each, row % t->rows_each * TILE_OUT + i - border, &image, &y))
            for (int k = 0; k < images_beside(t, image); ++k) {
                const float *from = x + (size_t)(image + k) * image_floats + (size_t)y * (size_t)t->w;
                if (k || border) line[at++] = 0;
                const int count = width - at < t->w ? width - at : t->w; // the last column may be behind
                memcpy(line + at, from, (size_t)count * sizeof *line);
                if (count < t->w) ends[0] = from[t->w - 1];
                at += count;
            }
        for (; at < width; ++at)
            line[at] = 0;
    }
}

// Column j of the tiles at out + j * tiles.
static void split_line(const vkd_tile_block *b, const float *restrict line, float *restrict out) {
    const size_t step = (size_t)b->tiles;
    for (size_t i = 0; i < step; ++i) {
        out[i] = line[4 * i];
        out[step + i] = line[4 * i + 1];
        out[2 * step + i] = line[4 * i + 2];
        out[3 * step + i] = line[4 * i + 3];
    }
}

// The last two columns are the first two of the next tile.
static void overlap(const vkd_tiles *t, const vkd_tile_block *b, const float *ends, float *out) {
    const size_t step = (size_t)b->tiles;
    for (int j = 0; j < 2; ++j) {
        float *to = out + (size_t)(TILE_OUT + j) * step;
        memcpy(to, out + (size_t)j * step + 1, (step - 1) * sizeof *to);
        to[step - 1] = 0;
        for (int r = 0; r < b->rows; ++r)
            to[(r + 1) * t->columns - 1] = ends[2 * r + j];
    }
}

// Down the columns in lines, then along the rows.
void vkd_tiles_read(const vkd_tiles *t, const vkd_tile_block *b, const float *x, int channels, float *V,
                    size_t step, float *room) {
    const size_t tiles = (size_t)b->tiles, size = line_floats(b->tiles), ends_size = 2 * (size_t)b->rows;
    const size_t used = (size_t)(b->rows * TILE_OUT * t->columns);
    const size_t image = (size_t)channels * (size_t)t->h * (size_t)t->w;
    float *lines = room, *down = lines + TILE_IN * size, *row = down + TILE_IN * size,
          *ends = row + TILE_IN * tiles, *ends_down = ends + TILE_IN * ends_size;
    for (int i = 0; i < TILE_IN; ++i) {
        float *line = lines + (size_t)i * size;
        read_line(t, b, x, image, i, 1, line, ends + (size_t)i * ends_size);
        memset(line + used, 0, (size - used) * sizeof *line); // no tiles, to the end of a vector
    }
    transform_in(lines, size, down, size, size);
    transform_in(ends, ends_size, ends_down, ends_size, ends_size);
    for (size_t i = 0; i < TILE_IN; ++i) {
        split_line(b, down + i * size, row);
        overlap(t, b, ends_down + i * ends_size, row);
        transform_in(row, tiles, V + i * TILE_IN * step, step, tiles);
    }
}

// A dY
static void transform_gradient(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                               size_t count) {
    for (size_t t = 0; t < count; ++t) {
        const float a = in[t], b = in[step_in + t], c = in[2 * step_in + t], d = in[3 * step_in + t];
        const float p = a + c, q = b + d, r = a + 4 * c, s = 2 * b + 8 * d;
        out[t] = a;
        out[step_out + t] = p + q;
        out[2 * step_out + t] = p - q;
        out[3 * step_out + t] = r + s;
        out[4 * step_out + t] = r - s;
        out[5 * step_out + t] = d;
    }
}

void vkd_tiles_read_gradient(const vkd_tiles *t, const vkd_tile_block *b, const float *dy, int channels,
                             float *Y, size_t step, float *room) {
    const size_t tiles = (size_t)b->tiles, size = line_floats(b->tiles);
    const size_t used = (size_t)(b->rows * TILE_OUT * t->columns);
    const size_t image = (size_t)channels * (size_t)t->h * (size_t)t->w;
    float *lines = room, *down = lines + TILE_OUT * size, *row = down + TILE_IN * size,
          *no_ends = row + TILE_OUT * tiles;
    for (int i = 0; i < TILE_OUT; ++i) {
        float *line = lines + (size_t)i * size;
        read_line(t, b, dy, image, i, 0, line, no_ends);
        memset(line + used, 0, (size - used) * sizeof *line);
    }
    transform_gradient(lines, size, down, size, size);
    for (size_t i = 0; i < TILE_IN; ++i) {
        split_line(b, down + i * size, row);
        transform_gradient(row, tiles, Y + i * TILE_IN * step, step, tiles);
    }
}

// ---- out
// -----------------------------------------------------------------------------------------------------

static void join_line(const float *restrict in, size_t step, float *restrict line) {
    for (size_t t = 0; t < step; ++t) {
        line[4 * t] = in[t];
        line[4 * t + 1] = in[step + t];
        line[4 * t + 2] = in[2 * step + t];
        line[4 * t + 3] = in[3 * step + t];
    }
}

// Pixel row i of the block's tiles to the images.
static void write_line(const vkd_tiles *t, const vkd_tile_block *b, const float *line, int i, int n,
                       int channels, const destination *d) {
    for (int r = 0; r < b->rows; ++r, line += TILE_OUT * t->columns) {
        const int row = b->first + r;
        int image, y;
        if (!find_row(t, row / t->rows_each, row % t->rows_each * TILE_OUT + i, &image, &y)) continue;
        for (int k = 0; k < images_beside(t, image); ++k) {
            const size_t channel = (size_t)(image + k) * (size_t)channels + (size_t)n;
            write_row(line + k * (t->w + 1), (channel * (size_t)t->h + (size_t)y) * (size_t)t->w, t->w, d);
        }
    }
}

void vkd_tiles_write(const vkd_tiles *t, const vkd_tile_block *b, const float *M, size_t step, int n,
                     int channels, const destination *d, float *room) {
    const size_t tiles = (size_t)b->tiles;
    float *half = room, *row = half + TILE_OUT * TILE_IN * tiles, *line = row + TILE_OUT * tiles;
    for (size_t j = 0; j < TILE_IN; ++j) // down the columns: half (4,6)
        transform_out(M + j * step, TILE_IN * step, half + j * tiles, TILE_IN * tiles, tiles);
    for (int i = 0; i < TILE_OUT; ++i) {
        transform_out(half + (size_t)(i * TILE_IN) * tiles, tiles, row, tiles, tiles);
        finish(row, TILE_OUT * tiles, n, d);
        join_line(row, tiles, line);
        write_line(t, b, line, i, n, channels, d);
    }
}
