// The adjoint of direct.c in the weights: of a sheet, each weight's run times dy.
#include "numerics/direct.h"

#include <string.h>

#include "numerics/lanes.h"
#include "numerics/parallel.h"
#include "numerics/sheet.h"

// A group is a block of one image, or of some images where they are small: its sums leave the registers once.
typedef struct gradient {
    vkd_sheets p;
    int run;     // of a block, up to a whole vector
    int weights; // up to a whole number of VECTORS
    int images;  // in a group
    size_t sums; // (panels,weights,FILTERS)
} gradient;

static gradient make_gradient(const vkd_convolution *s) {
    gradient g = {.p = vkd_sheets_of(s->c, s->h, s->w, s->n, s->size, s->stride, s->pad)};
    vkd_sheets_fit(&g.p, s->c, BLOCK_PIXELS);
    g.run = round_up(g.p.run, LANES);
    g.weights = round_up(g.p.weights, VECTORS);
    const int in_cache = (int)(2 * SHEET_FLOATS / g.p.sheet), few = BLOCK_PIXELS / g.run;
    g.images = g.p.blocks > 1 ? 1 : clamp(in_cache < few ? in_cache : few, 1, BLOCK_PIXELS);
    g.sums = (size_t)panels_of(g.p.n) * (size_t)g.weights * FILTERS;
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
    const vkd_sheets *p = &g->p;
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
    const vkd_sheets *p = &g->p;
    float *sums = work, *sheets = sums + g->sums, *rows = whole_line(sheets + (size_t)g->images * p->sheet);
    for (int b = first; b < end; ++b)
        vkd_sheet_read(p, x + (size_t)(b / p->blocks) * (size_t)p->c * (size_t)p->h * (size_t)p->w, p->c,
                       b % p->blocks * p->rows, sheets + (size_t)(b - first) * p->sheet);
    for (int k = 0; k < panels_of(p->n); ++k) {
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
    if (!vkd_sheets_serve(s, batch)) return VKD_INVALID_ARGUMENT;
    const gradient g = make_gradient(s);
    void *room = workspace;
    int *offsets = room;
    float *work = workspace + g.weights;
    vkd_sheets_offsets(&g.p, offsets);
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
