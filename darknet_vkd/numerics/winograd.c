#include "numerics/winograd.h"

#include <limits.h>
#include <string.h>

#include "numerics/panel.h"
#include "numerics/parallel.h"

// A block is some rows of tiles, which may go on into the next image. Its tiles stand side by side in memory,
// LEAST_TILES or so at least where the image has them, so that every transform is plain arithmetic on rows of
// neighbouring tiles; as many as leave the transformed block in the second level of the cache. The products
// of GROUP panels of filters are transformed back at a time, out of the same cache.
enum { LEAST_TILES = 96, MOST_TILES = 192, BLOCK_FLOATS = 160 * 1024, GROUP = 4, LARGEST = 6 };

typedef struct plan {
    int m, e, ee;   // output tile, input tile, e^2
    int c, n, h, w; // as a convolution from c to n channels
    int tiles_x;    // tiles in a row of them
    int rows_of_tiles;
    int rows;  // of tiles in a block
    int tiles; // in a block, up to a whole vector
} plan;

static void set_rows(plan *p, int rows) {
    p->rows = rows;
    p->tiles = round_up(rows * p->tiles_x, LANES);
}

static plan make_plan(const vkd_convolution *s, int m, int c, int n) {
    plan p = {.m = m, .e = m + 2, .c = c, .n = n, .h = s->h, .w = s->w};
    p.ee = p.e * p.e;
    p.tiles_x = (s->w + m - 1) / m;
    p.rows_of_tiles = (s->h + m - 1) / m;
    int wanted = BLOCK_FLOATS / (p.ee * c);
    wanted = wanted < LEAST_TILES ? LEAST_TILES : wanted > MOST_TILES ? MOST_TILES : wanted;
    // About so many, that fill their vectors best.
    double best = 0;
    for (int rows = 1; rows == 1 || 2 * rows * p.tiles_x <= 3 * wanted; ++rows) {
        const int tiles = rows * p.tiles_x;
        const double filled = (double)tiles / round_up(tiles, LANES);
        if (2 * tiles >= wanted && filled < best) continue;
        best = 2 * tiles >= wanted ? filled : 0;
        set_rows(&p, rows);
    }
    return p;
}

// Blocks of `rows` of tiles for threads that end together.
static void share_rows(plan *p, int rows, int threads) {
    const int count = (rows + p->rows - 1) / p->rows;
    if (count >= 8 * threads) return;
    const int even = round_up(count, threads);
    set_rows(p, (rows + even - 1) / even);
}

// A matrix of a block, a row of tiles at least, can be numbered in an int, with room to round up; and e^2 of
// the channels.
static int is_countable(const vkd_convolution *s) {
    static const double most = INT_MAX / 2;
    const double channels = s->c > s->n ? s->c : s->n;
    return channels * (s->w + 2.0 * MOST_TILES) <= most && channels * LARGEST * LARGEST <= most &&
           s->h <= INT_MAX / 2;
}

static int fits(const vkd_convolution *s) {
    return s->size == 3 && s->stride == 1 && s->pad == 1 && is_countable(s);
}

// With fewer channels the transforms cost more than the products save. Tiles of 4 x 4 save more products but
// have 2.25 times the weights, which small grids use too seldom where they are many; and reach further over
// the edge.
enum { FEWEST_CHANNELS = 24, SMALL_GRID = 20, FEWEST_IN_SMALL = 32, MANY_WEIGHTS = 1 << 15 };

int vkd_winograd_choose(const vkd_convolution *s) {
    const int least = s->c < s->n ? s->c : s->n, side = s->h < s->w ? s->h : s->w;
    if (!fits(s) || side < 6) return 0;
    if (side >= SMALL_GRID) return least >= FEWEST_CHANNELS ? 4 : 0;
    return least < FEWEST_IN_SMALL ? 0 : (long)s->c * s->n <= MANY_WEIGHTS ? 4 : 2;
}

static int filters(const plan *p) { // up to a whole panel
    return panels_of(p->n) * FILTERS;
}

// The transformed weights (ee,panels,c,FILTERS), and where a product finds its channels.
static size_t weights_floats(const plan *p) {
    return (size_t)p->ee * (size_t)filters(p) * (size_t)p->c;
}

static int group_filters(const plan *p) {
    return panels_of(p->n) < GROUP ? filters(p) : GROUP * FILTERS;
}

static size_t offsets_floats(const plan *p) {
    return (size_t)p->c * sizeof(int) / sizeof(float);
}

// Floats from one of the ee matrices of a block to the next. A transform writes a row of each: one vector
// more than the matrix keeps the rows in different sets of the caches.
static size_t plane(const plan *p, int channels) {
    return (size_t)channels * (size_t)p->tiles + LANES;
}

static size_t line_floats(const plan *p) { // a row of every tile, one after the other
    return (size_t)p->m * (size_t)p->tiles;
}

// Of one thread: the transformed block of the input and of a group of the output, and room for a channel: its
// lines before and after a transform, a row of tiles, and what lies behind the lines' ends.
static size_t block_floats(const plan *p) {
    const size_t e = (size_t)p->e;
    return (size_t)p->ee * (plane(p, p->c) + plane(p, group_filters(p))) + 2 * e * line_floats(p) +
           e * (size_t)p->tiles + 4 * e * (size_t)p->rows;
}

static size_t workspace_floats(const plan *p, int threads) {
    return offsets_floats(p) + weights_floats(p) + (size_t)threads * block_floats(p);
}

size_t vkd_winograd_forward_workspace(const vkd_convolution *s, int m) {
    const plan p = make_plan(s, m, s->c, s->n);
    return workspace_floats(&p, s->threads);
}

size_t vkd_winograd_adjoint_workspace(const vkd_convolution *s, int m) {
    const plan p = make_plan(s, m, s->n, s->c);
    return workspace_floats(&p, s->threads);
}

// ---- one-dimensional transforms of rows of tiles
// -------------------------------------------------------------- in and out are `e` (or m) rows of `count`
// values, `step_in` and `step_out` apart.

// B'd (Lavin, Gray 2016, section 4.1 and 4.2)
static void input_2(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                    int count) {
    const float *d0 = in, *d1 = in + step_in, *d2 = in + 2 * step_in, *d3 = in + 3 * step_in;
    for (int t = 0; t < count; ++t) {
        const float a = d0[t], b = d1[t], c = d2[t], d = d3[t];
        out[t] = a - c;
        out[step_out + t] = b + c;
        out[2 * step_out + t] = c - b;
        out[3 * step_out + t] = b - d;
    }
}

static void input_4(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                    int count) {
    for (int t = 0; t < count; ++t) {
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
static void output_2(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                     int count) {
    for (int t = 0; t < count; ++t) {
        const float a = in[t], b = in[step_in + t], c = in[2 * step_in + t], d = in[3 * step_in + t];
        out[t] = a + b + c;
        out[step_out + t] = b - c - d;
    }
}

static void output_4(const float *restrict in, size_t step_in, float *restrict out, size_t step_out,
                     int count) {
    for (int t = 0; t < count; ++t) {
        const float a = in[t], b = in[step_in + t], c = in[2 * step_in + t], d = in[3 * step_in + t],
                    e = in[4 * step_in + t], f = in[5 * step_in + t];
        const float p = b + c, q = b - c, r = d + e, s = d - e;
        out[t] = a + p + r;
        out[step_out + t] = q + 2 * s;
        out[2 * step_out + t] = p + 4 * r;
        out[3 * step_out + t] = q + 8 * s + f;
    }
}

// ---- weights
// --------------------------------------------------------------------------------------------------

// Channels, times FILTERS of them, whose transforms stand side by side.
enum { CHANNELS = 8, RUN = CHANNELS * FILTERS };

// G g: three rows of `RUN` values to e of them.
static void weight_2(const float *restrict a, const float *restrict b, const float *restrict c,
                     float *restrict out, size_t step, int count) {
    for (int t = 0; t < count; ++t) {
        out[t] = a[t];
        out[step + t] = 0.5f * (a[t] + b[t] + c[t]);
        out[2 * step + t] = 0.5f * (a[t] - b[t] + c[t]);
        out[3 * step + t] = c[t];
    }
}

static void weight_4(const float *restrict a, const float *restrict b, const float *restrict c,
                     float *restrict out, size_t step, int count) {
    for (int t = 0; t < count; ++t) {
        const float p = a[t] + c[t], q = a[t] + 4 * c[t];
        out[t] = 0.25f * a[t];
        out[step + t] = (p + b[t]) * (-1.f / 6);
        out[2 * step + t] = (p - b[t]) * (-1.f / 6);
        out[3 * step + t] = (q + 2 * b[t]) * (1.f / 24);
        out[4 * step + t] = (q - 2 * b[t]) * (1.f / 24);
        out[5 * step + t] = c[t];
    }
}

// The weights (9) of `count` channels from `first` on for a panel's filters: g (9,channels,FILTERS), zeros
// for filters beyond the last.
static void gather_weights(const plan *p, const float *weights, int turned, int panel, int first, int count,
                           float g[9][RUN]) {
    for (int j = 0; j < count; ++j)
        for (int f = 0; f < FILTERS; ++f) {
            const size_t n = (size_t)(panel * FILTERS + f), c = (size_t)(first + j);
            // The adjoint's (n,c) is the forward's (c,n), read backwards.
            const float *pair = weights + 9 * (turned ? c * (size_t)p->n + n : n * (size_t)p->c + c);
            for (int v = 0; v < 9; ++v)
                g[v][j * FILTERS + f] = n < (size_t)p->n ? pair[turned ? 8 - v : v] : 0;
        }
}

// U (ee,panels,c,FILTERS) = G g G' for every pair of channels. Turned: of the adjoint, from n to c channels.
static void transform_weights(const plan *p, const float *weights, int turned, float *U) {
    const int e = p->e;
    const size_t row = (size_t)p->c * FILTERS, matrix = (size_t)panels_of(p->n) * row;
    VKD_PARALLEL_FOR
    for (int k = 0; k < panels_of(p->n); ++k)
        for (int first = 0; first < p->c; first += CHANNELS) {
            float g[9][RUN], half[LARGEST * 3][RUN];
            const int channels = p->c - first < CHANNELS ? p->c - first : CHANNELS,
                      count = channels * FILTERS;
            gather_weights(p, weights, turned, k, first, channels, g);
            for (int x = 0; x < 3; ++x) // down the columns: half (e,3)
                (p->m == 2 ? weight_2 : weight_4)(g[x], g[3 + x], g[6 + x], half[x], 3 * RUN, count);
            for (int y = 0; y < e; ++y) // along the rows
                (p->m == 2 ? weight_2 : weight_4)(half[3 * y], half[3 * y + 1], half[3 * y + 2],
                                                  U + (size_t)(y * e) * matrix + (size_t)k * row +
                                                      (size_t)(first * FILTERS),
                                                  matrix, count);
        }
}

// ---- blocks of tiles
// ------------------------------------------------------------------------------------------

// A line is row i of all the block's tiles, image row after image row: m tiles_x of its columns from -1 on,
// zeros outside. The two columns behind, which the last tile reads as well, stand in `ends`.
static void read_line(const plan *p, const float *channel, int first_row, int end_row, int i, size_t stride,
                      float *restrict line, float *restrict ends) {
    const int width = p->m * p->tiles_x, inside = p->w < width - 1 ? p->w : width - 1;
    for (int r = 0; r < p->rows; ++r, line += width, ends += 2) {
        const int tile_row = first_row + r, y = tile_row % p->rows_of_tiles * p->m + i - 1;
        if (tile_row >= end_row || y < 0 || y >= p->h) {
            memset(line, 0, (size_t)width * sizeof *line);
            ends[0] = ends[1] = 0;
            continue;
        }
        const float *row =
            channel + (size_t)(tile_row / p->rows_of_tiles) * stride + (size_t)y * (size_t)p->w;
        line[0] = 0;
        memcpy(line + 1, row, (size_t)inside * sizeof *line);
        for (int u = inside + 1; u < width; ++u)
            line[u] = 0;
        ends[0] = width - 1 < p->w ? row[width - 1] : 0;
        ends[1] = 0; // column `width` is at least p->w
    }
}

// Column j of the tiles at out + j * step, for all e: the last two are the first two of the next tile.
static void split_line(const plan *p, const float *restrict line, const float *restrict ends,
                       float *restrict out) {
    const size_t step = (size_t)p->tiles;
    const int m = p->m;
    if (m == 2)
        for (size_t t = 0; t < step; ++t) {
            out[t] = line[2 * t];
            out[step + t] = line[2 * t + 1];
        }
    else
        for (size_t t = 0; t < step; ++t) {
            out[t] = line[4 * t];
            out[step + t] = line[4 * t + 1];
            out[2 * step + t] = line[4 * t + 2];
            out[3 * step + t] = line[4 * t + 3];
        }
    for (int j = 0; j < 2; ++j) {
        float *to = out + (size_t)(m + j) * step;
        memcpy(to, out + (size_t)j * step + 1, (step - 1) * sizeof *to);
        to[step - 1] = 0;
        for (int r = 0; r < p->rows; ++r)
            to[(r + 1) * p->tiles_x - 1] = ends[2 * r + j];
    }
}

// V (ee,c,tiles) = B'd B of the block's tiles: down the columns in lines, then along the rows.
static void transform_input(const plan *p, const float *x, int first_row, int end_row, float *V,
                            float *room) {
    const size_t size = line_floats(p), ends_size = 2 * (size_t)p->rows, e = (size_t)p->e,
                 channel = (size_t)p->h * (size_t)p->w, across = plane(p, p->c);
    const size_t used = (size_t)(p->rows * p->m * p->tiles_x);
    float *lines = room, *down = lines + e * size, *row = down + e * size, *ends = row + e * (size_t)p->tiles,
          *ends_down = ends + e * ends_size;
    for (size_t i = 0; i < e; ++i) // no tiles, to the end of a vector
        memset(lines + i * size + used, 0, (size - used) * sizeof *lines);
    for (int c = 0; c < p->c; ++c) {
        for (size_t i = 0; i < e; ++i)
            read_line(p, x + (size_t)c * channel, first_row, end_row, (int)i, (size_t)p->c * channel,
                      lines + i * size, ends + i * ends_size);
        (p->m == 2 ? input_2 : input_4)(lines, size, down, size, (int)size);
        (p->m == 2 ? input_2 : input_4)(ends, ends_size, ends_down, ends_size, (int)ends_size);
        for (size_t i = 0; i < e; ++i) {
            split_line(p, down + i * size, ends_down + i * ends_size, row);
            (p->m == 2 ? input_2 : input_4)(
                row, (size_t)p->tiles, V + i * e * across + (size_t)c * (size_t)p->tiles, across, p->tiles);
        }
    }
}

typedef struct destination {
    float *y;
    const float *bias; // NULL: none
    vkd_epilogue epilogue;
    int add; // += instead of =
} destination;

static void join_line(int m, const float *restrict in, size_t step, float *restrict line) {
    if (m == 2)
        for (size_t t = 0; t < step; ++t) {
            line[2 * t] = in[t];
            line[2 * t + 1] = in[step + t];
        }
    else
        for (size_t t = 0; t < step; ++t) {
            line[4 * t] = in[t];
            line[4 * t + 1] = in[step + t];
            line[4 * t + 2] = in[2 * step + t];
            line[4 * t + 3] = in[3 * step + t];
        }
}

static void write_row(const float *restrict from, float *restrict to, int count, float bias,
                      const destination *d) {
    if (d->add)
        for (int x = 0; x < count; ++x)
            to[x] += from[x];
    else if (d->epilogue == VKD_EPILOGUE_LEAKY)
        for (int x = 0; x < count; ++x) {
            const float v = from[x] + bias;
            to[x] = v > 0 ? v : 0.1f * v;
        }
    else
        for (int x = 0; x < count; ++x)
            to[x] = from[x] + bias;
}

// y = A'M A of M (ee,group,tiles), the filters from `first` on, into the block's rows of the image.
static void transform_output(const plan *p, const float *M, int first, int first_row, int end_row,
                             const destination *d, float *room) {
    const size_t step = (size_t)p->tiles, across = plane(p, group_filters(p)),
                 channel = (size_t)p->h * (size_t)p->w;
    const int m = p->m, e = p->e;
    float *half = room, *row = half + (size_t)(m * e) * step, *line = row + (size_t)m * step;
    for (int n = first; n < p->n && n < first + group_filters(p); ++n) {
        const float *of_channel = M + (size_t)(n - first) * step;
        for (int j = 0; j < e; ++j) // down the columns: half (m,e)
            (m == 2 ? output_2 : output_4)(of_channel + (size_t)j * across, (size_t)e * across,
                                           half + (size_t)j * step, (size_t)e * step, p->tiles);
        for (int i = 0; i < m; ++i) {
            (m == 2 ? output_2 : output_4)(half + (size_t)(i * e) * step, step, row, step, p->tiles);
            join_line(m, row, step, line);
            for (int r = 0; r < p->rows && first_row + r < end_row; ++r) {
                const int image = (first_row + r) / p->rows_of_tiles,
                          y = (first_row + r) % p->rows_of_tiles * m + i;
                if (y < p->h)
                    write_row(line + (size_t)(r * m * p->tiles_x),
                              d->y + ((size_t)image * (size_t)p->n + (size_t)n) * channel +
                                  (size_t)y * (size_t)p->w,
                              p->w, d->bias ? d->bias[n] : 0, d);
            }
        }
    }
}

static void convolve_block(const plan *p, const int *offsets, const float *U, const float *x, int first_row,
                           int end_row, const destination *d, float *work) {
    const size_t tiles = (size_t)p->tiles, panel = (size_t)p->c * FILTERS;
    const int panels = panels_of(p->n);
    float *V = work, *M = V + (size_t)p->ee * plane(p, p->c),
          *room = M + (size_t)p->ee * plane(p, group_filters(p));
    transform_input(p, x, first_row, end_row, V, room);
    for (int first = 0; first < panels; first += GROUP) {
        for (int v = 0; v < p->ee; ++v)
            for (int k = first; k < panels && k < first + GROUP; ++k)
                multiply_run(V + (size_t)v * plane(p, p->c), offsets, U + (size_t)(v * panels + k) * panel,
                             p->c, p->tiles,
                             M + (size_t)v * plane(p, group_filters(p)) +
                                 (size_t)((k - first) * FILTERS) * tiles,
                             tiles);
        transform_output(p, M, first * FILTERS, first_row, end_row, d, room);
    }
}

static int valid(const vkd_convolution *s, int m, int batch) {
    return (m == 2 || m == 4) && fits(s) && s->c > 0 && s->n > 0 && s->h > 0 && s->w > 0 && s->threads > 0 &&
           batch > 0 && batch <= INT_MAX / (s->h + LARGEST);
}

static void convolve(const vkd_convolution *s, plan *p, const float *weights, int turned, const float *x,
                     int batch, const destination *d, float *workspace) {
    const int rows = batch * p->rows_of_tiles;
    const size_t own = block_floats(p);
    share_rows(p, rows, s->threads);
    const int count = (rows + p->rows - 1) / p->rows;
    void *room = workspace;
    int *offsets = room;
    float *U = workspace + offsets_floats(p), *blocks = U + weights_floats(p);
    for (int c = 0; c < p->c; ++c)
        offsets[c] = c * p->tiles;
    transform_weights(p, weights, turned, U);
    VKD_PARALLEL_FOR_ON(s->threads)
    for (int block = 0; block < count; ++block)
        convolve_block(p, offsets, U, x, block * p->rows, rows, d, blocks + (size_t)vkd_thread() * own);
}

vkd_status vkd_winograd_forward(const vkd_convolution *s, int m, const float *weights, const float *bias,
                                const float *x, int batch, float *y, vkd_epilogue epilogue,
                                float *workspace) {
    if (!valid(s, m, batch)) return VKD_INVALID_ARGUMENT;
    plan p = make_plan(s, m, s->c, s->n);
    const destination d = {y, bias, epilogue, 0};
    convolve(s, &p, weights, 0, x, batch, &d, workspace);
    return VKD_OK;
}

vkd_status vkd_winograd_adjoint(const vkd_convolution *s, int m, const float *weights, const float *dy,
                                int batch, float *dx, float *workspace) {
    if (!valid(s, m, batch)) return VKD_INVALID_ARGUMENT;
    plan p = make_plan(s, m, s->n, s->c);
    const destination d = {dx, NULL, VKD_EPILOGUE_LINEAR, 1};
    convolve(s, &p, weights, 1, dy, batch, &d, workspace);
    return VKD_OK;
}
