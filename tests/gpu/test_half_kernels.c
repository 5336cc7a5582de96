// Half precision in kernels: the CPU's, to the bit.
#include "bench.h"

#include "gpu/half_kernels.h"

#include <float.h>

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

static void into_half(void **state) {
    (void)state;
    const size_t sizes[] = {1, 3, 64, 1000, 4097};
    EACH_LAUNCH(b) for (size_t s = 0; s < COUNT(sizes); ++s) {
        const size_t n = sizes[s];
        float *x = values(n), *x_there = give(&b, x, n);
        vkd_half *y = alloc(n + 1, sizeof *y);
        y[n] = 0x1234; // not its to write
        vkd_half *y_there = keep(&b, on_device(b.device, y, (n + 1) * sizeof *y));
        vkd_gpu_to_half(b.launch, x_there, n, y_there);
        read_device(b.device, y, y_there, (n + 1) * sizeof *y);
        for (size_t i = 0; i < n; ++i)
            assert_int_equal(y[i], vkd_half_of(x[i]));
        assert_int_equal(y[n], 0x1234);
        free(x);
        free(y);
        drop(&b);
    }
}

static void out_of_half(void **state) {
    (void)state;
    const int shapes[][3] = {{1, 1, 1}, {2, 3, 5}, {3, 1, 40}, {1, 9, 1}, {4, 6, 33}};
    EACH_LAUNCH(b) for (size_t s = 0; s < 2 * COUNT(shapes); ++s) {
        const int batch = shapes[s / 2][0], channels = shapes[s / 2][1], locations = shapes[s / 2][2];
        const size_t n = (size_t)batch * channels * locations;
        const bool leaky = s % 2;
        float *from = values(n), *bias = normal_floats((size_t)channels, 4), *y = floats(n + 1);
        vkd_half *x = alloc(n, sizeof *x);
        for (size_t i = 0; i < n; ++i)
            x[i] = vkd_half_of(from[i]);
        y[n] = 77;
        vkd_half *x_there = keep(&b, on_device(b.device, x, n * sizeof *x));
        float *bias_there = give(&b, bias, (size_t)channels), *y_there = give(&b, y, n + 1);
        vkd_gpu_from_half(b.launch, x_there, bias_there, batch, channels, locations, leaky, y_there);
        read_device(b.device, y, y_there, (n + 1) * sizeof *y);
        for (size_t i = 0; i < n; ++i) {
            float sum = vkd_float_of(x[i]) + bias[i / (size_t)locations % (size_t)channels];
            float expected = leaky && sum < 0 ? 0.1f * sum : sum;
            assert_true(y[i] == expected || (y[i] != y[i] && expected != expected));
        }
        assert_true(y[n] == 77);
        free(from);
        free(bias);
        free(x);
        free(y);
        drop(&b);
    }
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(into_half),
        cmocka_unit_test(out_of_half),
    };
    return cmocka_run_group_tests_name("half_kernels", tests, NULL, NULL);
}
