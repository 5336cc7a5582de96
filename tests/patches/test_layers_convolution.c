/* The threaded convolution, im2col by rows and the added deltas (patches 210 to 230) against plain loops
 * in double precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "col2im.h"
#include "convolutional_layer.h"
#include "darknet.h"
#include "im2col.h"
#include "numerics/parallel.h"

static uint64_t state = 1;

static double uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0 * 2 - 1;
}

static int between(int low, int high) /* both included */
{
    return low + (int)((uniform() + 1) / 2 * (high - low + 1) * 0.999999);
}

static float *random_floats(size_t n) {
    float *a = malloc((n + 1) * sizeof *a);
    assert_non_null(a);
    for (size_t i = 0; i < n; i++)
        a[i] = (float)uniform();
    return a;
}

static float *copy_floats(const float *a, size_t n) {
    float *b = malloc((n + 1) * sizeof *b);
    assert_non_null(b);
    memcpy(b, a, n * sizeof *b);
    return b;
}

struct shape {
    int batch, c, h, w, n, groups, size, stride, pad;
};

static struct shape random_shape(void) {
    struct shape s;
    s.groups = between(1, 3);
    s.batch = between(0, 1) ? 5 : between(1, 3);
    s.c = s.groups * between(1, 4);
    s.n = s.groups * between(1, 5);
    s.size = between(1, 4);
    s.stride = between(1, 3);
    s.pad = between(0, s.size);
    s.h = between(s.size, 19);
    s.w = between(s.size, 19);
    return s;
}

/* The index in an input of the pixel that weight (k, y, x) of group g meets at output (i, j), or -1. */
static long source(struct shape s, int b, int g, int k, int y, int x, int i, int j) {
    int row = i * s.stride - s.pad + y, col = j * s.stride - s.pad + x;
    if (row < 0 || row >= s.h || col < 0 || col >= s.w) return -1;
    return (((long)b * s.c + (long)g * (s.c / s.groups) + k) * s.h + row) * s.w + col;
}

struct sums {
    double *output, *output_size;   /* (batch,n,out_h,out_w): sum, and sum of absolute values */
    double *weights, *weights_size; /* (n,c/groups,size,size) */
    double *delta, *delta_size;     /* (batch,c,h,w) */
};

/* Everything a convolution computes, from its definition. delta: (batch,n,out_h,out_w). */
static struct sums reference(struct shape s, convolutional_layer l, const float *input, const float *delta) {
    size_t outputs = (size_t)s.batch * (size_t)l.outputs, inputs = (size_t)s.batch * (size_t)l.inputs;
    struct sums r = {
        calloc(outputs, 8), calloc(outputs, 8), calloc((size_t)l.nweights, 8), calloc((size_t)l.nweights, 8),
        calloc(inputs, 8),  calloc(inputs, 8)};
    int cg = s.c / s.groups, ng = s.n / s.groups;
    for (int b = 0; b < s.batch; b++)
        for (int f = 0; f < s.n; f++)
            for (int i = 0; i < l.out_h; i++)
                for (int j = 0; j < l.out_w; j++) {
                    size_t o = (((size_t)b * (size_t)s.n + (size_t)f) * (size_t)l.out_h + (size_t)i) *
                                   (size_t)l.out_w +
                               (size_t)j;
                    for (int t = 0; t < cg * s.size * s.size; t++) {
                        int x = t % s.size, y = t / s.size % s.size, k = t / s.size / s.size;
                        long at = source(s, b, f / ng, k, y, x, i, j);
                        if (at < 0) continue;
                        size_t wi = (size_t)f * (size_t)(cg * s.size * s.size) + (size_t)t;
                        double out = (double)l.weights[wi] * input[at];
                        double weight = (double)delta[o] * input[at];
                        double back = (double)l.weights[wi] * delta[o];
                        r.output[o] += out, r.output_size[o] += fabs(out);
                        r.weights[wi] += weight, r.weights_size[wi] += fabs(weight);
                        r.delta[at] += back, r.delta_size[at] += fabs(back);
                    }
                }
    return r;
}

static void free_sums(struct sums r) {
    free(r.output), free(r.output_size), free(r.weights), free(r.weights_size), free(r.delta),
        free(r.delta_size);
}

/* |got - (before + sum)| / ((|before| + sum of sizes) eps), the largest. before may be NULL. */
static double worst_ratio(const float *got, const float *before, const double *sum, const double *size,
                          size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double b = before ? before[i] : 0;
        double scale = (fabs(b) + size[i]) * FLT_EPSILON;
        double e = fabs(got[i] - (b + sum[i]));
        double ratio = scale > 0 ? e / scale : (e == 0 ? 0 : INFINITY);
        if (!(ratio <= worst)) worst = ratio;
        if (isnan(ratio)) return INFINITY;
    }
    return worst;
}

/* One forward and backward of a linear convolution without biases, from a workspace full of NaN. */
static void check_convolution(struct shape s) {
    convolutional_layer l = make_convolutional_layer(s.batch, s.h, s.w, s.c, s.n, s.groups, s.size, s.stride,
                                                     s.pad, LINEAR, 0, 0, 0, 0);
    size_t outputs = (size_t)(s.batch * l.outputs), inputs = (size_t)(s.batch * l.inputs);
    network net = {0};
    net.batch = s.batch;
    net.train = 1;
    net.input = random_floats(inputs);
    net.delta = random_floats(inputs);
    net.workspace = malloc(l.workspace_size + 1);
    memset(net.workspace, 0xff, l.workspace_size);
    memset(l.output, 0xff, outputs * sizeof(float));
    for (size_t i = 0; i < outputs; i++)
        l.delta[i] = (float)uniform();
    for (int i = 0; i < l.nweights; i++)
        l.weight_updates[i] = (float)uniform();
    float *updates = copy_floats(l.weight_updates, (size_t)l.nweights);
    float *delta = copy_floats(net.delta, inputs);

    struct sums r = reference(s, l, net.input, l.delta);
    forward_convolutional_layer(l, net);
    assert_true(worst_ratio(l.output, NULL, r.output, r.output_size, outputs) < 30);
    memset(net.workspace, 0xff, l.workspace_size);
    backward_convolutional_layer(l, net);
    assert_true(worst_ratio(l.weight_updates, updates, r.weights, r.weights_size, (size_t)l.nweights) < 30);
    assert_true(worst_ratio(net.delta, delta, r.delta, r.delta_size, inputs) < 30);

    free_sums(r);
    free(net.input), free(net.delta), free(net.workspace), free(updates), free(delta);
    free_layer(l);
}

static void test_convolution(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (int i = 0; i < 60; i++)
            check_convolution(random_shape());
    }
}

/* Large enough for several blocks of rows, and a last block that is shorter. */
static void test_blocks(void **unused) {
    (void)unused;
    struct shape s[] = {{1, 8, 61, 67, 3, 1, 3, 1, 1},
                        {5, 8, 61, 67, 3, 1, 3, 1, 1},
                        {2, 16, 43, 41, 4, 2, 3, 1, 1},
                        {1, 6, 90, 70, 5, 1, 1, 1, 0},
                        {4, 24, 40, 33, 2, 1, 3, 2, 1}};
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (size_t i = 0; i < sizeof s / sizeof *s; i++)
            check_convolution(s[i]);
    }
}

/* 61c9d02e took a 1x1 convolution's input for the im2col matrix whatever its stride and padding. */
static void test_pointwise_stride_and_padding(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        check_convolution((struct shape){3, 4, 9, 7, 5, 1, 1, 2, 0});
        check_convolution((struct shape){3, 4, 9, 7, 5, 1, 1, 1, 2});
        check_convolution((struct shape){1, 4, 9, 7, 6, 2, 1, 3, 1});
        check_convolution((struct shape){5, 4, 9, 7, 6, 2, 1, 1, 0});
    }
}

/* More threads at the step than when the workspace was made must not outgrow it. */
static void test_more_threads_later(void **unused) {
    (void)unused;
    struct shape s = {5, 3, 11, 13, 4, 1, 3, 1, 1};
    vkd_limit_threads(1);
    convolutional_layer l =
        make_convolutional_layer(s.batch, s.h, s.w, s.c, s.n, 1, 3, 1, 1, LINEAR, 0, 0, 0, 0);
    vkd_limit_threads(3);
    size_t guarded = l.workspace_size / sizeof(float);
    network net = {0};
    net.input = random_floats((size_t)(s.batch * l.inputs));
    net.delta = random_floats((size_t)(s.batch * l.inputs));
    net.workspace = random_floats(guarded + 4096);
    float *after = copy_floats(net.workspace + guarded, 4096);
    for (int i = 0; i < s.batch * l.outputs; i++)
        l.delta[i] = 1;
    forward_convolutional_layer(l, net);
    backward_convolutional_layer(l, net);
    assert_memory_equal(after, net.workspace + guarded, 4096 * sizeof(float));
    free(net.input), free(net.delta), free(net.workspace), free(after);
    free_layer(l);
}

/* The same input and number of threads give the same bits, run after run. */
static void test_repeatable(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        convolutional_layer l = make_convolutional_layer(7, 24, 24, 8, 16, 1, 3, 1, 1, LINEAR, 0, 0, 0, 0);
        network net = {0};
        size_t inputs = (size_t)(7 * l.inputs), n = (size_t)l.nweights;
        float *first = NULL, *delta = random_floats((size_t)(7 * l.outputs));
        net.input = random_floats(inputs);
        net.workspace = malloc(l.workspace_size + 1);
        for (int run = 0; run < 20; run++) {
            memset(l.weight_updates, 0, n * sizeof(float));
            memcpy(l.delta, delta, (size_t)(7 * l.outputs) * sizeof(float));
            backward_convolutional_layer(l, net);
            if (!first) first = copy_floats(l.weight_updates, n);
            assert_memory_equal(first, l.weight_updates, n * sizeof(float));
        }
        free(first), free(delta), free(net.input), free(net.workspace);
        free_layer(l);
    }
}

/* im2col and col2im element by element; the copies must be the same bits, the sums in the same order. */
static void test_im2col(void **unused) {
    (void)unused;
    for (int run = 0; run < 300; run++) {
        struct shape s = random_shape();
        int out_h = (s.h + 2 * s.pad - s.size) / s.stride + 1,
            out_w = (s.w + 2 * s.pad - s.size) / s.stride + 1;
        int row = between(0, out_h - 1), rows = between(1, out_h - row);
        if (between(0, 1)) row = 0, rows = out_h;
        s.groups = s.batch = 1;
        size_t n = (size_t)(s.c * s.size * s.size * rows * out_w), pixels = (size_t)(s.c * s.h * s.w), o = 0;
        float *im = random_floats(pixels), *col = random_floats(n), *want = random_floats(n);
        float *sent = random_floats(n), *back = random_floats(pixels), *want_back = copy_floats(back, pixels);
        for (int t = 0; t < s.c * s.size * s.size; t++)
            for (int i = row; i < row + rows; i++)
                for (int j = 0; j < out_w; j++, o++) {
                    long at = source(s, 0, 0, t / s.size / s.size, t / s.size % s.size, t % s.size, i, j);
                    want[o] = at < 0 ? 0 : im[at];
                    if (at >= 0) want_back[at] += sent[o];
                }
        im2col_rows_cpu(im, s.c, s.h, s.w, s.size, s.stride, s.pad, row, rows, col);
        assert_memory_equal(col, want, n * sizeof(float));
        col2im_rows_cpu(sent, s.c, s.h, s.w, s.size, s.stride, s.pad, row, rows, back);
        assert_memory_equal(back, want_back, pixels * sizeof(float));
        free(im), free(col), free(want), free(sent), free(back), free(want_back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_im2col),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_pointwise_stride_and_padding),
        cmocka_unit_test(test_more_threads_later),
        cmocka_unit_test(test_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
