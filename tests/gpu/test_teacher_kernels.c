// What a frozen teacher's layers do beside their products: the CPU's values, and halves to the bit. By four
// values at once and one by one, which the sizes and where arrays begin decide.
#include "bench.h"

#include "gpu/teacher_kernels.h"

#include <float.h>

enum { MOST_START = 4, GUARD = 4 };

// Where arrays begin, in values behind a multiple of 16 bytes: together and apart.
static const int starts[][3] = {{0, 0, 0}, {1, 0, 0}, {0, 2, 0}, {0, 0, 3}, {1, 2, 3}, {4, 4, 4}};

// An array of the device that begins so far behind a multiple of 16 bytes, and what lies around it.
typedef struct array {
    unsigned char *there;
    size_t bytes, start, size;
} array;

static void *at(const array *a) {
    return a->there + a->start * a->size;
}

// from: (n) values of `size` bytes, or NULL for what is yet to be written.
static array place(bench *b, const void *from, size_t n, size_t size, int start) {
    array a = {.bytes = (MOST_START + n + GUARD) * size, .start = (size_t)start, .size = size};
    unsigned char *all = alloc(a.bytes, 1);
    memset(all, 0x5a, a.bytes);
    if (from) memcpy(all + a.start * size, from, n * size);
    a.there = keep(b, on_device(b->device, all, a.bytes));
    free(all);
    return a;
}

// The n values into `to`; around them nothing has changed.
static void fetch(const bench *b, const array *a, void *to, size_t n) {
    unsigned char *all = alloc(a->bytes, 1);
    const size_t first = a->start * a->size, end = first + n * a->size;
    read_device(b->device, all, a->there, a->bytes);
    for (size_t i = 0; i < a->bytes; ++i)
        if (i < first || i >= end) assert_int_equal(all[i], 0x5a);
    memcpy(to, all + first, n * a->size);
    free(all);
}

// Of all sizes, and the ones at the edges.
static float *values(size_t n) {
    static const float special[] = {0,        -0.0f,    65504,     65519.996f,  65520,   FLT_MAX,
                                    INFINITY, NAN,      -65520,    -INFINITY,   2049,    2051,
                                    0x1p-24f, 0x1p-25f, 0x1p-126f, -0x1.8p-25f, 0x1p-14f};
    float *x = normal_floats(n, 3);
    for (size_t i = 0; i < n; ++i)
        x[i] = i % 7 ? ldexpf(x[i], (int)(i % 43) - 27) : special[i / 7 % COUNT(special)];
    return x;
}

static bool is_nan(vkd_half h) {
    return (h & 0x7fff) > 0x7c00;
}

static void check_into_half(bench *b, const float *x, size_t n, const int *start) {
    array x_there = place(b, x, n, sizeof *x, start[0]), y_there = place(b, NULL, n, 2, start[1]);
    vkd_half *y = alloc(n, sizeof *y);
    vkd_gpu_to_half(b->launch, at(&x_there), n, at(&y_there));
    fetch(b, &y_there, y, n);
    for (size_t i = 0; i < n; ++i) {
        const vkd_half expected = vkd_half_of(x[i]);
        if (y[i] != expected && !(is_nan(y[i]) && is_nan(expected)))
            fail_msg("%a: found %04x, expected %04x", x[i], y[i], expected);
    }
    free(y);
    drop(b);
}

static void into_half(void **state) {
    (void)state;
    const size_t sizes[] = {1, 3, 4, 64, 1000, 4097};
    EACH_LAUNCH(b) for (size_t s = 0; s < COUNT(sizes); ++s) {
        float *x = values(sizes[s]);
        for (size_t t = 0; t < COUNT(starts); ++t)
            check_into_half(&b, x, sizes[s], starts[t]);
        free(x);
    }
}

// Every half, the middle between it and the next one, and what is next to the middle.
static void to_the_nearest(void **state) {
    (void)state;
    enum { halves = 0x10000 };
    float *x = floats(4 * halves);
    for (int h = 0; h < halves; ++h) {
        const float low = vkd_float_of((vkd_half)h),
                    high = (h & 0x7fff) == 0x7bff ? copysignf(65536, low) : vkd_float_of((vkd_half)(h + 1));
        float *of_h = x + 4 * h;
        of_h[0] = low;
        of_h[1] = low + (high - low) / 2;
        of_h[2] = nextafterf(of_h[1], low);
        of_h[3] = nextafterf(of_h[1], high);
    }
    EACH_LAUNCH(b) {
        check_into_half(&b, x, 4 * halves, starts[0]);
        check_into_half(&b, x, 4 * halves, starts[4]);
    }
    free(x);
}

// A GPU rounds a product and a sum as one.
static void assert_rounded(float found, float expected, float size) {
    if (found == expected || (found != found && expected != expected)) return;
    assert_below(fabsf(found - expected), EPS32 * size);
}

typedef struct shape {
    int batch, channels, locations;
} shape;

// Planes of less than four values, images of no multiple of four, and of one.
static const shape shapes[] = {{1, 1, 1}, {2, 3, 5},  {3, 1, 40}, {1, 9, 1}, {4, 6, 33},
                               {2, 8, 1}, {3, 12, 3}, {1, 6, 2},  {2, 4, 9}, {2, 5, 16}};

static float *twin(shape s, const float *sums, const float *bias, const float *residual, bool leaky) {
    const size_t plane = (size_t)s.locations, n = (size_t)s.batch * (size_t)s.channels * plane;
    float *y = floats(n);
    for (size_t i = 0; i < n; ++i) {
        const float v = sums[i] + bias[i / plane % (size_t)s.channels];
        y[i] = leaky && v < 0 ? 0.1f * v : v;
        if (residual) y[i] += residual[i];
    }
    return y;
}

// way: bit 0 leaky, bit 1 a residual, bit 2 from halves, bit 3 in place.
static void check_ending(bench *b, shape s, int way, const int *start) {
    const size_t n = (size_t)s.batch * (size_t)s.channels * (size_t)s.locations;
    const bool leaky = way & 1, of_half = way & 4, in_place = way & 8;
    float *sums = values(n), *bias = normal_floats((size_t)s.channels, 4);
    float *residual = way & 2 ? normal_floats(n, 5) : NULL, *y = floats(n);
    vkd_half *halves = alloc(n, sizeof *halves);
    for (size_t i = 0; i < n && of_half; ++i) {
        halves[i] = vkd_half_of(sums[i]);
        sums[i] = vkd_float_of(halves[i]);
    }
    float *expected = twin(s, sums, bias, residual, leaky), *bias_there = give(b, bias, (size_t)s.channels);
    array sums_there = of_half ? place(b, halves, n, 2, start[0]) : place(b, sums, n, 4, start[0]);
    array residual_there = place(b, residual, n, 4, start[1]);
    array y_there = in_place ? sums_there : place(b, NULL, n, 4, start[2]);
    const float *added = residual ? at(&residual_there) : NULL;
    if (of_half)
        vkd_gpu_ending_of_half(b->launch, at(&sums_there), bias_there, added, s.batch, s.channels,
                               s.locations, leaky, at(&y_there));
    else
        vkd_gpu_ending(b->launch, at(&sums_there), bias_there, added, s.batch, s.channels, s.locations, leaky,
                       at(&y_there));
    fetch(b, &y_there, y, n);
    for (size_t i = 0; i < n; ++i)
        assert_rounded(y[i], expected[i], residual ? fabsf(expected[i]) + fabsf(residual[i]) : 0);
    free(sums);
    free(bias);
    free(residual);
    free(y);
    free(halves);
    free(expected);
    drop(b);
}

static void endings(const int *ways, size_t count) {
    EACH_LAUNCH(b)
    for (size_t s = 0; s < COUNT(shapes); ++s)
        for (size_t w = 0; w < count; ++w)
            for (size_t t = 0; t < COUNT(starts); ++t)
                check_ending(&b, shapes[s], ways[w], starts[t]);
}

static void convolutions_end(void **state) {
    (void)state;
    static const int ways[] = {0, 1, 2, 3, 8, 9, 10, 11};
    endings(ways, COUNT(ways));
}

static void convolutions_in_half_end(void **state) {
    (void)state;
    static const int ways[] = {4, 5, 6, 7};
    endings(ways, COUNT(ways));
}

// Infinite and subnormal ones among them.
static void out_of_every_half(void **state) {
    (void)state;
    enum { halves = 0x10000 };
    vkd_half *x = alloc(halves, sizeof *x);
    float *y = floats(halves);
    const float none[4] = {0};
    for (int h = 0; h < halves; ++h)
        x[h] = (vkd_half)h;
    EACH_LAUNCH(b) for (int start = 0; start < 2; ++start) {
        array x_there = place(&b, x, halves, sizeof *x, start), y_there = place(&b, NULL, halves, 4, 0);
        vkd_gpu_ending_of_half(b.launch, at(&x_there), give(&b, none, 4), NULL, 1, 4, halves / 4, false,
                               at(&y_there));
        fetch(&b, &y_there, y, halves);
        for (int h = 0; h < halves; ++h)
            assert_rounded(y[h], vkd_float_of(x[h]), 0);
        drop(&b);
    }
    free(x);
    free(y);
}

static void weighted_sums(void **state) {
    (void)state;
    const size_t sizes[] = {1, 2, 4, 15, 64, 1000};
    const float a = 0.75f, c = -1.3f;
    EACH_LAUNCH(b) for (size_t s = 0; s < COUNT(sizes); ++s) {
        const size_t n = sizes[s];
        float *x = normal_floats(n, 6), *y = normal_floats(n, 7), *sum = floats(n);
        for (size_t t = 0; t < COUNT(starts); ++t) {
            array x_there = place(&b, x, n, 4, starts[t][0]), y_there = place(&b, y, n, 4, starts[t][1]),
                  sum_there = place(&b, NULL, n, 4, starts[t][2]);
            vkd_gpu_weighted_sum(b.launch, a, at(&x_there), c, at(&y_there), n, at(&sum_there));
            fetch(&b, &sum_there, sum, n);
            for (size_t i = 0; i < n; ++i)
                assert_rounded(sum[i], a * x[i] + c * y[i], fabsf(a * x[i]) + fabsf(c * y[i]));
            // A layer may be its own other.
            vkd_gpu_weighted_sum(b.launch, 1, at(&x_there), 1, at(&x_there), n, at(&sum_there));
            fetch(&b, &sum_there, sum, n);
            for (size_t i = 0; i < n; ++i)
                assert_rounded(sum[i], 2 * x[i], 0);
            drop(&b);
        }
        free(x);
        free(y);
        free(sum);
    }
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(into_half),         cmocka_unit_test(to_the_nearest),
        cmocka_unit_test(convolutions_end),  cmocka_unit_test(convolutions_in_half_end),
        cmocka_unit_test(out_of_every_half), cmocka_unit_test(weighted_sums),
    };
    return cmocka_run_group_tests_name("teacher_kernels", tests, NULL, NULL);
}
