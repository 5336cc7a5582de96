#include "support.h"

#include "numerics/resample.h"
#include "reference/resample.h"

static void against_torch(void **state) {
    (void)state;
    const struct {
        int h, w;
        const float *want;
    } cases[] = {
        {9, 7, reference_bilinear_9_7},
        {4, 3, reference_bilinear_4_3},
        {12, 8, reference_bilinear_12_8},
        {3, 2, reference_area_3_2},
        {2, 4, reference_area_2_4},
        {1, 1, reference_area_1_1},
        {6, 4, reference_x},
    };
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const int n = 2 * cases[c].h * cases[c].w;
        float *y = floats(n);
        assert_ok(vkd_resample(reference_x, 2, 6, 4, y, cases[c].h, cases[c].w));
        assert_below(relative_floats(y, cases[c].want, n) / EPS32, 1);
        if (cases[c].want == reference_x) assert_memory_equal(y, reference_x, sizeof reference_x);
        free(y);
    }
}

static const int shapes[][4] = {{6, 4, 9, 7},     {6, 4, 3, 2},     {6, 4, 6, 4}, {6, 4, 12, 8}, {6, 4, 6, 2},
                                {6, 4, 3, 8},     {1, 1, 5, 3},     {5, 3, 1, 1}, {7, 7, 3, 2},  {1, 6, 1, 4},
                                {13, 13, 26, 26}, {26, 26, 13, 13}, {5, 9, 4, 3}};

static void constants_are_kept(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int in = 3 * shapes[s][0] * shapes[s][1], out = 3 * shapes[s][2] * shapes[s][3];
        float *x = floats(in), *y = floats(out);
        for (int i = 0; i < in; ++i)
            x[i] = 1.7f;
        assert_ok(vkd_resample(x, 3, shapes[s][0], shapes[s][1], y, shapes[s][2], shapes[s][3]));
        for (int i = 0; i < out; ++i)
            assert_below(fabs(y[i] / 1.7f - 1) / EPS32, 2);
        free(x);
        free(y);
    }
}

// A ramp in both directions keeps its values at the pixel centres, away from the clamped border.
static void pixel_centres_are_aligned(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int h = shapes[s][0], w = shapes[s][1], oh = shapes[s][2], ow = shapes[s][3];
        float *x = floats((size_t)h * w), *y = floats((size_t)oh * ow);
        for (int i = 0; i < h; ++i)
            for (int j = 0; j < w; ++j)
                x[i * w + j] = (float)(2 * (i + 0.5) / h - 3 * (j + 0.5) / w);
        assert_ok(vkd_resample(x, 1, h, w, y, oh, ow));
        for (int i = 0; i < oh; ++i)
            for (int j = 0; j < ow; ++j) {
                const double v = (i + 0.5) / oh, u = (j + 0.5) / ow;
                if (v * h < 0.5 || v * h > h - 0.5 || u * w < 0.5 || u * w > w - 0.5) continue;
                assert_below(fabs(y[i * ow + j] - (2 * v - 3 * u)) / EPS32, 8);
            }
        free(x);
        free(y);
    }
}

// Resampling is linear: <R x, y> = <x, R'y>, which also is its derivative; and += is +=.
static void adjoint(void **state) {
    (void)state;
    const int planes = 3;
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int h = shapes[s][0], w = shapes[s][1], oh = shapes[s][2], ow = shapes[s][3];
        const size_t in = (size_t)planes * h * w, out = (size_t)planes * oh * ow;
        float *x = normal_floats(in, s), *y = normal_floats(out, s + 50), *rx = floats(out), *ry = floats(in);
        assert_ok(vkd_resample(x, planes, h, w, rx, oh, ow));
        assert_ok(vkd_resample_adjoint(y, planes, h, w, ry, oh, ow));
        const double scale = norm_floats(x, in) * norm_floats(y, out);
        assert_below(fabs(dot_floats(rx, y, out) - dot_floats(x, ry, in)) / scale / EPS32, 4);
        float *twice = copy_floats(ry, in);
        assert_ok(vkd_resample_adjoint(y, planes, h, w, twice, oh, ow));
        for (size_t i = 0; i < in; ++i)
            twice[i] /= 2;
        assert_below(relative_floats(twice, ry, in) / EPS32, 4);
        free(x);
        free(y);
        free(rx);
        free(ry);
        free(twice);
    }
}

// Each entry of the adjoint by a central difference of the forward (exact for a linear map).
static void adjoint_entries(void **state) {
    (void)state;
    const int h = 5, w = 4, oh = 3, ow = 6;
    float *y = normal_floats(18, 1), *dx = floats(20);
    assert_ok(vkd_resample_adjoint(y, 1, h, w, dx, oh, ow));
    for (int i = 0; i < 20; ++i) {
        float plus[20] = {0}, minus[20] = {0}, a[18], b[18];
        plus[i] = 0.5f;
        minus[i] = -0.5f;
        assert_ok(vkd_resample(plus, 1, h, w, a, oh, ow));
        assert_ok(vkd_resample(minus, 1, h, w, b, oh, ow));
        double want = 0;
        for (int j = 0; j < 18; ++j)
            want += (double)y[j] * (a[j] - b[j]);
        assert_below(fabs(dx[i] - want) / EPS32, 8);
    }
    free(y);
    free(dx);
}

static void degenerate(void **state) {
    (void)state;
    const float x[] = {1, NAN, 3, 4};
    float y[4] = {0};
    assert_int_equal(vkd_resample(x, 0, 2, 2, y, 1, 1), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_resample(x, 1, 0, 2, y, 1, 1), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_resample(x, 1, 2, 2, y, 1, 0), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_resample_adjoint(x, 1, 2, -2, y, 1, 1), VKD_INVALID_ARGUMENT);
    assert_ok(vkd_resample(x, 1, 2, 2, y, 1, 1)); // a NaN is passed on, not hidden
    assert_true(isnan(y[0]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_torch),
        cmocka_unit_test(constants_are_kept),
        cmocka_unit_test(pixel_centres_are_aligned),
        cmocka_unit_test(adjoint),
        cmocka_unit_test(adjoint_entries),
        cmocka_unit_test(degenerate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
