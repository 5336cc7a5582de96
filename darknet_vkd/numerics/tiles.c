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

// Lines of a block after a transform down the columns, a row of tiles, two columns behind the ends of each
// row's lines, and a row of zeros. Out of it: lines before the other transform, and one behind it.
size_t vkd_tiles_room(int tiles) {
    return TILE_IN * (line_floats(tiles) + 3 * (size_t)tiles) + line_floats(tiles);
}

// ---- one-dimensional transforms of rows of tiles (Lavin, Gray 2016, section 4.2)
// ------------------------------------------------------------------------------------------
//
// Of rows of `count` values: those in stand anywhere, those out `step` apart.

// B'd
static void transform_in(const float *const *in, float *restrict out, size_t step, int count) {
    const float *restrict A = in[0], *restrict B = in[1], *restrict C = in[2], *restrict D = in[3],
                          *restrict E = in[4], *restrict F = in[5];
    for (int t = 0; t < count; ++t) {
        const float a = A[t], b = B[t], c = C[t], d = D[t], e = E[t], f = F[t];
        const float p = e - 4 * c, q = d - 4 * b, r = e - c, s = 2 * (d - b);
        out[t] = 4 * a - 5 * c + e;
        out[step + t] = p + q;
        out[2 * step + t] = p - q;
        out[3 * step + t] = r + s;
        out[4 * step + t] = r - s;
        out[5 * step + t] = 4 * b - 5 * d + f;
    }
}

// A dY
static void transform_gradient(const float *const *in, float *restrict out, size_t step, int count) {
    const float *restrict A = in[0], *restrict B = in[1], *restrict C = in[2], *restrict D = in[3];
    for (int t = 0; t < count; ++t) {
        const float a = A[t], b = B[t], c = C[t], d = D[t];
        const float p = a + c, q = b + d, r = a + 4 * c, s = 2 * b + 8 * d;
        out[t] = a;
        out[step + t] = p + q;
        out[2 * step + t] = p - q;
        out[3 * step + t] = r + s;
        out[4 * step + t] = r - s;
        out[5 * step + t] = d;
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

// ---- rows of pixels
// ------------------------------------------------------------------------------------------------------

// A row of tiles in its mosaic.
typedef struct place {
    int mosaic, row;
} place;

static place place_of(const vkd_tiles *t, int row) {
    return (place){row / t->rows_each, row % t->rows_each};
}

static place next_place(const vkd_tiles *t, place p) {
    return p.row + 1 < t->rows_each ? (place){p.mosaic, p.row + 1} : (place){p.mosaic + 1, 0};
}

// Row r of the mosaic's pixels is row *y of the images from *image on. False: of none.
static bool find_row(const vkd_tiles *t, int mosaic, int r, int *image, int *y) {
    int down = 0;
    for (; r > t->h; r -= t->h + 1) // twice at most, where a division takes longer than a short row
        ++down;
    *y = r;
    *image = (mosaic * t->down + down) * t->across;
    return r >= 0 && r < t->h && down < t->down && *image < t->batch;
}

// ---- in
// ------------------------------------------------------------------------------------------------------

typedef struct source {
    const float *x;      // the channel of the first image
    size_t image_floats; // from one image to the next
    const float *zeros;  // a row of them
    int border;          // 1: rows and columns begin at -1
    int rows;            // of pixels that a tile reads
    void (*transform)(const float *const *in, float *out, size_t step, int count);
} source;

// Where the rows that the tiles at `p` read begin in the k-th image of each.
static void find_rows(const vkd_tiles *t, const source *s, place p, int k, const float **from) {
    for (int i = 0; i < s->rows; ++i) {
        int image, y;
        const bool found = find_row(t, p.mosaic, p.row * TILE_OUT + i - s->border, &image, &y);
        from[i] = found && image + k < t->batch
                      ? s->x + (size_t)(image + k) * s->image_floats + (size_t)y * (size_t)t->w
                      : s->zeros;
    }
}

// Of TILE_IN rows.
static void clear_columns(float *out, size_t step, int from, int end) {
    for (int i = 0; i < TILE_IN; ++i)
        for (int x = from; x < end; ++x)
            out[(size_t)i * step + (size_t)x] = 0;
}

// lines (TILE_IN,line): the transform down the columns, tile by tile and row after row, 4 columns of each,
// zeros outside. Behind a border the last tile reads two more: they stand in `ends` (TILE_IN,rows,2).
static void read_lines(const vkd_tiles *t, const vkd_tile_block *b, const source *s, float *lines,
                       float *ends) {
    const size_t size = line_floats(b->tiles), ends_size = 2 * (size_t)b->rows;
    const int width = TILE_OUT * t->columns;
    place p = place_of(t, b->first);
    for (int r = 0; r < b->rows; ++r, p = next_place(t, p)) {
        float *line = lines + (size_t)r * (size_t)width;
        int at = 0;
        if (s->border) clear_columns(ends, ends_size, 2 * r, 2 * r + 2);
        for (int k = 0; k < t->across; ++k) {
            const float *from[TILE_IN];
            find_rows(t, s, p, k, from);
            if (k || s->border) clear_columns(line, size, at, at + 1), ++at;
            const int count = width - at < t->w ? width - at : t->w; // the last column may be behind
            s->transform(from, line + at, size, count);
            at += count;
            for (int i = 0; i < TILE_OUT; ++i) // the same of the next channel
                if (from[i] != s->zeros) will_read(from[i], (size_t)t->h * (size_t)t->w, t->w);
            for (int i = 0; i < s->rows && count < t->w; ++i)
                from[i] += count;
            if (count < t->w) s->transform(from, ends + 2 * r, ends_size, 1);
        }
        clear_columns(line, size, at, width);
    }
    clear_columns(lines, size, b->rows * width, (int)size); // no tiles, to the end of a vector
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

// Down the columns, then along the rows.
static void read_tiles(const vkd_tiles *t, const vkd_tile_block *b, source s, float *out, size_t step,
                       float *room) {
    const size_t tiles = (size_t)b->tiles, size = line_floats(b->tiles), ends_size = 2 * (size_t)b->rows;
    float *lines = room, *row = lines + TILE_IN * size, *ends = row + TILE_IN * tiles,
          *zeros = ends + TILE_IN * 2 * tiles;
    const float *columns[TILE_IN];
    for (size_t j = 0; j < TILE_IN; ++j)
        columns[j] = row + j * tiles;
    for (int x = 0; x < t->w; ++x)
        zeros[x] = 0;
    s.zeros = zeros;
    read_lines(t, b, &s, lines, ends);
    for (size_t i = 0; i < TILE_IN; ++i) {
        split_line(b, lines + i * size, row);
        if (s.border) overlap(t, b, ends + i * ends_size, row);
        s.transform(columns, out + i * TILE_IN * step, step, b->tiles);
    }
}

void vkd_tiles_read(const vkd_tiles *t, const vkd_tile_block *b, const float *x, int channels, float *V,
                    size_t step, float *room) {
    const size_t image = (size_t)channels * (size_t)t->h * (size_t)t->w;
    read_tiles(t, b, (source){x, image, NULL, 1, TILE_IN, transform_in}, V, step, room);
}

void vkd_tiles_read_gradient(const vkd_tiles *t, const vkd_tile_block *b, const float *dy, int channels,
                             float *Y, size_t step, float *room) {
    const size_t image = (size_t)channels * (size_t)t->h * (size_t)t->w;
    read_tiles(t, b, (source){dy, image, NULL, 0, TILE_OUT, transform_gradient}, Y, step, room);
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
    place p = place_of(t, b->first);
    for (int r = 0; r < b->rows; ++r, p = next_place(t, p), line += TILE_OUT * t->columns) {
        int image, y;
        if (!find_row(t, p.mosaic, p.row * TILE_OUT + i, &image, &y)) continue;
        for (int k = 0; k < t->across && image + k < t->batch; ++k) {
            const size_t channel = (size_t)(image + k) * (size_t)channels + (size_t)n;
            const size_t at = (channel * (size_t)t->h + (size_t)y) * (size_t)t->w;
            // The same of the next channel, which is written after this one.
            will_write(d, at + (size_t)t->h * (size_t)t->w, t->w);
            write_row(line + k * (t->w + 1), at, t->w, d);
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
