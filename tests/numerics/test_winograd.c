#include "support.h"

#include "numerics/parallel.h"
#include "numerics/winograd.h"

#include <stdbool.h>

typedef struct shape {
    int c, n, h, w, batch;
} shape;

// One pixel, less than a tile, whole tiles and parts of them, blocks that end within an image, many channels;
// mosaics (sides of 4 i + 1) that are one image wide or high, complete or not; and weights so many that they
// are transformed where they are used, for one block and for several.
static const shape shapes[] = {
    {1, 1, 1, 1, 1},    {2, 3, 1, 5, 2},     {3, 2, 2, 3, 1},    {5, 4, 7, 9, 3},     {16, 16, 13, 13, 5},
    {8, 24, 40, 37, 2}, {130, 128, 6, 7, 3}, {20, 70, 26, 5, 1}, {3, 9, 5, 6, 3},     {3, 9, 6, 9, 5},
    {4, 5, 17, 13, 4},  {3, 2, 9, 900, 1},   {2, 3, 30, 1, 70},  {300, 450, 5, 5, 9}, {450, 300, 1, 1, 900}};

typedef struct work {
    vkd_convolution s;
    size_t in, out;
    float *weights, *bias, *x, *y, *workspace;
} work;

// A workspace of its exact size, which the address sanitizer checks. Nothing of it may be read before it is
// written.
static void room(work *k, size_t size) {
    free(k->workspace);
    k->workspace = floats(size);
    for (size_t i = 0; i < size; ++i)
        k->workspace[i] = NAN;
}

static work make(shape t, int threads) {
    work k = {.s = {t.c, t.h, t.w, t.n, 3, 1, 1, threads}};
    k.in = (size_t)t.batch * (size_t)t.c * (size_t)t.h * (size_t)t.w;
    k.out = (size_t)t.batch * (size_t)t.n * (size_t)t.h * (size_t)t.w;
    k.weights = normal_floats((size_t)t.n * (size_t)t.c * 9, 1);
    k.bias = normal_floats((size_t)t.n, 2);
    k.x = normal_floats(k.in, 3);
    k.y = normal_floats(k.out, 4); // =, not +=
    room(&k, vkd_winograd_forward_workspace(&k.s));
    return k;
}

static void drop(work *k) {
    free(k->weights);
    free(k->bias);
    free(k->x);
    free(k->y);
    free(k->workspace);
}

// The plain sum in float64, and the sum of its terms' magnitudes.
static double plain(const work *k, int image, int n, int y, int x, double *magnitude) {
    const vkd_convolution *s = &k->s;
    double sum = 0;
    *magnitude = 0;
    for (int c = 0; c < s->c; ++c)
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
                const int v = y + i - 1, u = x + j - 1;
                if (v < 0 || v >= s->h || u < 0 || u >= s->w) continue;
                const double term = (double)k->weights[((n * s->c + c) * 3 + i) * 3 + j] *
                                    k->x[((image * s->c + c) * s->h + v) * s->w + u];
                sum += term;
                *magnitude += fabs(term);
            }
    return sum;
}

static void check_forward(shape t, vkd_epilogue epilogue, bool with_bias) {
    work k = make(t, vkd_threads());
    assert_ok(vkd_winograd_forward(&k.s, k.weights, k.x, t.batch, k.y,
                                   &(vkd_ending){.bias = with_bias ? k.bias : NULL, .epilogue = epilogue},
                                   k.workspace));
    double error = 0, scale = 0;
    for (int b = 0; b < t.batch; ++b)
        for (int n = 0; n < t.n; ++n)
            for (int y = 0; y < t.h; ++y)
                for (int x = 0; x < t.w; ++x) {
                    double magnitude, want = plain(&k, b, n, y, x, &magnitude);
                    if (with_bias) want += k.bias[n];
                    if (epilogue == VKD_EPILOGUE_LEAKY && want < 0) want *= 0.1f;
                    const double e = k.y[((b * t.n + n) * t.h + y) * t.w + x] - want;
                    error += e * e;
                    scale += magnitude * magnitude;
                }
    // Against the size of what is added up, as for a plain product.
    assert_below(sqrt(error / scale) / EPS32, 8);
    drop(&k);
}

static void forward(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i) {
        check_forward(shapes[i], VKD_EPILOGUE_LINEAR, false);
        check_forward(shapes[i], VKD_EPILOGUE_LEAKY, true);
    }
}

// <conv x, dy> = <x, adjoint dy>, and += what was there.
static void adjoint(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i) {
        shape t = shapes[i];
        work k = make(t, vkd_threads());
        float *dy = normal_floats(k.out, 5), *dx = normal_floats(k.in, 6), *before = copy_floats(dx, k.in);
        assert_ok(vkd_winograd_forward(&k.s, k.weights, k.x, t.batch, k.y, &(vkd_ending){0}, k.workspace));
        room(&k, vkd_winograd_adjoint_workspace(&k.s));
        assert_ok(vkd_winograd_adjoint(&k.s, k.weights, dy, t.batch, dx, k.workspace));
        double there = dot_floats(k.y, dy, k.out), back = 0, size = 0;
        for (size_t j = 0; j < k.in; ++j) {
            back += (double)k.x[j] * ((double)dx[j] - before[j]);
            size += fabs((double)dx[j] * k.x[j]);
        }
        const double scale = norm_floats(k.y, k.out) * norm_floats(dy, k.out) + size;
        assert_below(fabs(there - back) / (scale * EPS32), 30);
        free(dy);
        free(dx);
        free(before);
        drop(&k);
    }
}

// The plain sums in float64, and += what was there.
static void gradient(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i) {
        const shape t = shapes[i];
        work k = make(t, vkd_threads());
        const size_t filters = (size_t)t.n * (size_t)t.c * 9;
        float *dy = k.y, *dw = normal_floats(filters, 5), *before = copy_floats(dw, filters);
        double *sum = doubles(filters), *size = doubles(filters), error = 0, scale = 0;
        room(&k, vkd_winograd_gradient_workspace(&k.s));
        assert_ok(vkd_winograd_gradient(&k.s, k.x, dy, t.batch, dw, k.workspace));
        for (int b = 0; b < t.batch; ++b)
            for (int y = 0; y < t.h; ++y)
                for (int x = 0; x < t.w; ++x)
                    for (int v = 0; v < 9; ++v) {
                        const int from = y + v / 3 - 1, at = x + v % 3 - 1;
                        if (from < 0 || from >= t.h || at < 0 || at >= t.w) continue;
                        for (int n = 0; n < t.n; ++n)
                            for (int c = 0; c < t.c; ++c) {
                                const double term = (double)dy[((b * t.n + n) * t.h + y) * t.w + x] *
                                                    k.x[((b * t.c + c) * t.h + from) * t.w + at];
                                sum[(n * t.c + c) * 9 + v] += term;
                                size[(n * t.c + c) * 9 + v] += fabs(term);
                            }
                    }
        for (size_t j = 0; j < filters; ++j) {
            error += pow((double)dw[j] - before[j] - sum[j], 2);
            scale += pow(size[j] + fabs(before[j]), 2);
        }
        assert_below(sqrt(error / scale) / EPS32, 8);
        free(dw);
        free(before);
        free(sum);
        free(size);
        drop(&k);
    }
}

static void same_for_every_number_of_threads(void **state) {
    (void)state;
    const shape of[] = {
        {40, 30, 33, 21, 3}, {40, 130, 13, 13, 3}, {300, 450, 13, 13, 5}, {300, 450, 9, 190, 2}};
    for (size_t i = 0; i < COUNT(of); ++i) {
        const shape t = of[i];
        float *first = NULL, *first_dw = NULL;
        for (int threads = 1; threads <= 4; ++threads) {
            work k = make(t, threads);
            assert_ok(vkd_winograd_forward(&k.s, k.weights, k.x, t.batch, k.y,
                                           &(vkd_ending){.bias = k.bias, .epilogue = VKD_EPILOGUE_LEAKY},
                                           k.workspace));
            if (first) assert_memory_equal(first, k.y, k.out * sizeof *first);
            if (!first) first = copy_floats(k.y, k.out);
            const size_t filters = (size_t)t.n * (size_t)t.c * 9;
            float *dw = floats(filters);
            room(&k, vkd_winograd_gradient_workspace(&k.s));
            assert_ok(vkd_winograd_gradient(&k.s, k.x, k.y, t.batch, dw, k.workspace));
            if (first_dw) assert_memory_equal(first_dw, dw, filters * sizeof *dw);
            if (!first_dw) first_dw = copy_floats(dw, filters);
            free(dw);
            drop(&k);
        }
        free(first);
        free(first_dw);
    }
}

static void a_nan_is_not_hidden(void **state) {
    (void)state;
    work k = make((shape){3, 2, 9, 9, 1}, 1);
    k.x[9 * 9 + 4 * 9 + 4] = NAN; // channel 1, the middle
    assert_ok(vkd_winograd_forward(&k.s, k.weights, k.x, 1, k.y,
                                   &(vkd_ending){.bias = k.bias, .epilogue = VKD_EPILOGUE_LEAKY},
                                   k.workspace));
    for (int y = 3; y <= 5; ++y)
        for (int x = 3; x <= 5; ++x)
            assert_true(isnan(k.y[9 * y + x]));
    drop(&k);
}

static bool serves(int c, int n, int side, int size) {
    const vkd_convolution s = {c, side, side, n, size, 1, size / 2, 1};
    return vkd_winograd_serves(&s);
}

static void sizes(void **state) {
    (void)state;
    assert_false(serves(3, 64, 416, 3));
    assert_false(serves(64, 8, 416, 3));
    assert_false(serves(128, 128, 4, 3));
    assert_false(serves(24, 64, 13, 3));
    assert_true(serves(96, 192, 10, 3));
    assert_true(serves(256, 512, 13, 3));
    assert_true(serves(64, 64, 104, 3));
    assert_false(serves(64, 64, 104, 1));
    float x[36] = {0};
    const vkd_convolution bad[] = {{0, 1, 1, 1, 3, 1, 1, 1}, {1, 0, 1, 1, 3, 1, 1, 1},
                                   {1, 1, 0, 1, 3, 1, 1, 1}, {1, 1, 1, 0, 3, 1, 1, 1},
                                   {1, 5, 5, 1, 5, 1, 1, 1}, {1, 5, 5, 1, 3, 2, 1, 1},
                                   {1, 5, 5, 1, 3, 1, 0, 1}, {1, 1, 1, 1, 3, 1, 1, 0}};
    for (size_t i = 0; i < COUNT(bad); ++i)
        assert_int_equal(vkd_winograd_forward(&bad[i], x, x, 1, x, &(vkd_ending){0}, x),
                         VKD_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward),
        cmocka_unit_test(adjoint),
        cmocka_unit_test(gradient),
        cmocka_unit_test(same_for_every_number_of_threads),
        cmocka_unit_test(a_nan_is_not_hidden),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
