#include "numerics/direct.h"

#include "numerics/destination.h"
#include "numerics/panel.h"
#include "numerics/parallel.h"
#include "numerics/row_moments.h"
#include "numerics/sheet.h"

// Floats of what comes of a sheet (the second level of the cache), and of what all weights of a sheet's
// channels meet at a time (the first level).
enum { OUT_FLOATS = 200 * 1024, MET_FLOATS = 9 * 1024 };

bool vkd_direct_serves(const vkd_convolution *s) {
    return vkd_sheets_serve(s, 1);
}

static size_t thread_floats(const vkd_sheets *p) { // a sheet, and what comes of it
    return p->sheet + (size_t)(panels_of(p->n) * FILTERS) * (size_t)p->padded;
}

static void write_block(const vkd_sheets *p, float *out, int image, int first, const destination *d) {
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

static void convolve_block(const vkd_sheets *p, const int *offsets, const float *packed, const float *x,
                           int block, const destination *d, float *work) {
    const int image = block / p->blocks, first = block % p->blocks * p->rows, area = p->size * p->size;
    float *sheet = work, *out = sheet + p->sheet;
    for (int c = 0; c < p->c; c += p->deep) {
        const int channels = p->c - c < p->deep ? p->c - c : p->deep;
        const size_t channel = (size_t)image * (size_t)p->c + (size_t)c;
        vkd_sheet_read(p, x + channel * (size_t)p->h * (size_t)p->w, channels, first, sheet);
        multiply_run(sheet, offsets, packed + (size_t)FILTERS * (size_t)(c * area),
                     (size_t)FILTERS * (size_t)p->weights, panels_of(p->n), channels * area, p->run, c > 0,
                     out, (size_t)p->padded);
    }
    write_block(p, out, image, first, d);
}

static size_t offsets_floats(const vkd_sheets *p) {
    return (size_t)(p->deep * p->size * p->size) * sizeof(int) / sizeof(float);
}

static size_t convolve_floats(const vkd_sheets *p, int threads) {
    return offsets_floats(p) + (size_t)(panels_of(p->n) * FILTERS) * (size_t)p->weights +
           (size_t)threads * thread_floats(p);
}

// Panels of filters (weights,FILTERS), the last filled up with zeros. Turned: of the adjoint.
static void pack(const vkd_sheets *p, const float *weights, int turned, float *packed) {
    const int area = p->size * p->size;
    VKD_PARALLEL_FOR
    for (int k = 0; k < panels_of(p->n); ++k) {
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

static void convolve(vkd_sheets *p, int threads, const float *weights, int turned, const float *x, int batch,
                     const destination *d, float *workspace) {
    while (batch * p->blocks < 2 * threads && p->rows > 1)
        vkd_sheets_cut(p, p->deep, (p->rows + 1) / 2);
    void *room = workspace;
    int *offsets = room;
    float *packed = workspace + offsets_floats(p),
          *work = packed + (size_t)(panels_of(p->n) * FILTERS) * (size_t)p->weights;
    vkd_sheets_offsets(p, offsets);
    pack(p, weights, turned, packed);
    const int count = batch * p->blocks;
    VKD_PARALLEL_FOR_ON(threads)
    for (int block = 0; block < count; ++block)
        convolve_block(p, offsets, packed, x, block, d, work + (size_t)vkd_thread() * thread_floats(p));
}

// Of a sheet's channels each pixel is met by all filters while it is in the first level of the cache.
static void set_blocks(vkd_sheets *p) {
    const int area = p->size * p->size, out = OUT_FLOATS / (panels_of(p->n) * FILTERS);
    vkd_sheets_fit(p, clamp(MET_FLOATS / TILE / area, 1, p->c), out < BLOCK_PIXELS ? out : BLOCK_PIXELS);
}

static vkd_sheets forward_plan(const vkd_convolution *s) {
    vkd_sheets p = vkd_sheets_of(s->c, s->h, s->w, s->n, s->size, s->stride, s->pad);
    set_blocks(&p);
    return p;
}

static vkd_sheets adjoint_plan(const vkd_convolution *s) { // stride 1
    const int h = s->h + 2 * s->pad - s->size + 1, w = s->w + 2 * s->pad - s->size + 1;
    vkd_sheets p = vkd_sheets_of(s->n, h, w, s->c, s->size, 1, s->size - 1 - s->pad);
    set_blocks(&p);
    return p;
}

size_t vkd_direct_forward_workspace(const vkd_convolution *s) {
    const vkd_sheets p = forward_plan(s);
    return convolve_floats(&p, s->threads);
}

size_t vkd_direct_adjoint_workspace(const vkd_convolution *s) {
    const vkd_sheets p = adjoint_plan(s);
    return convolve_floats(&p, s->threads);
}

vkd_status vkd_direct_forward(const vkd_convolution *s, const float *weights, const float *x, int batch,
                              float *y, const vkd_ending *ending, float *workspace) {
    if (!vkd_sheets_serve(s, batch)) return VKD_INVALID_ARGUMENT;
    vkd_sheets p = forward_plan(s);
    const destination d = {.y = y, .ending = *ending};
    convolve(&p, s->threads, weights, 0, x, batch, &d, workspace);
    return VKD_OK;
}

vkd_status vkd_direct_adjoint(const vkd_convolution *s, const float *weights, const float *dy, int batch,
                              float *dx, float *workspace) {
    if (!vkd_sheets_serve(s, batch) || s->stride != 1) return VKD_INVALID_ARGUMENT;
    vkd_sheets p = adjoint_plan(s);
    const destination d = {.y = dx, .add = true};
    convolve(&p, s->threads, weights, 1, dy, batch, &d, workspace);
    return VKD_OK;
}
