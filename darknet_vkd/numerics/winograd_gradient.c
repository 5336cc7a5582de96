// The adjoint of winograd.c in the weights: Y = A'[(G g G') * (B'd B)] A for each tile, with * by elements,
// gives
//
//     dg = G'[sum over tiles of (A dY A') * (B'd B)] G
//
// 36 products of (n,tiles) and (tiles,c) matrices, whose results are transformed while they are in the cache:
// a piece of filters times channels at a time. A block of tiles after the other is added to dweights.
#include <string.h>

#include "numerics/panel.h"
#include "numerics/parallel.h"
#include "numerics/tiles.h"
#include "numerics/winograd.h"

// Of a piece: panels of filters, channels. MOST_FLOATS: of a transformed block of x and dy together.
enum {
    PIECE_PANELS = 64 / FILTERS,
    PIECE_CHANNELS = 2 * TILE,
    MOST_FLOATS = 6656 * 1024,
    FEWEST_TILES = 112,
    MOST_TILES = 416
};

enum { FEWEST_CHANNELS = 48 };

bool vkd_winograd_gradient_serves(const vkd_convolution *s) {
    return vkd_winograd_serves(s) && s->c >= FEWEST_CHANNELS && s->n >= FEWEST_CHANNELS;
}

typedef struct plan {
    int c, n, h, w, threads;
    int channels, panels; // up to a whole vector, a whole panel
    int most;             // tiles of a block
    int piece;            // panels
} plan;

static plan make_plan(const vkd_convolution *s) {
    plan p = {.c = s->c, .n = s->n, .h = s->h, .w = s->w, .threads = s->threads};
    p.channels = round_up(s->c, LANES);
    p.panels = panels_of(s->n);
    const long fit = MOST_FLOATS / TILE_POINTS / ((long)p.channels + p.panels * FILTERS);
    p.most = fit < FEWEST_TILES ? FEWEST_TILES : fit > MOST_TILES ? MOST_TILES : (int)fit / LANES * LANES;
    const int row = round_up(vkd_tiles_most_columns(s->w), LANES);
    if (p.most < row) p.most = row;
    // Several pieces for each thread.
    const int wide = (p.channels + PIECE_CHANNELS - 1) / PIECE_CHANNELS;
    const long even = (long)p.panels * wide / (4L * p.threads);
    p.piece = even < 1 ? 1 : even < PIECE_PANELS ? (int)even : PIECE_PANELS;
    return p;
}

// ---- the workspace: offsets (tiles), V (TILE_POINTS,tiles,channels), Y (TILE_POINTS,panels,tiles,FILTERS),
// and of each thread the greater of what it needs for a transform and for a piece.

static size_t offsets_floats(const plan *p) {
    return (size_t)p->most * sizeof(int) / sizeof(float);
}

static size_t input_step(const plan *p) {
    return (size_t)p->most * (size_t)p->channels + LANES;
}

static size_t gradient_step(const plan *p) {
    return (size_t)p->panels * (size_t)p->most * FILTERS + LANES;
}

enum { PIECE_STEP = PIECE_PANELS * FILTERS * PIECE_CHANNELS + LANES };

static size_t own_floats(const plan *p) {
    const size_t read = TILE_POINTS * (size_t)LANES * (size_t)p->most + vkd_tiles_room(p->most),
                 piece = (size_t)TILE_POINTS * PIECE_STEP;
    return (read > piece ? read : piece) / LANES * LANES + LANES;
}

size_t vkd_winograd_gradient_workspace(const vkd_convolution *s) {
    const plan p = make_plan(s);
    return LANES + offsets_floats(&p) + TILE_POINTS * (input_step(&p) + gradient_step(&p)) +
           (size_t)p.threads * own_floats(&p);
}

// ---- a block of tiles
// ------------------------------------------------------------------------------------------

typedef struct work {
    plan p;
    vkd_tiles tiles;
    const int *offsets; // (tiles)
    float *V, *Y;
} work;

// to (count,width), rows `step` apart, = the transpose of from (width,count), rows `tiles` apart.
INLINE void transpose(const float *restrict from, size_t tiles, int count, const int width,
                      float *restrict to, size_t step) {
    for (int t = 0; t < count; ++t)
        for (int i = 0; i < width; ++i)
            to[(size_t)t * step + (size_t)i] = from[(size_t)i * tiles + (size_t)t];
}

typedef void (*reader)(const vkd_tiles *t, const vkd_tile_block *b, const float *x, int channels, float *V,
                       size_t step, float *room);

// Channels first to first + width of x, transformed: (TILE_POINTS,width,tiles).
static void read_channels(const work *k, const vkd_tile_block *b, reader read, const float *x, int channels,
                          int first, int width, float *own) {
    const size_t tiles = (size_t)b->tiles, step = (size_t)width * tiles,
                 image = (size_t)k->p.h * (size_t)k->p.w;
    float *room = own + TILE_POINTS * step;
    for (int i = 0; i < width; ++i)
        if (first + i < channels)
            read(&k->tiles, b, x + (size_t)(first + i) * image, channels, own + (size_t)i * tiles, step,
                 room);
        else
            for (size_t v = 0; v < TILE_POINTS; ++v)
                memset(own + v * step + (size_t)i * tiles, 0, tiles * sizeof *own);
}

static void read_input(const work *k, const vkd_tile_block *b, const float *x, int first, float *own) {
    const size_t tiles = (size_t)b->tiles, channels = (size_t)k->p.channels;
    read_channels(k, b, vkd_tiles_read, x, k->p.c, first, LANES, own);
    for (size_t v = 0; v < TILE_POINTS; ++v)
        transpose(own + v * LANES * tiles, tiles, b->rows * k->tiles.columns, LANES,
                  k->V + v * input_step(&k->p) + first, channels);
}

static void read_gradient(const work *k, const vkd_tile_block *b, const float *dy, int panel, float *own) {
    const size_t tiles = (size_t)b->tiles;
    read_channels(k, b, vkd_tiles_read_gradient, dy, k->p.n, panel * FILTERS, FILTERS, own);
    for (size_t v = 0; v < TILE_POINTS; ++v)
        transpose(own + v * FILTERS * tiles, tiles, b->rows * k->tiles.columns, FILTERS,
                  k->Y + v * gradient_step(&k->p) + (size_t)panel * (size_t)k->p.most * FILTERS, FILTERS);
}

// G'm, for LANES channels: six values to three.
INLINE void transform_back(const lanes *m, size_t step, lanes *g) {
    const lanes a = m[0], b = m[step] + m[2 * step], c = m[2 * step] - m[step], d = m[3 * step] + m[4 * step],
                e = m[3 * step] - m[4 * step];
    g[0] = 0.25f * a - (1.f / 6) * b + (1.f / 24) * d;
    g[1] = (1.f / 6) * c + (1.f / 12) * e;
    g[2] = (1.f / 6) * (d - b) + m[5 * step];
}

// dweights of one filter and up to LANES channels += G'M G.
static void add_weights(const float *M, int count, float *dweights) {
    lanes m[TILE_POINTS], half[3 * TILE_IN], g[9];
    for (size_t v = 0; v < TILE_POINTS; ++v)
        m[v] = *(const lanes *)(M + v * PIECE_STEP);
    for (int x = 0; x < TILE_IN; ++x) { // down the columns: half (6,3), turned
        lanes three[3];
        transform_back(m + x, TILE_IN, three);
        for (int y = 0; y < 3; ++y)
            half[y * TILE_IN + x] = three[y];
    }
    for (int y = 0; y < 3; ++y)
        transform_back(half + y * TILE_IN, 1, g + 3 * y);
    for (int c = 0; c < count; ++c)
        for (int v = 0; v < 9; ++v)
            dweights[9 * c + v] += g[v][c];
}

// The filters of some panels times some channels.
static void add_piece(const work *k, const vkd_tile_block *b, int panel, int channel, float *dweights,
                      float *M) {
    const plan *p = &k->p;
    const int panels = p->panels - panel < p->piece ? p->panels - panel : p->piece;
    const int channels = p->channels - channel < PIECE_CHANNELS ? p->channels - channel : PIECE_CHANNELS;
    const size_t panel_step = (size_t)p->most * FILTERS;
    for (size_t v = 0; v < TILE_POINTS; ++v)
        multiply_run(k->V + v * input_step(p) + channel, k->offsets,
                     k->Y + v * gradient_step(p) + (size_t)panel * panel_step, panel_step, panels,
                     b->rows * k->tiles.columns, channels, false, M + v * PIECE_STEP, PIECE_CHANNELS);
    for (int f = 0; f < panels * FILTERS && panel * FILTERS + f < p->n; ++f)
        for (int c = channel; c < channel + channels && c < p->c; c += LANES)
            add_weights(M + f * PIECE_CHANNELS + (c - channel), p->c - c < LANES ? p->c - c : LANES,
                        dweights + 9 * ((size_t)(panel * FILTERS + f) * (size_t)p->c + (size_t)c));
}

static void add_block(const work *k, const vkd_tile_block *b, const float *x, const float *dy,
                      float *dweights, float *own) {
    const plan *p = &k->p;
    const int wide = (p->channels + PIECE_CHANNELS - 1) / PIECE_CHANNELS,
              high = (p->panels + p->piece - 1) / p->piece, reads = p->channels / LANES;
    VKD_PARALLEL_FOR_ON(p->threads)
    for (int i = 0; i < reads + p->panels; ++i) {
        float *mine = own + (size_t)vkd_thread() * own_floats(p);
        if (i < reads)
            read_input(k, b, x, i * LANES, mine);
        else
            read_gradient(k, b, dy, i - reads, mine);
    }
    VKD_PARALLEL_FOR_ON(p->threads)
    for (int i = 0; i < wide * high; ++i)
        add_piece(k, b, i / wide * p->piece, i % wide * PIECE_CHANNELS, dweights,
                  own + (size_t)vkd_thread() * own_floats(p));
}

vkd_status vkd_winograd_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                                 float *dweights, float *workspace) {
    if (!vkd_winograd_accepts(s, batch)) return VKD_INVALID_ARGUMENT;
    const plan p = make_plan(s);
    void *start = whole_line(workspace);
    int *offsets = start;
    work k = {.p = p, .tiles = vkd_tiles_of(p.h, p.w, batch), .offsets = offsets};
    k.V = (float *)start + offsets_floats(&p);
    k.Y = k.V + TILE_POINTS * input_step(&p);
    float *own = k.Y + TILE_POINTS * gradient_step(&p);
    for (int t = 0; t < p.most; ++t)
        offsets[t] = t * p.channels;
    // Blocks of about the same size.
    const int rows = p.most / k.tiles.columns, blocks = (k.tiles.rows + rows - 1) / rows,
              each = (k.tiles.rows + blocks - 1) / blocks;
    for (int first = 0; first < k.tiles.rows; first += each) {
        const vkd_tile_block b = vkd_tiles_block(&k.tiles, first, each);
        add_block(&k, &b, x, dy, dweights, own);
    }
    return VKD_OK;
}
