#include "numerics/direct.h"

#include <limits.h>
#include <string.h>

#include "numerics/destination.h"
#include "numerics/panel.h"
#include "numerics/parallel.h"
#include "numerics/row_moments.h"

// Floats that a sheet and what comes of it may take (the second level of the cache), pixels a block may have,
// and what all weights of a sheet's channels meet at a time (the first level).
enum { SHEET_FLOATS = 128 * 1024, OUT_FLOATS = 200 * 1024, BLOCK_PIXELS = 1024, MET_FLOATS = 9 * 1024 };
enum { MOST_IN_A_ROW = 1 << 24 }; // a stride of thousands would make millions of planes

// A sheet is some rows of some channels of an image between its zeros: for each channel stride x stride
// planes, the one of (i,j) with the rows i, i + stride, ... and the columns j, j + stride, ... Output pixel
// (y,x) of the block is number y pitch + x, and meets weight (i,j) of channel c at that number +
// offset[c,i,j]; the numbers between the rows are no pixels and meet what stands there.
typedef struct plan {
    int c, h, w, n, size, stride, pad;
    int out_h, out_w;
    int pitch;
    int beyond;  // rows or columns of a plane that a pixel reads beyond its own
    int deep;    // channels of a sheet
    int rows;    // of a block, the last one's are fewer
    int blocks;  // of an image
    int run;     // numbers of a block, pixels or not
    int padded;  // run, up to a whole vector
    int weights; // c size^2
    size_t plane, sheet;
} plan;

static int clamp(int x, int low, int high) {
    return x < low ? low : x > high ? high : x;
}

static plan make_shape(int c, int h, int w, int n, int size, int stride, int pad) {
    plan p = {.c = c, .h = h, .w = w, .n = n, .size = size, .stride = stride, .pad = pad};
    p.out_h = (h + 2 * pad - size) / stride + 1;
    p.out_w = (w + 2 * pad - size) / stride + 1;
    p.beyond = (size - 1) / stride;
    p.pitch = p.out_w + p.beyond;
    p.weights = c * size * size;
    return p;
}

// Blocks of about the same size, of at most so many rows.
static void set_rows(plan *p, int deep, int most) {
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

// As many as the sheet leaves in the cache, and no more than so many pixels.
static void set_rows_in_cache(plan *p, int deep, int pixels) {
    const int in_cache = SHEET_FLOATS / (deep * p->stride * p->stride * p->pitch) - p->beyond,
              few = pixels / p->pitch;
    set_rows(p, deep, clamp(in_cache < few ? in_cache : few, 1, p->out_h));
}

static void make_offsets(const plan *p, int *offsets) { // (deep,size,size)
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
static void read_plane(const plan *p, const float *channel, int first_row, int i, int j, float *to) {
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

// `channels` of them, from the first one on.
static void read_sheet(const plan *p, const float *image, int channels, int first_row, float *sheet) {
    float *to = sheet;
    for (int c = 0; c < channels; ++c)
        for (int i = 0; i < p->stride; ++i)
            for (int j = 0; j < p->stride; ++j, to += p->plane)
                read_plane(p, image + (size_t)c * (size_t)p->h * (size_t)p->w, first_row, i, j, to);
    memset(to, 0, TILE * sizeof *to);
}

// ---- forward
// -------------------------------------------------------------------------------------------------

static int panels(const plan *p) {
    return panels_of(p->n);
}

static size_t thread_floats(const plan *p) { // a sheet, and what comes of it
    return p->sheet + (size_t)(panels(p) * FILTERS) * (size_t)p->padded;
}

static void write_block(const plan *p, float *out, int image, int first, const destination *d) {
    const int rows = p->out_h - first < p->rows ? p->out_h - first : p->rows;
    for (int n = 0; n < p->n; ++n, out += p->padded) {
        const size_t channel = (size_t)image * (size_t)p->n + (size_t)n;
        finish(out, (size_t)p->padded, n, d);
        for (int r = 0; r < rows; ++r) {
            const float *row = out + r * p->pitch;
            const size_t at = channel * (size_t)p->out_h + (size_t)(first + r);
            will_write(d, (at + (size_t)p->out_h) * (size_t)p->out_w, p->out_w); // of the next channel
            write_row(row, at * (size_t)p->out_w, p->out_w, d);
            if (d->ending.moments) vkd_row_moments(row, p->out_w, d->ending.moments + 2 * at);
        }
    }
}

static void convolve_block(const plan *p, const int *offsets, const float *packed, const float *x, int block,
                           const destination *d, float *work) {
    const int image = block / p->blocks, first = block % p->blocks * p->rows, area = p->size * p->size;
    float *sheet = work, *out = sheet + p->sheet;
    for (int c = 0; c < p->c; c += p->deep) {
        const int channels = p->c - c < p->deep ? p->c - c : p->deep;
        const size_t channel = (size_t)image * (size_t)p->c + (size_t)c;
        read_sheet(p, x + channel * (size_t)p->h * (size_t)p->w, channels, first, sheet);
        multiply_run(sheet, offsets, packed + (size_t)FILTERS * (size_t)(c * area),
                     (size_t)FILTERS * (size_t)p->weights, panels(p), channels * area, p->run, c > 0, out,
                     (size_t)p->padded);
    }
    write_block(p, out, image, first, d);
}

static size_t offsets_floats(const plan *p) {
    return (size_t)(p->deep * p->size * p->size) * sizeof(int) / sizeof(float);
}

static size_t convolve_floats(const plan *p, int threads) {
    return offsets_floats(p) + (size_t)(panels(p) * FILTERS) * (size_t)p->weights +
           (size_t)threads * thread_floats(p);
}

// Panels of filters (weights,FILTERS), the last filled up with zeros. Turned: of the adjoint.
static void pack(const plan *p, const float *weights, int turned, float *packed) {
    const int area = p->size * p->size;
    VKD_PARALLEL_FOR
    for (int k = 0; k < panels(p); ++k) {
        float *to = packed + (size_t)k * FILTERS * (size_t)p->weights;
        for (int c = 0; c < p->c; ++c)
            for (int v = 0; v < area; ++v)
                for (int n = k * FILTERS; n < (k + 1) * FILTERS; ++n)
                    if (n >= p->n)
                        *to++ = 0;
                    else if (turned) // the adjoint's (n,c) is the forward's (c,n), read backwards
                        *to++ = weights[((size_t)c * (size_t)p->n + (size_t)n) * (size_t)area +
                                        (size_t)(area - 1 - v)];
                    else
                        *to++ = weights[((size_t)n * (size_t)p->c + (size_t)c) * (size_t)area + (size_t)v];
    }
}

static void convolve(plan *p, int threads, const float *weights, int turned, const float *x, int batch,
                     const destination *d, float *workspace) {
    while (batch * p->blocks < 2 * threads && p->rows > 1)
        set_rows(p, p->deep, (p->rows + 1) / 2);
    void *room = workspace;
    int *offsets = room;
    float *packed = workspace + offsets_floats(p),
          *work = packed + (size_t)(panels(p) * FILTERS) * (size_t)p->weights;
    make_offsets(p, offsets);
    pack(p, weights, turned, packed);
    const int count = batch * p->blocks;
    VKD_PARALLEL_FOR_ON(threads)
    for (int block = 0; block < count; ++block)
        convolve_block(p, offsets, packed, x, block, d, work + (size_t)vkd_thread() * thread_floats(p));
}

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

bool vkd_direct_serves(const vkd_convolution *s) {
    return s->c > 0 && s->n > 0 && s->h > 0 && s->w > 0 && s->size > 0 && s->stride > 0 && s->pad >= 0 &&
           s->pad < s->size && s->threads > 0 && is_countable(s) && s->h + 2 * s->pad >= s->size &&
           s->w + 2 * s->pad >= s->size;
}

static bool accepts(const vkd_convolution *s, int batch) {
    return vkd_direct_serves(s) && batch > 0 &&
           batch <= INT_MAX / (s->h + 2 * s->size); // blocks of all images
}

static plan forward_shape(const vkd_convolution *s) {
    return make_shape(s->c, s->h, s->w, s->n, s->size, s->stride, s->pad);
}

// Of a sheet's channels each pixel is met by all filters while it is in the first level of the cache.
static void set_blocks(plan *p) {
    const int area = p->size * p->size, out = OUT_FLOATS / (panels(p) * FILTERS);
    set_rows_in_cache(p, clamp(MET_FLOATS / TILE / area, 1, p->c), out < BLOCK_PIXELS ? out : BLOCK_PIXELS);
}

static plan forward_plan(const vkd_convolution *s) {
    plan p = forward_shape(s);
    set_blocks(&p);
    return p;
}

static plan adjoint_plan(const vkd_convolution *s) { // stride 1
    const plan there = forward_shape(s);
    plan p = make_shape(s->n, there.out_h, there.out_w, s->c, s->size, 1, s->size - 1 - s->pad);
    set_blocks(&p);
    return p;
}

size_t vkd_direct_forward_workspace(const vkd_convolution *s) {
    const plan p = forward_plan(s);
    return convolve_floats(&p, s->threads);
}

size_t vkd_direct_adjoint_workspace(const vkd_convolution *s) {
    const plan p = adjoint_plan(s);
    return convolve_floats(&p, s->threads);
}

vkd_status vkd_direct_forward(const vkd_convolution *s, const float *weights, const float *x, int batch,
                              float *y, const vkd_ending *ending, float *workspace) {
    if (!accepts(s, batch)) return VKD_INVALID_ARGUMENT;
    plan p = forward_plan(s);
    const destination d = {.y = y, .ending = *ending};
    convolve(&p, s->threads, weights, 0, x, batch, &d, workspace);
    return VKD_OK;
}

vkd_status vkd_direct_adjoint(const vkd_convolution *s, const float *weights, const float *dy, int batch,
                              float *dx, float *workspace) {
    if (!accepts(s, batch) || s->stride != 1) return VKD_INVALID_ARGUMENT;
    plan p = adjoint_plan(s);
    const destination d = {.y = dx, .add = true};
    convolve(&p, s->threads, weights, 1, dy, batch, &d, workspace);
    return VKD_OK;
}

// ---- the gradient in the weights
// -----------------------------------------------------------------------------

// A group is a block of one image, or of some images where they are small: its sums leave the registers once.
typedef struct gradient {
    plan p;
    int run;     // of a block, up to a whole vector
    int weights; // up to a whole number of VECTORS
    int images;  // in a group
    size_t sums; // (panels,weights,FILTERS)
} gradient;

static gradient make_gradient(const vkd_convolution *s) {
    gradient g = {.p = forward_shape(s)};
    set_rows_in_cache(&g.p, s->c, BLOCK_PIXELS);
    g.run = round_up(g.p.run, LANES);
    g.weights = round_up(g.p.weights, VECTORS);
    const int in_cache = (int)(2 * SHEET_FLOATS / g.p.sheet), few = BLOCK_PIXELS / g.run;
    g.images = g.p.blocks > 1 ? 1 : clamp(in_cache < few ? in_cache : few, 1, BLOCK_PIXELS);
    g.sums = (size_t)panels(&g.p) * (size_t)g.weights * FILTERS;
    return g;
}

// The sums, sheets, and dy's blocks for FILTERS filters.
static size_t gradient_thread(const gradient *g) {
    return g->sums + LANES + (size_t)g->images * (g->p.sheet + FILTERS * (size_t)g->run);
}

static size_t gradient_floats(const gradient *g, int threads) {
    return (size_t)g->weights + (size_t)threads * gradient_thread(g);
}

size_t vkd_direct_gradient_workspace(const vkd_convolution *s) {
    const gradient g = make_gradient(s);
    return gradient_floats(&g, s->threads);
}

// Lane i = (i & step ? b : a)[i] + [i ^ step].
INLINE lanes fold(lanes a, lanes b, int step) {
#ifdef __clang__ // which has no shuffle by variables
    lanes sum;
    for (int i = 0; i < LANES; ++i)
        // cppcheck-suppress uninitvar
        sum[i] = i & step ? b[i] + b[i ^ step] : a[i] + a[i ^ step];
    return sum;
#else
    lane_numbers here, there; // cppcheck does not know that a loop over the lanes sets all of a vector
    for (int i = 0; i < LANES; ++i) {
        // cppcheck-suppress uninitvar
        here[i] = i & step ? LANES + i : i;
        // cppcheck-suppress uninitvar
        there[i] = i & step ? LANES + (i ^ step) : i ^ step;
    }
    return __builtin_shuffle(a, b, here) + __builtin_shuffle(a, b, there);
#endif
}

typedef float first_lanes
    __attribute__((vector_size(FILTERS * sizeof(float)), aligned(sizeof(float)), may_alias));

// totals (FILTERS) += the lanes' sums, a vector for each.
INLINE void add_totals(lanes *sum, float *totals) {
    UNROLL for (int step = 1; step < FILTERS; step *= 2) UNROLL for (int f = 0; f < FILTERS; f += 2 * step)
        sum[f] = fold(sum[f], sum[f + step], step);
    UNROLL for (int step = FILTERS; step < LANES; step *= 2) sum[0] = fold(sum[0], sum[0], step);
    first_lanes low; // lane by lane the compiler would take them out one at a time
    memcpy(&low, sum, sizeof low);
    *(first_lanes *)totals += low;
}

// sums (VECTORS,FILTERS) += x dy' over a group, for three weights.
static void correlate(const gradient *g, int images, const float *dy, const float *sheets, const int *offsets,
                      float *sums) {
    lanes sum[VECTORS][FILTERS] = {0};
    const size_t run = (size_t)g->run;
    for (int image = 0; image < images; ++image, sheets += g->p.sheet, dy += FILTERS * run) {
        const float *a = sheets + offsets[0], *b = sheets + offsets[1], *c = sheets + offsets[2];
        for (size_t i = 0; i < run; i += LANES) {
            const lanes pixels[VECTORS] = {*(const lanes *)(a + i), *(const lanes *)(b + i),
                                           *(const lanes *)(c + i)};
            UNROLL for (int f = 0; f < FILTERS; ++f) {
                lanes d = *(const lanes *)(dy + (size_t)f * run + i);
                HOLD(d);
                UNROLL for (int v = 0; v < VECTORS; ++v) sum[v][f] += d * pixels[v];
            }
        }
    }
    UNROLL for (int v = 0; v < VECTORS; ++v) add_totals(sum[v], sums + v * FILTERS);
}

// dy's block as the sheet numbers its pixels: zeros between the rows and to the end.
static void read_gradient(const gradient *g, const float *dy, int image, int first, int panel, float *to) {
    const plan *p = &g->p;
    const size_t width = (size_t)p->out_w,
                 rows = (size_t)(p->out_h - first < p->rows ? p->out_h - first : p->rows);
    const size_t run = (size_t)g->run, pitch = (size_t)p->pitch;
    for (int f = 0; f < FILTERS; ++f, to += run) {
        const bool filter = panel * FILTERS + f < p->n;
        const size_t n = (size_t)image * (size_t)p->n + (size_t)(panel * FILTERS + f);
        size_t end = 0; // what is written of the run
        for (size_t r = 0; r < rows && filter; ++r) {
            memset(to + end, 0, (r * pitch - end) * sizeof *to);
            memcpy(to + r * pitch, dy + (n * (size_t)p->out_h + (size_t)first + r) * width,
                   width * sizeof *to);
            end = r * pitch + width;
        }
        memset(to + end, 0, (run - end) * sizeof *to);
    }
}

// Blocks `first` to `end`, which are blocks of one image or images.
static void gradient_group(const gradient *g, const int *offsets, const float *x, const float *dy, int first,
                           int end, float *work) {
    const plan *p = &g->p;
    float *sums = work, *sheets = sums + g->sums, *rows = whole_line(sheets + (size_t)g->images * p->sheet);
    for (int b = first; b < end; ++b)
        read_sheet(p, x + (size_t)(b / p->blocks) * (size_t)p->c * (size_t)p->h * (size_t)p->w, p->c,
                   b % p->blocks * p->rows, sheets + (size_t)(b - first) * p->sheet);
    for (int k = 0; k < panels(p); ++k) {
        for (int b = first; b < end; ++b)
            read_gradient(g, dy, b / p->blocks, b % p->blocks * p->rows, k,
                          rows + (size_t)(b - first) * FILTERS * (size_t)g->run);
        for (int t = 0; t < g->weights; t += VECTORS)
            correlate(g, end - first, rows, sheets, offsets + t,
                      sums + ((size_t)k * (size_t)g->weights + (size_t)t) * FILTERS);
    }
}

vkd_status vkd_direct_gradient(const vkd_convolution *s, const float *x, const float *dy, int batch,
                               float *dweights, float *workspace) {
    if (!accepts(s, batch)) return VKD_INVALID_ARGUMENT;
    const gradient g = make_gradient(s);
    void *room = workspace;
    int *offsets = room;
    float *work = workspace + g.weights;
    make_offsets(&g.p, offsets);
    for (int t = g.p.weights; t < g.weights; ++t)
        offsets[t] = 0; // beyond the last weight: read, and not used
    const int count = batch * g.p.blocks, threads = s->threads < count ? s->threads : count;
    VKD_PARALLEL_FOR_ON(threads)
    for (int t = 0; t < threads; ++t) {
        float *own = work + (size_t)t * gradient_thread(&g);
        memset(own, 0, g.sums * sizeof *own);
        const int end = (int)((long)(t + 1) * count / threads);
        for (int b = (int)((long)t * count / threads); b < end; b += g.images)
            gradient_group(&g, offsets, x, dy, b, b + g.images < end ? b + g.images : end, own);
    }
    for (int t = 0; t < threads; ++t)
        for (int n = 0; n < g.p.n; ++n) {
            const float *sums = work + (size_t)t * gradient_thread(&g) +
                                (size_t)(n / FILTERS) * (size_t)g.weights * FILTERS + n % FILTERS;
            float *to = dweights + (size_t)n * (size_t)g.p.weights;
            for (int i = 0; i < g.p.weights; ++i)
                to[i] += sums[i * FILTERS];
        }
    return VKD_OK;
}
