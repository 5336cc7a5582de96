#include "support.h"

#include "numerics/convolution.h"
#include "numerics/direct.h"
#include "numerics/parallel.h"
#include "numerics/winograd.h"

#include <limits.h>

typedef struct shape {
    int c, h, w, n, size, stride, pad, batch;
} shape;

// One pixel; widths about a vector and a tile; every number of vectors that may be left over; strides and
// borders that reach beyond the image, even sizes; more than one panel of filters; several blocks an image,
// and several images a group.
static const shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 0, 1},     {2, 1, 5, 3, 3, 1, 1, 2},     {3, 2, 3, 2, 3, 1, 1, 1},
    {5, 7, 9, 4, 3, 1, 1, 3},     {3, 16, 16, 8, 3, 1, 1, 2},   {2, 9, 47, 9, 3, 1, 1, 2},
    {2, 5, 48, 16, 3, 1, 1, 1},   {4, 40, 37, 17, 3, 1, 1, 2},  {3, 11, 13, 5, 3, 2, 1, 2},
    {3, 12, 12, 9, 3, 2, 1, 3},   {2, 20, 17, 7, 5, 3, 2, 2},   {3, 9, 8, 3, 4, 2, 0, 2},
    {2, 8, 7, 3, 5, 1, 4, 1},     {6, 13, 13, 11, 1, 1, 0, 5},  {3, 7, 7, 4, 1, 2, 0, 2},
    {2, 3, 3, 2, 7, 2, 3, 2},     {40, 60, 61, 10, 3, 1, 1, 1}, {64, 10, 10, 33, 3, 1, 1, 9},
    {3, 200, 190, 8, 3, 2, 1, 1},
};

typedef struct work {
    shape t;
    vkd_convolution s;
    int out_h, out_w;
    size_t in, out, filters;
    float *weights, *bias, *x, *y, *workspace;
} work;

static work make(shape t, int threads) {
    work k = {.t = t, .s = {t.c, t.h, t.w, t.n, t.size, t.stride, t.pad, threads}};
    k.out_h = (t.h + 2 * t.pad - t.size) / t.stride + 1;
    k.out_w = (t.w + 2 * t.pad - t.size) / t.stride + 1;
    k.in = (size_t)t.batch * (size_t)t.c * (size_t)t.h * (size_t)t.w;
    k.out = (size_t)t.batch * (size_t)t.n * (size_t)k.out_h * (size_t)k.out_w;
    k.filters = (size_t)t.n * (size_t)t.c * (size_t)(t.size * t.size);
    k.weights = normal_floats(k.filters, 1);
    k.bias = normal_floats((size_t)t.n, 2);
    k.x = normal_floats(k.in, 3);
    k.y = normal_floats(k.out, 4); // =, not +=
    assert_true(vkd_direct_serves(&k.s));
    return k;
}

// A workspace of its exact size, which the address sanitizer checks. Nothing of it may be read before it is
// written.
static float *room(work *k, size_t size) {
    free(k->workspace);
    k->workspace = floats(size);
    for (size_t i = 0; i < size; ++i)
        k->workspace[i] = NAN;
    return k->workspace;
}

static vkd_status run_forward(work *k, const float *bias, float *y, vkd_epilogue epilogue) {
    return vkd_direct_forward(&k->s, k->weights, k->x, k->t.batch, y,
                              &(vkd_ending){.bias = bias, .epilogue = epilogue},
                              room(k, vkd_direct_forward_workspace(&k->s)));
}

// Of dy = y.
static vkd_status run_adjoint(work *k, float *dx) {
    const size_t size = k->t.stride == 1 ? vkd_direct_adjoint_workspace(&k->s) : 1;
    return vkd_direct_adjoint(&k->s, k->weights, k->y, k->t.batch, dx, room(k, size));
}

static vkd_status run_gradient(work *k, float *dw) {
    return vkd_direct_gradient(&k->s, k->x, k->y, k->t.batch, dw,
                               room(k, vkd_direct_gradient_workspace(&k->s)));
}

static void drop(work *k) {
    free(k->weights);
    free(k->bias);
    free(k->x);
    free(k->y);
    free(k->workspace);
}

// For every product of weight (n,c,i,j) and pixel that meets output `at`: y[at] += weights[a] * x[b] and its
// like.
typedef void (*visit)(void *data, size_t weight, size_t in, size_t out);

static void each(const work *k, visit f, void *data) {
    const shape *t = &k->t;
    for (int b = 0; b < t->batch; ++b)
        for (int n = 0; n < t->n; ++n)
            for (int y = 0; y < k->out_h; ++y)
                for (int x = 0; x < k->out_w; ++x)
                    for (int c = 0; c < t->c; ++c)
                        for (int i = 0; i < t->size; ++i)
                            for (int j = 0; j < t->size; ++j) {
                                const int v = y * t->stride + i - t->pad, u = x * t->stride + j - t->pad;
                                if (v < 0 || v >= t->h || u < 0 || u >= t->w) continue;
                                f(data, (size_t)(((n * t->c + c) * t->size + i) * t->size + j),
                                  (size_t)(((b * t->c + c) * t->h + v) * t->w + u),
                                  (size_t)(((b * t->n + n) * k->out_h + y) * k->out_w + x));
                            }
}

// Sums in float64, and of the terms' magnitudes.
typedef struct sums {
    const float *a, *b;
    double *sum, *size;
} sums;

static void add(sums *s, size_t a, size_t b, size_t to) {
    const double term = (double)s->a[a] * s->b[b];
    s->sum[to] += term;
    s->size[to] += fabs(term);
}

static void add_output(void *data, size_t weight, size_t in, size_t out) {
    add(data, weight, in, out);
}

static void add_input(void *data, size_t weight, size_t in, size_t out) {
    add(data, weight, out, in);
}

static void add_weight(void *data, size_t weight, size_t in, size_t out) {
    add(data, in, out, weight);
}

// got - start against the sums: a plain sum's rounding.
static void check(const float *got, const float *start, const sums *s, size_t n, const shape *t) {
    double error = 0, scale = 0;
    for (size_t i = 0; i < n; ++i) {
        const double was = start ? start[i] : 0, e = got[i] - was - s->sum[i];
        error += e * e;
        scale += pow(s->size[i] + fabs(was), 2);
    }
    if (!(sqrt(error / (scale + 1e-30)) < 2 * EPS32))
        print_message("c %d, %d x %d, n %d, size %d, stride %d, pad %d\n", t->c, t->h, t->w, t->n, t->size,
                      t->stride, t->pad);
    assert_below(sqrt(error / (scale + 1e-30)) / EPS32, 2);
}

static void forward(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i)
        for (int leaky = 0; leaky < 2; ++leaky) {
            work k = make(shapes[i], vkd_threads());
            sums s = {k.weights, k.x, doubles(k.out), doubles(k.out)};
            each(&k, add_output, &s);
            const size_t plane = (size_t)k.out_h * (size_t)k.out_w;
            for (size_t j = 0; j < k.out && leaky; ++j) {
                s.sum[j] += k.bias[j / plane % (size_t)k.t.n];
                if (s.sum[j] < 0) s.sum[j] *= 0.1f;
            }
            assert_ok(run_forward(&k, leaky ? k.bias : NULL, k.y,
                                  leaky ? VKD_EPILOGUE_LEAKY : VKD_EPILOGUE_LINEAR));
            check(k.y, NULL, &s, k.out, &k.t);
            free(s.sum);
            free(s.size);
            drop(&k);
        }
}

static void adjoint(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i) {
        work k = make(shapes[i], vkd_threads());
        float *dx = normal_floats(k.in, 5), *start = copy_floats(dx, k.in);
        sums s = {k.weights, k.y, doubles(k.in), doubles(k.in)};
        each(&k, add_input, &s);
        const vkd_status status = run_adjoint(&k, dx);
        assert_int_equal(status, k.t.stride == 1 ? VKD_OK : VKD_INVALID_ARGUMENT);
        if (status == VKD_OK) check(dx, start, &s, k.in, &k.t);
        free(s.sum);
        free(s.size);
        free(dx);
        free(start);
        drop(&k);
    }
}

static void gradient(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); ++i)
        for (int threads = 1; threads <= 3; ++threads) {
            work k = make(shapes[i], threads);
            float *dw = normal_floats(k.filters, 5), *start = copy_floats(dw, k.filters);
            sums s = {k.x, k.y, doubles(k.filters), doubles(k.filters)};
            each(&k, add_weight, &s);
            assert_ok(run_gradient(&k, dw));
            check(dw, start, &s, k.filters, &k.t);
            free(s.sum);
            free(s.size);
            free(dw);
            free(start);
            drop(&k);
        }
}

// Forward and adjoint for every number of threads, the gradient for the same one.
static void same_bits(void **state) {
    (void)state;
    const shape t = {20, 33, 21, 30, 3, 1, 1, 3};
    float *y = NULL, *dx = NULL;
    for (int threads = 1; threads <= 4; ++threads) {
        work k = make(t, threads);
        float *back = floats(k.in), *dw = floats(k.filters), *again = floats(k.filters);
        assert_ok(run_forward(&k, k.bias, k.y, VKD_EPILOGUE_LEAKY));
        assert_ok(run_adjoint(&k, back));
        assert_ok(run_gradient(&k, dw));
        assert_ok(run_gradient(&k, again));
        assert_memory_equal(dw, again, k.filters * sizeof *dw);
        if (!y) {
            y = copy_floats(k.y, k.out);
            dx = copy_floats(back, k.in);
        }
        assert_memory_equal(y, k.y, k.out * sizeof *y);
        assert_memory_equal(dx, back, k.in * sizeof *dx);
        free(back);
        free(dw);
        free(again);
        drop(&k);
    }
    free(y);
    free(dx);
}

static void a_nan_is_not_hidden(void **state) {
    (void)state;
    work k = make((shape){3, 9, 9, 2, 3, 1, 1, 1}, 1);
    k.x[9 * 9 + 4 * 9 + 4] = NAN; // channel 1, the middle
    assert_ok(run_forward(&k, k.bias, k.y, VKD_EPILOGUE_LEAKY));
    for (int y = 0; y < 9; ++y)
        for (int x = 0; x < 9; ++x)
            assert_true(!isnan(k.y[9 * y + x]) == !(y >= 3 && y <= 5 && x >= 3 && x <= 5));
    drop(&k);
}

// direct.h, "Numbers that are not finite": an infinite pixel in a corner, which five of nine weights of its
// channel do not meet, spares the channel behind it.
static void gradient_of_an_infinite_pixel(void **state) {
    (void)state;
    work k = make((shape){3, 9, 9, 2, 3, 1, 1, 1}, 1);
    k.x[9 * 9] = INFINITY; // channel 1
    float *dw = floats(k.filters);
    sums s = {k.x, k.y, doubles(k.filters), doubles(k.filters)};
    each(&k, add_weight, &s);
    assert_ok(run_gradient(&k, dw));
    for (size_t i = 0; i < k.filters; ++i) {
        if (!isfinite(s.sum[i])) assert_false(isfinite(dw[i]));
        if (i / 9 % 3 == 2) assert_true(isfinite(dw[i]));
    }
    free(s.sum);
    free(s.size);
    free(dw);
    drop(&k);
}

// One padded pixel more, and it could not be numbered.
static void shapes_beyond_int(void **state) {
    (void)state;
    const vkd_convolution direct[] = {
        {1 << 20, 64, 64, 1, 64, 1, 1, 1},     // weights of a filter
        {1, 64, 64, 1 << 20, 64, 1, 1, 1},     // of the adjoint's
        {200, 60000, 60000, 1, 3000, 1, 1, 1}, // a sheet
        {1, INT_MAX - 1, 5, 1, 3, 1, 1, 1},    // a padded column
        {1, 5, INT_MAX - 1, 1, 3, 1, 1, 1},    // a padded row
        {1, 5, 5, 1, INT_MAX, 1, INT_MAX / 2, 1},
    };
    for (size_t i = 0; i < COUNT(direct); ++i) {
        assert_false(vkd_direct_serves(&direct[i]));
        assert_int_equal(vkd_convolution_workspace(&direct[i]), 0);
    }
    const vkd_convolution winograd[] = {{1 << 26, 32, 32, 32, 3, 1, 1, 1},
                                        {32, 32, 32, 1 << 26, 3, 1, 1, 1},
                                        {32, 32, 1 << 26, 32, 3, 1, 1, 1},
                                        {32, INT_MAX - 1, 32, 32, 3, 1, 1, 1}};
    for (size_t i = 0; i < COUNT(winograd); ++i)
        assert_int_equal(vkd_winograd_serves(&winograd[i]), 0);
    float x[64] = {0};
    const vkd_convolution one = {1, 1, 1, 1, 3, 1, 1, 1}; // batches
    assert_int_equal(vkd_direct_forward(&one, x, x, INT_MAX, x, &(vkd_ending){0}, x), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_winograd_forward(&one, x, x, INT_MAX, x, &(vkd_ending){0}, x), VKD_INVALID_ARGUMENT);
}

// By either method: the mean and the squares of each row of y.
static void moments_of_the_rows(void **state) {
    (void)state;
    const shape some[] = {
        {3, 16, 18, 9, 3, 1, 1, 2}, {3, 11, 13, 5, 3, 2, 1, 3}, {32, 20, 24, 32, 3, 1, 1, 2}};
    for (size_t i = 0; i < COUNT(some); ++i) {
        work k = make(some[i], 2);
        assert_int_equal(vkd_winograd_serves(&k.s), i == 2);
        const int rows = some[i].batch * some[i].n * k.out_h;
        float *moments = floats(2 * (size_t)rows);
        for (int r = 0; r < 2 * rows; ++r)
            moments[r] = NAN;
        assert_true(vkd_convolution_forward(&k.s, k.weights, k.x, some[i].batch, k.y,
                                            &(vkd_ending){.moments = moments},
                                            room(&k, vkd_convolution_workspace(&k.s))));
        for (int r = 0; r < rows; ++r) {
            const float *row = k.y + r * k.out_w;
            double mean = 0, square = 0;
            for (int x = 0; x < k.out_w; ++x)
                mean += row[x] / (double)k.out_w;
            for (int x = 0; x < k.out_w; ++x)
                square += (row[x] - mean) * (row[x] - mean);
            assert_below(fabs(moments[2 * r] - mean), 8 * EPS32 * sqrt(square));
            assert_below(fabs(moments[2 * r + 1] - square), 8 * EPS32 * square);
        }
        free(moments);
        drop(&k);
    }
}

// A frozen network's layer needs no room for gradients, and a layer with stride none for the adjoint.
static void workspace_of_the_methods_alone(void **state) {
    (void)state;
    const vkd_convolution few = {16, 40, 40, 16, 3, 1, 1, 64}, strided = {64, 40, 40, 128, 3, 2, 1, 64},
                          product = {512, 26, 26, 1024, 3, 2, 1, 2};
    assert_int_equal(vkd_convolution_forward_workspace(&few), vkd_direct_forward_workspace(&few));
    assert_true(vkd_convolution_forward_workspace(&strided) < vkd_direct_gradient_workspace(&strided));
    assert_int_equal(vkd_convolution_workspace(&strided), vkd_direct_gradient_workspace(&strided));
    // Its 4.7 million weights' gradient is Darknet's own product.
    assert_int_equal(vkd_convolution_workspace(&product), vkd_direct_forward_workspace(&product));
    assert_true(vkd_direct_gradient_workspace(&product) > vkd_direct_forward_workspace(&product));
}

static void fewer_threads_within_a_limit(void **state) {
    (void)state;
    const vkd_convolution all = {64, 40, 40, 128, 3, 2, 1, 1000};
    const size_t limit = (size_t)1 << 26;
    assert_true(vkd_convolution_workspace(&all) > limit);
    vkd_convolution some = vkd_convolution_within(all, limit);
    assert_in_range(some.threads, 2, 999);
    assert_true(vkd_convolution_workspace(&some) <= limit);
    ++some.threads;
    assert_true(vkd_convolution_workspace(&some) > limit);
    assert_int_equal(vkd_convolution_within(all, 1000).c, 0);
    assert_int_equal(vkd_convolution_within(some, (size_t)-1).threads, some.threads);
}

static void rejects(void **state) {
    (void)state;
    const vkd_convolution bad[] = {
        {0, 5, 5, 1, 3, 1, 1, 1},      {1, 0, 5, 1, 3, 1, 1, 1}, {1, 5, 5, 0, 3, 1, 1, 1},
        {1, 5, 5, 1, 0, 1, 0, 1},      {1, 5, 5, 1, 3, 0, 1, 1}, {1, 5, 5, 1, 3, 1, 3, 1},
        {1, 2, 5, 1, 3, 1, 0, 1},      {1, 5, 5, 1, 3, 1, 1, 0}, {1, 5, 5, 1, 3, 1, -1, 1},
        {3, 32, 32, 8, 3, 65536, 1, 1}}; // a regression: planes beyond int
    float x[64] = {0};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        assert_false(vkd_direct_serves(&bad[i]));
        assert_int_equal(vkd_direct_forward(&bad[i], x, x, 1, x, &(vkd_ending){0}, x), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_direct_adjoint(&bad[i], x, x, 1, x, x), VKD_INVALID_ARGUMENT);
        assert_int_equal(vkd_direct_gradient(&bad[i], x, x, 1, x, x), VKD_INVALID_ARGUMENT);
        assert_false(vkd_convolution_forward(&bad[i], x, x, 1, x, &(vkd_ending){0}, x));
        assert_false(vkd_convolution_adjoint(&bad[i], x, x, 1, x, x));
        assert_false(vkd_convolution_gradient(&bad[i], x, x, 1, x, x));
        assert_int_equal(vkd_convolution_workspace(&bad[i]), 0);
    }
}

// By whatever method: added behind the epilogue.
static void residual_is_added(void **state) {
    (void)state;
    const shape of[] = {
        {48, 20, 21, 48, 3, 1, 1, 2}, {130, 13, 13, 130, 3, 1, 1, 5}, {8, 20, 20, 8, 3, 2, 1, 2}};
    for (size_t i = 0; i < COUNT(of); ++i) {
        work k = make(of[i], 2);
        float *own = floats(vkd_convolution_workspace(&k.s)), *residual = normal_floats(k.out, 7),
              *y = floats(k.out);
        vkd_ending ending = {.bias = k.bias, .epilogue = VKD_EPILOGUE_LEAKY};
        assert_true(vkd_convolution_forward(&k.s, k.weights, k.x, of[i].batch, k.y, &ending, own));
        ending.residual = residual;
        assert_true(vkd_convolution_forward(&k.s, k.weights, k.x, of[i].batch, y, &ending, own));
        for (size_t j = 0; j < k.out; ++j)
            assert_true(y[j] == k.y[j] + residual[j]);
        free(own);
        free(residual);
        free(y);
        drop(&k);
    }
}

// Whatever the method: where the choice says it was done, it is what the plain blocks give.
static void methods_agree(void **state) {
    (void)state;
    const shape of[] = {{48, 20, 20, 48, 3, 1, 1, 1}, {128, 13, 13, 130, 3, 1, 1, 1},
                        {16, 20, 20, 32, 3, 1, 1, 2}, {8, 20, 20, 8, 3, 2, 1, 2},
                        {130, 7, 7, 8, 1, 1, 0, 2},   {400, 4, 4, 420, 3, 1, 1, 1}};
    const int done[][3] = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 0, 1}, {1, 1, 1}, {1, 1, 0}};
    for (size_t i = 0; i < COUNT(of); ++i) {
        work k = make(of[i], 2);
        float *own = floats(vkd_convolution_workspace(&k.s)), *y = copy_floats(k.y, k.out),
              *dx = floats(k.in);
        float *want = floats(k.in), *dw = floats(k.filters), *sum = floats(k.filters);
        const int batch = of[i].batch;
        assert_ok(run_forward(&k, k.bias, k.y, VKD_EPILOGUE_LEAKY));
        assert_int_equal(
            vkd_convolution_forward(&k.s, k.weights, k.x, batch, y,
                                    &(vkd_ending){.bias = k.bias, .epilogue = VKD_EPILOGUE_LEAKY}, own),
            done[i][0]);
        assert_int_equal(vkd_convolution_forward_workspace(&k.s) > 0, done[i][0]);
        if (done[i][0]) assert_below(relative_floats(y, k.y, k.out) / EPS32, 40);
        assert_int_equal(vkd_convolution_adjoint(&k.s, k.weights, k.y, batch, dx, own), done[i][1]);
        if (done[i][1]) {
            assert_ok(run_adjoint(&k, want));
            assert_below(relative_floats(dx, want, k.in) / EPS32, 40);
        }
        assert_int_equal(vkd_convolution_gradient(&k.s, k.x, k.y, batch, dw, own), done[i][2]);
        if (done[i][2]) {
            assert_ok(run_gradient(&k, sum));
            assert_below(relative_floats(dw, sum, k.filters) / EPS32, 40);
        }
        float *all[] = {own, y, dx, want, dw, sum};
        for (size_t j = 0; j < COUNT(all); ++j)
            free(all[j]);
        drop(&k);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward),
        cmocka_unit_test(adjoint),
        cmocka_unit_test(gradient),
        cmocka_unit_test(same_bits),
        cmocka_unit_test(rejects),
        cmocka_unit_test(a_nan_is_not_hidden),
        cmocka_unit_test(residual_is_added),
        cmocka_unit_test(methods_agree),
        cmocka_unit_test(gradient_of_an_infinite_pixel),
        cmocka_unit_test(shapes_beyond_int),
        cmocka_unit_test(moments_of_the_rows),
        cmocka_unit_test(workspace_of_the_methods_alone),
        cmocka_unit_test(fewer_threads_within_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
