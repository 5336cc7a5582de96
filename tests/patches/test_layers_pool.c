/* Max pooling (patch 242) and the shared loops of blas.c (patch 244) against element by element twins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "blas.h"
#include "convolutional_layer.h"
#include "darknet.h"
#include "maxpool_layer.h"
#include "numerics/parallel.h"

static uint64_t state = 5;

static float uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 11) / 9007199254740992.0 * 2 - 1);
}

static int between(int low, int high) {
    return low + (int)((uniform() + 1) / 2 * (float)(high - low + 1) * 0.9999f);
}

static float *random_floats(size_t n) {
    float *a = malloc((n + 1) * sizeof *a);
    assert_non_null(a);
    for (size_t i = 0; i < n; i++)
        a[i] = uniform();
    return a;
}

static float *copy_floats(const float *a, size_t n) {
    float *b = malloc((n + 1) * sizeof *b);
    assert_non_null(b);
    memcpy(b, a, n * sizeof *b);
    return b;
}

/* Few distinct values, so that ties are common: the first of equals, row by row, must win. */
static void check_maxpool(int batch, int c, int h, int w, int size, int stride, int padding) {
    layer l = make_maxpool_layer(batch, h, w, c, size, stride, padding);
    network net = {0};
    size_t inputs = (size_t)(batch * l.inputs), o = 0;
    net.input = random_floats(inputs);
    net.delta = random_floats(inputs);
    for (size_t i = 0; i < inputs; i++)
        net.input[i] = (float)(int)(net.input[i] * 4);
    float *want_delta = copy_floats(net.delta, inputs);
    for (int i = 0; i < batch * l.outputs; i++)
        l.delta[i] = uniform();
    l.forward(l, net);
    for (int k = 0; k < batch * c; k++)
        for (int i = 0; i < l.out_h; i++)
            for (int j = 0; j < l.out_w; j++, o++) {
                int best = -1;
                for (int y = i * stride - padding / 2; y < i * stride - padding / 2 + size; y++)
                    for (int x = j * stride - padding / 2; x < j * stride - padding / 2 + size; x++) {
                        if (y < 0 || y >= h || x < 0 || x >= w) continue;
                        int at = (k * h + y) * w + x;
                        if (best < 0 || net.input[at] > net.input[best]) best = at;
                    }
                assert_int_equal(l.indexes[o], best);
                if (best < 0) continue;
                assert_true(l.output[o] == net.input[best]);
                want_delta[best] += l.delta[o];
            }
    l.backward(l, net);
    assert_memory_equal(net.delta, want_delta, inputs * sizeof(float));
    free(net.input), free(net.delta), free(want_delta);
    free_layer(l);
}

static void test_maxpool(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (int run = 0; run < 100; run++) {
            int size = between(1, 4), batch = between(0, 1) ? 5 : 1;
            check_maxpool(batch, between(1, 4), between(size, 17), between(size, 17), size, between(1, 3),
                          between(0, size - 1));
        }
        for (int odd = 0; odd < 2; odd++) {
            check_maxpool(5, 6, 60 + odd, 64 + odd, 2, 2, 1);
            check_maxpool(5, 6, 60 + odd, 64 + odd, 2, 2, 0);
            check_maxpool(1, 3, 160 + odd, 160 - odd, 2, 2, 1);
            check_maxpool(1, 3, 130 + odd, 160 - odd, 2, 1, 1);
        }
    }
}

/* A window of NaN has index -1; 61c9d02e wrote its delta in front of the input's. */
static void test_maxpool_of_nan(void **unused) {
    (void)unused;
    layer l = make_maxpool_layer(1, 4, 4, 1, 2, 2, 0);
    network net = {0};
    float delta[17] = {0};
    net.input = malloc(16 * sizeof(float));
    net.delta = delta + 1;
    memset(net.input, 0xff, 16 * sizeof(float));
    for (int i = 0; i < 4; i++)
        l.delta[i] = 1;
    l.forward(l, net);
    for (int i = 0; i < 4; i++)
        l.indexes[i] = -1; /* also where the host is compiled to know no NaN */
    l.backward(l, net);
    for (int i = 0; i < 17; i++)
        assert_true(delta[i] == 0);
    free(net.input);
    free_layer(l);
}

static void test_vectors(void **unused) {
    (void)unused;
    int sizes[] = {0, 1, 17, 1000, 70003, 200001};
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (int step = 1; step <= 3; step += 2)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                int n = sizes[s];
                size_t all = (size_t)n * 3;
                float *x = random_floats(all), *y = random_floats(all), *got = copy_floats(y, all);
                axpy_cpu(n, .3f, x, 1, got, step);
                for (int i = 0; i < n; i++) {
                    double want = (double)y[i * step] + (double).3f * x[i];
                    assert_true(fabs(got[i * step] - want) <= 2 * FLT_EPSILON);
                }
                scal_cpu(n, .7f, got, step);
                copy_cpu(n, x, step, got, 1);
                for (int i = 0; i < n; i++)
                    assert_true(got[i] == x[i * step]);
                scal_cpu(n, .7f, x, step);
                for (int i = 0; i < n; i++)
                    assert_true(x[i * step] == .7f * got[i]);
                fill_cpu(n, 2.5f, y, step);
                for (size_t i = 0; i < all; i++) {
                    int filled = i % (size_t)step == 0 && i / (size_t)step < (size_t)n;
                    assert_true(filled == (y[i] == 2.5f));
                }
                free(x), free(y), free(got);
            }
    }
}

static void test_biases(void **unused) {
    (void)unused;
    int shapes[][3] = {{1, 1, 1}, {5, 3, 7}, {5, 7, 3001}, {1, 2, 90000}};
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            int batch = shapes[s][0], n = shapes[s][1], size = shapes[s][2], rows = batch * n;
            size_t all = (size_t)rows * (size_t)size;
            float *x = random_floats(all), *b = random_floats((size_t)n), *got = copy_floats(x, all);
            float *sums = copy_floats(b, (size_t)n);
            add_bias(got, b, batch, n, size);
            for (size_t i = 0; i < all; i++)
                assert_true(got[i] == x[i] + b[i / (size_t)size % (size_t)n]);
            memcpy(got, x, all * sizeof *got);
            scale_bias(got, b, batch, n, size);
            for (size_t i = 0; i < all; i++)
                assert_true(got[i] == x[i] * b[i / (size_t)size % (size_t)n]);
            backward_bias(sums, x, batch, n, size);
            for (int f = 0; f < n; f++) {
                double want = b[f], length = fabs(b[f]);
                for (size_t i = 0; i < all; i++)
                    if ((int)(i / (size_t)size) % n == f) want += x[i], length += fabs(x[i]);
                assert_true(fabs(sums[f] - want) <= 30 * FLT_EPSILON * length);
            }
            free(x), free(b), free(got), free(sums);
        }
    }
}

static void check_upsample(int batch, int c, int h, int w, int stride) {
    size_t small = (size_t)(batch * c * h * w), large = small * (size_t)(stride * stride);
    float *in = random_floats(small), *out = random_floats(large), *sent = random_floats(large);
    float *back = copy_floats(in, small);
    double *want = calloc(small, sizeof *want);
    upsample_cpu(in, w, h, c, batch, stride, 1, .75f, out);
    upsample_cpu(back, w, h, c, batch, stride, 0, .75f, sent);
    for (size_t i = 0; i < large; i++) {
        size_t x = i % (size_t)(w * stride), y = i / (size_t)(w * stride) % (size_t)(h * stride);
        size_t k = i / (size_t)(w * stride) / (size_t)(h * stride);
        size_t from = (k * (size_t)h + y / (size_t)stride) * (size_t)w + x / (size_t)stride;
        assert_true(out[i] == .75f * in[from]);
        want[from] += .75 * (double)sent[i];
    }
    for (size_t i = 0; i < small; i++)
        assert_true(fabs(back[i] - in[i] - want[i]) <= FLT_EPSILON * stride * stride * (1 + stride * stride));
    free(in), free(out), free(sent), free(back), free(want);
}

static void check_shortcut(int batch, int w1, int h1, int c1, int w2, int h2, int c2) {
    size_t n1 = (size_t)(batch * w1 * h1 * c1), n2 = (size_t)(batch * w2 * h2 * c2);
    float *add = random_floats(n1), *out = random_floats(n2), *want = copy_floats(out, n2);
    int stride = w1 > w2 ? w1 / w2 : 1, sample = w2 > w1 ? w2 / w1 : 1;
    shortcut_cpu(batch, w1, h1, c1, add, w2, h2, c2, .5f, .25f, out);
    for (int b = 0; b < batch; b++)
        for (int k = 0; k < c1 && k < c2; k++)
            for (int j = 0; j < h1 && j < h2; j++)
                for (int i = 0; i < w1 && i < w2; i++) {
                    size_t o = (size_t)(((b * c2 + k) * h2 + j * sample) * w2 + i * sample);
                    want[o] = .5f * want[o] + .25f * add[((b * c1 + k) * h1 + j * stride) * w1 + i * stride];
                }
    assert_memory_equal(out, want, n2 * sizeof *out); /* products with powers of two are exact */
    free(add), free(out), free(want);
}

static void test_upsample_and_shortcut(void **unused) {
    (void)unused;
    for (int threads = 1; threads <= 3; threads++) {
        vkd_limit_threads(threads);
        check_upsample(1, 1, 1, 1, 2);
        check_upsample(5, 3, 7, 9, 2);
        check_upsample(2, 3, 5, 4, 3);
        check_upsample(5, 8, 33, 31, 2);
        check_shortcut(5, 7, 9, 4, 7, 9, 4);
        check_shortcut(5, 7, 9, 4, 7, 9, 2);
        check_shortcut(1, 8, 6, 3, 4, 3, 5);
        check_shortcut(3, 4, 3, 5, 8, 6, 3);
        check_shortcut(5, 61, 50, 6, 61, 50, 6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maxpool),
        cmocka_unit_test(test_maxpool_of_nan),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_biases),
        cmocka_unit_test(test_upsample_and_shortcut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
