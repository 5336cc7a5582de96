#include "numerics/winograd.h"

#include <limits.h>
#include <string.h>

#include "numerics/panel.h"
#include "numerics/parallel.h"
#include "numerics/tiles.h"

// A group is some panels of filters: their products with a block of tiles are transformed back at a time, and
// each group reads the whole block. If there are MANY weights, those of DEEP channels and a smaller group at
// a time are transformed where they are used, in the second level of the cache: in memory they would take
// four times the weights' own. Fewer are transformed before.
enum { GROUP = 128 / FILTERS, SMALL_GROUP = 64 / FILTERS, DEEP = 64, MANY = 1 << 17 };

// Tiles of a block. Where every thread has a block of its own, the transformed block shall stay near it.
enum { MOST_TILES = 208, FEW_TILES = 112, BLOCK_FLOATS = 320 * 1024 };

typedef struct plan {
    int c, n; // channels from and to
    int h, w;
    int threads;
    int most;  // tiles of a block, or one row of tiles
    bool many; // weights
    int group; // panels, at most
} plan;

static plan make_plan(const vkd_convolution *s, int c, int n) {
    plan p = {
        .c = c, .n = n, .h = s->h, .w = s->w, .threads = s->threads, .many = (size_t)c * (size_t)n > MANY};
    const int row = round_up(vkd_tiles_most_columns(s->w), LANES);
    p.most = p.many ? MOST_TILES : clamp(BLOCK_FLOATS / (TILE_POINTS * c), FEW_TILES, MOST_TILES);
    if (p.most < row) p.most = row;
    p.group = p.many ? SMALL_GROUP : GROUP;
    return p;
}

// A matrix of a block, a row of tiles at least, can be numbered in an int, with room to round up; and as many
// values of the channels as a tile has.
static bool is_countable(const vkd_convolution *s) {
    static const double most = INT_MAX / 2;
    const double channels = s->c > s->n ? s->c : s->n;
    return channels * (2.0 * s->w + 2 * MOST_TILES) <= most && channels * TILE_POINTS <= most &&
           s->h <= INT_MAX / 4;
}

static bool fits(const vkd_convolution *s) {
    return s->size == 3 && s->stride == 1 && s->pad == 1 && is_countable(s);
}

// With fewer channels, or pairs of them on a small grid, the transforms cost more than the products save. The
// adjoint's input, whose transform is the dearer one, has more channels than its output as a rule.
enum { FEWEST_CHANNELS = 24, SMALL_GRID = 20, FEW_PAIRS = 64 * 64, SMALLEST_GRID = 6 };
enum { FEWEST_BACK = 64, LARGE_GRID = 64, FEWEST_BACK_IN_LARGE = 32 };

static int side_of(const vkd_convolution *s) {
    return s->h < s->w ? s->h : s->w;
}

static int least_of(const vkd_convolution *s) {
    return s->c < s->n ? s->c : s->n;
}

bool vkd_winograd_serves(const vkd_convolution *s) {
    const int side = side_of(s);
    return fits(s) && side >= SMALLEST_GRID && least_of(s) >= FEWEST_CHANNELS &&
           (side >= SMALL_GRID || (size_t)s->c * (size_t)s->n > FEW_PAIRS);
}

bool vkd_winograd_adjoint_serves(const vkd_convolution *s) {
    return vkd_winograd_serves(s) &&
           least_of(s) >= (side_of(s) < LARGE_GRID ? FEWEST_BACK : FEWEST_BACK_IN_LARGE);
}

// ---- the workspace
// -------------------------------------------------------------------------------------------
//
// Where a product finds its channels, in a block and in the last; the transformed weights
// (TILE_POINTS,panels,c,FILTERS), unless there are many; transformed blocks of the input
// (TILE_POINTS,c,tiles), one for each thread, or one for all where the weights are many; and what a thread
// has for itself: products of a group (TILE_POINTS,group's filters,tiles), room for a channel's transform,
// and a group's weights (TILE_POINTS,group,DEEP,FILTERS).

static size_t offsets_floats(const plan *p) {
    return (size_t)round_up(2 * p->c, LANES) * sizeof(int) / sizeof(float);
}

static size_t weights_floats(const plan *p) {
    return p->many ? 0 : (size_t)TILE_POINTS * (size_t)panels_of(p->n) * FILTERS * (size_t)p->c;
}

// Floats from one of the matrices of a block to the next. A transform writes a row of each: one vector more
// than the matrix keeps the rows in different sets of the caches.
static size_t plane(int channels, int tiles) {
    return (size_t)channels * (size_t)tiles + LANES;
}

static size_t input_floats(const plan *p) {
    return TILE_POINTS * plane(p->c, p->most);
}

static size_t products_floats(const plan *p) {
    return TILE_POINTS * plane(p->group * FILTERS, p->most);
}

static size_t room_floats(const plan *p) {
    return (vkd_tiles_room(p->most) + LANES - 1) / LANES * LANES;
}

enum { DEEP_PANEL = DEEP * FILTERS, DEEP_STEP = SMALL_GROUP * DEEP_PANEL + LANES };

static size_t own_floats(const plan *p) {
    return products_floats(p) + room_floats(p) + (p->many ? (size_t)TILE_POINTS * DEEP_STEP : 0);
}

static size_t workspace_floats(const plan *p) {
    return LANES + offsets_floats(p) + weights_floats(p) +
           (size_t)(p->many ? 1 : p->threads) * input_floats(p) + (size_t)p->threads * own_floats(p);
}

size_t vkd_winograd_forward_workspace(const vkd_convolution *s) {
    const plan p = make_plan(s, s->c, s->n);
    return workspace_floats(&p);
}

size_t vkd_winograd_adjoint_workspace(const vkd_convolution *s) {
    const plan p = make_plan(s, s->n, s->c);
    return workspace_floats(&p);
}

// ---- weights
// --------------------------------------------------------------------------------------------------

// Channels, times FILTERS of them, whose transforms stand side by side.
enum { CHANNELS = 8, RUN = CHANNELS * FILTERS };

// G g: three rows of `count` values to six.
static void transform_rows(const float *restrict a, const float *restrict b, const float *restrict c,
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

typedef struct filters {
    const float *weights; // (n,c,3,3) of the forward
    bool turned;          // for the adjoint, from n to c channels
} filters;

// The weights (9) of `count` channels from `first` on for a panel's filters: g (9,channels,FILTERS), zeros
// for filters beyond the last.
static void gather_weights(const plan *p, const filters *f, int panel, int first, int count,
                           float g[9][RUN]) {
    for (int j = 0; j < count; ++j)
        for (int i = 0; i < FILTERS; ++i) {
            const size_t n = (size_t)(panel * FILTERS + i), c = (size_t)(first + j);
            // The adjoint's (n,c) is the forward's (c,n), read backwards.
            const float *pair = f->weights + 9 * (f->turned ? c * (size_t)p->n + n : n * (size_t)p->c + c);
            for (int v = 0; v < 9; ++v)
                g[v][j * FILTERS + i] = n < (size_t)p->n ? pair[f->turned ? 8 - v : v] : 0;
        }
}

// U (channels,FILTERS), its TILE_POINTS matrices `step` apart, = G g G' of a panel's channels from `from` on.
static void transform_weights(const plan *p, const filters *f, int panel, int from, int channels, float *U,
                              size_t step) {
    for (int first = 0; first < channels; first += CHANNELS) {
        float g[9][RUN], half[TILE_IN * 3][RUN];
        const int count = channels - first < CHANNELS ? channels - first : CHANNELS, run = count * FILTERS;
        gather_weights(p, f, panel, from + first, count, g);
        for (int x = 0; x < 3; ++x) // down the columns: half (6,3)
            transform_rows(g[x], g[3 + x], g[6 + x], half[x], 3 * RUN, run);
        for (int y = 0; y < TILE_IN; ++y) // along the rows
            transform_rows(half[3 * y], half[3 * y + 1], half[3 * y + 2],
                           U + (size_t)(y * TILE_IN) * step + first * FILTERS, step, run);
    }
}

// ---- blocks of tiles
// ------------------------------------------------------------------------------------------

typedef struct work {
    plan p;
    vkd_tiles tiles;
    const int *offsets, *last_offsets; // (c), of a block and of the last
    filters f;
    const float *U; // NULL: many weights
    int group;      // panels
    const float *x;
    const destination *d;
} work;

static void read_channel(const work *k, const vkd_tile_block *b, int c, float *V, float *room) {
    const size_t channel = (size_t)k->p.h * (size_t)k->p.w;
    vkd_tiles_read(&k->tiles, b, k->x + (size_t)c * channel, k->p.c, V + (size_t)c * (size_t)b->tiles,
                   plane(k->p.c, b->tiles), room);
}

// The block's products with the panels from `first` on, and what they are in the output.
static void convolve_group(const work *k, const vkd_tile_block *b, const float *V, int first, float *own) {
    const plan *p = &k->p;
    const int all = panels_of(p->n), panels = all - first < k->group ? all - first : k->group;
    const size_t tiles = (size_t)b->tiles, in = plane(p->c, b->tiles),
                 out = plane(p->group * FILTERS, b->tiles);
    const size_t row = (size_t)p->c * FILTERS;
    float *M = own, *room = M + products_floats(p), *deep = room + room_floats(p);
    const int *offsets = b->first + b->rows < k->tiles.rows ? k->offsets : k->last_offsets;
    const int depth = p->many ? DEEP : p->c;
    for (int c = 0; c < p->c; c += depth) {
        const int channels = p->c - c < depth ? p->c - c : depth;
        const float *U = p->many ? deep : k->U + (size_t)first * row;
        const size_t step = p->many ? DEEP_STEP : (size_t)all * row, panel = p->many ? DEEP_PANEL : row;
        for (int i = 0; i < panels && p->many; ++i)
            transform_weights(p, &k->f, first + i, c, channels, deep + i * DEEP_PANEL, DEEP_STEP);
        for (size_t v = 0; v < TILE_POINTS; ++v)
            multiply_run(V + v * in + (size_t)c * tiles, offsets, U + v * step, panel, panels, channels,
                         b->tiles, c > 0, M + v * out, tiles);
    }
    for (int n = first * FILTERS; n < p->n && n < (first + panels) * FILTERS; ++n)
        vkd_tiles_write(&k->tiles, b, M + (size_t)(n - first * FILTERS) * tiles, out, n, p->n, k->d, room);
}

static void set_offsets(int *offsets, int channels, const vkd_tile_block *b) {
    for (int c = 0; c < channels; ++c)
        offsets[c] = c * b->tiles;
}

// Rows of tiles in a block, so that all blocks together have the fewest vectors: the last may be small.
static int best_rows(const plan *p, const vkd_tiles *t) {
    int best = 1;
    long least = LONG_MAX;
    for (int rows = 1; rows <= t->rows && (rows == 1 || round_up(rows * t->columns, LANES) <= p->most);
         ++rows) {
        const int left = t->rows % rows;
        const long all =
            (long)(t->rows / rows) * round_up(rows * t->columns, LANES) + round_up(left * t->columns, LANES);
        if (all > least) continue;
        least = all;
        best = rows;
    }
    return best;
}

// A block for each thread at a time.
static void convolve_blocks(const work *k, int rows, float *inputs, float *own) {
    const int count = (k->tiles.rows + rows - 1) / rows;
    VKD_PARALLEL_FOR_ON(k->p.threads)
    for (int i = 0; i < count; ++i) {
        const vkd_tile_block b = vkd_tiles_block(&k->tiles, i * rows, rows);
        float *V = inputs + (size_t)vkd_thread() * input_floats(&k->p),
              *mine = own + (size_t)vkd_thread() * own_floats(&k->p);
        for (int c = 0; c < k->p.c; ++c)
            read_channel(k, &b, c, V, mine + products_floats(&k->p));
        for (int first = 0; first < panels_of(k->p.n); first += k->group)
            convolve_group(k, &b, V, first, mine);
    }
}

// One block at a time, whose channels and groups of filters the threads share.
static void share_blocks(const work *k, int rows, float *V, float *own) {
    const int groups = (panels_of(k->p.n) + k->group - 1) / k->group;
    for (int first = 0; first < k->tiles.rows; first += rows) {
        const vkd_tile_block b = vkd_tiles_block(&k->tiles, first, rows);
        VKD_PARALLEL_FOR_ON(k->p.threads)
        for (int c = 0; c < k->p.c; ++c)
            read_channel(k, &b, c, V,
                         own + (size_t)vkd_thread() * own_floats(&k->p) + products_floats(&k->p));
        VKD_PARALLEL_FOR_ON(k->p.threads)
        for (int g = 0; g < groups; ++g)
            convolve_group(k, &b, V, g * k->group, own + (size_t)vkd_thread() * own_floats(&k->p));
    }
}

bool vkd_winograd_accepts(const vkd_convolution *s, int batch) {
    return fits(s) && s->c > 0 && s->n > 0 && s->h > 0 && s->w > 0 && s->threads > 0 && batch > 0 &&
           batch <= INT_MAX / (s->h + 2 * TILE_IN);
}

static void convolve(const plan *p, const filters *f, const float *x, int batch, const destination *d,
                     float *workspace) {
    void *start = whole_line(workspace);
    int *offsets = start;
    float *U = (float *)start + offsets_floats(p), *inputs = U + weights_floats(p),
          *own = inputs + (size_t)(p->many ? 1 : p->threads) * input_floats(p);
    work k = {.p = *p,
              .tiles = vkd_tiles_of(p->h, p->w, batch),
              .offsets = offsets,
              .last_offsets = offsets + p->c,
              .f = *f,
              .U = p->many ? NULL : U,
              .group = p->group,
              .x = x,
              .d = d};
    const int panels = panels_of(p->n), threads = p->threads;
    if (!p->many) {
        const size_t row = (size_t)p->c * FILTERS;
        VKD_PARALLEL_FOR_ON(threads)
        for (int i = 0; i < panels; ++i)
            transform_weights(p, f, i, 0, p->c, U + (size_t)i * row, (size_t)panels * row);
    }
    int rows = best_rows(p, &k.tiles);
    const int count = (k.tiles.rows + rows - 1) / rows;
    const bool share = p->many || (count < 8 * threads && panels >= 2 * threads);
    if (share)
        k.group = clamp(panels / (2 * threads), 1, p->group);
    else if (count < 8 * threads) // blocks for threads that end together
        rows = (k.tiles.rows + round_up(count, threads) - 1) / round_up(count, threads);
    const vkd_tile_block one = vkd_tiles_block(&k.tiles, 0, rows),
                         last = vkd_tiles_block(&k.tiles, (k.tiles.rows - 1) / rows * rows, rows);
    set_offsets(offsets, p->c, &one);
    set_offsets(offsets + p->c, p->c, &last);
    if (share)
        share_blocks(&k, rows, inputs, own);
    else
        convolve_blocks(&k, rows, inputs, own);
}

vkd_status vkd_winograd_forward(const vkd_convolution *s, const float *weights, const float *x, int batch,
                                float *y, const vkd_ending *ending, float *workspace) {
    if (!vkd_winograd_accepts(s, batch)) return VKD_INVALID_ARGUMENT;
    const plan p = make_plan(s, s->c, s->n);
    const filters f = {weights, false};
    const destination d = {.y = y, .ending = *ending};
    convolve(&p, &f, x, batch, &d, workspace);
    return VKD_OK;
}

vkd_status vkd_winograd_adjoint(const vkd_convolution *s, const float *weights, const float *dy, int batch,
                                float *dx, float *workspace) {
    if (!vkd_winograd_accepts(s, batch)) return VKD_INVALID_ARGUMENT;
    const plan p = make_plan(s, s->n, s->c);
    const filters f = {weights, true};
    const destination d = {.y = dx, .add = true};
    convolve(&p, &f, dy, batch, &d, workspace);
    return VKD_OK;
}
