// A projection as it is made: its start, P x and P' y, the gradient it gathers.
#include "projection_cases.h"

// Tall, square, wide, and every way to have a single channel.
static const size_pair sizes[] = {{9, 4}, {6, 6}, {4, 9}, {1, 1}, {5, 1}, {1, 5}};

static void start_is_orthonormal(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT(sizes); ++s)
        for (int map = VKD_OPTION_MAP_MATRIX_EXP; map <= VKD_OPTION_MAP_FROZEN; ++map) {
            vkd_projection p = make((vkd_option_map)map, sizes[s].n, sizes[s].k, 1, s);
            assert_int_equal(p.rows, sizes[s].n > sizes[s].k ? sizes[s].n : sizes[s].k);
            assert_int_equal(p.cols, sizes[s].n > sizes[s].k ? sizes[s].k : sizes[s].n);
            assert_below(defect(p.V, p.rows, p.cols), 30 * EPS32 * sqrt(p.cols));
            assert_int_equal(vkd_projection_is_isometry(&p),
                             map != VKD_OPTION_MAP_LINEAR && sizes[s].n >= sizes[s].k);
            vkd_projection_free(&p);
        }
}

// Haar on St(n,k): E V_ij = 0, E V_ij^2 = 1/n, E V_ij^4 = 3 / (n (n + 2)), and for n = k both determinants
// equally often. All means within 4.5 of their own standard deviations.
static void start_is_haar(void **state) {
    (void)state;
    enum { runs = 20000, n = 3 };
    for (int k = 2; k <= 3; ++k) {
        double first[9] = {0}, second[9] = {0}, fourth[9] = {0}, determinant = 0;
        for (int r = 0; r < runs; ++r) {
            vkd_projection p = make(VKD_OPTION_MAP_MATRIX_EXP, n, k, 7, (uint64_t)r);
            const float *v = p.V;
            for (int i = 0; i < n * k; ++i) {
                double square = (double)v[i] * v[i];
                first[i] += v[i];
                second[i] += square;
                fourth[i] += square * square;
            }
            if (k == 3)
                determinant += v[0] * (v[4] * v[8] - v[5] * v[7]) - v[1] * (v[3] * v[8] - v[5] * v[6]) +
                               v[2] * (v[3] * v[7] - v[4] * v[6]);
            vkd_projection_free(&p);
        }
        for (int i = 0; i < n * k; ++i) {
            assert_below(fabs(first[i] / runs), 4.5 * sqrt(1.0 / n / runs));
            assert_below(fabs(second[i] / runs - 1.0 / n), 4.5 * sqrt((0.2 - 1.0 / 9) / runs));
            // E V^8 = 105 / (3 5 7 9) = 1/9
            assert_below(fabs(fourth[i] / runs - 0.2), 4.5 * sqrt((1.0 / 9 - 0.04) / runs));
        }
        assert_below(fabs(determinant / runs), 4.5 * sqrt(1.0 / runs));
    }
    int positive = 0;
    for (int r = 0; r < 1000; ++r) {
        vkd_projection p = make(VKD_OPTION_MAP_FROZEN, 1, 1, 7, (uint64_t)r);
        assert_true(p.V[0] == 1 || p.V[0] == -1);
        positive += p.V[0] > 0;
        vkd_projection_free(&p);
    }
    assert_in_range(positive, 429, 571);
}

static void start_is_a_function_of_seed_and_index(void **state) {
    (void)state;
    vkd_projection a = make(VKD_OPTION_MAP_MATRIX_EXP, 6, 3, 5, 2);
    const uint64_t seeds[][2] = {{5, 2}, {5, 3}, {6, 2}, {2, 5}};
    for (size_t i = 0; i < COUNT(seeds); ++i) {
        vkd_projection b = make(VKD_OPTION_MAP_LINEAR, 6, 3, seeds[i][0], seeds[i][1]);
        if (i == 0)
            assert_memory_equal(a.V, b.V, 18 * sizeof(float)); // the map does not matter
        else
            assert_true(distance(a.V, b.V, 18) > 0.1);
        vkd_projection_free(&b);
    }
    vkd_projection_free(&a);
}

static void refuses_no_channels(void **state) {
    (void)state;
    const size_pair bad[] = {{0, 1}, {1, 0}, {-1, 2}, {2, -1}};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        vkd_projection p;
        vkd_rng rng;
        vkd_rng_seed(&rng, 1, 1, 1);
        vkd_tap_options options = options_of(VKD_OPTION_MAP_LINEAR);
        assert_int_equal(vkd_projection_create(&p, &options, bad[i].n, bad[i].k, &rng), VKD_INVALID_ARGUMENT);
        vkd_projection_free(&p);
        vkd_projection_free(&p); // harmless again
    }
}

// y = P x by three loops from the matrix as vkd_projection_matrix gives it, and <Px, y> = <x, P'y>.
static void apply_and_its_adjoint(void **state) {
    (void)state;
    enum { samples = 7 };
    for (size_t s = 0; s < COUNT(sizes); ++s) {
        int n = sizes[s].n, k = sizes[s].k;
        vkd_projection p = make(VKD_OPTION_MAP_LINEAR, n, k, 2, s);
        size_t in = (size_t)k * samples, out = (size_t)n * samples;
        float *x = normal_floats(in, 1), *y = normal_floats(out, 2), *Px = floats(out), *Py = floats(in);
        float *P = floats((size_t)n * k);
        for (size_t i = 0; i < in; ++i)
            Py[i] = 7; // =, not +=
        for (size_t i = 0; i < out; ++i)
            Px[i] = 7;
        vkd_projection_matrix(&p, P);
        vkd_projection_apply(&p, x, samples, Px);
        vkd_projection_apply_adjoint(&p, y, samples, -3, Py);
        double *wide_P = widened(P, (size_t)n * k), *wide_x = widened(x, in), *expected = doubles(out);
        plain_product(wide_P, wide_x, n, k, samples, expected);
        assert_below(relative_mixed(Px, expected, out) / EPS32, 30);
        double forward = dot_floats(Px, y, out), backward = dot_floats(x, Py, in) / -3;
        assert_below(fabs(forward - backward) / (norm_floats(Px, out) * norm_floats(y, out) * EPS32), 30);
        float *all[] = {x, y, Px, Py, P};
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
        free(wide_P);
        free(wide_x);
        free(expected);
        vkd_projection_free(&p);
    }
}

// sum |P x - t|^2 in float64, V as stored.
static double plain_loss(const vkd_projection *p, const double *V, const float *x, const float *t,
                         int samples) {
    double loss = 0;
    for (int j = 0; j < samples; ++j)
        for (int i = 0; i < p->n; ++i) {
            double y = -(double)t[i * samples + j];
            for (int c = 0; c < p->k; ++c)
                y += (p->n < p->k ? V[c * p->n + i] : V[i * p->k + c]) * x[c * samples + j];
            loss += y * y;
        }
    return loss;
}

static void accumulated_gradient(void **state) {
    (void)state;
    enum { samples = 5 };
    for (size_t s = 0; s < COUNT(sizes); ++s) {
        int n = sizes[s].n, k = sizes[s].k;
        vkd_projection p = make(VKD_OPTION_MAP_LINEAR, n, k, 3, s);
        size_t size = elements(&p);
        float *x = normal_floats((size_t)k * samples, 1), *t = normal_floats((size_t)n * samples, 2);
        float *e = floats((size_t)n * samples);
        add_gradient(&p, x, t, samples, e);
        add_gradient(&p, x, t, samples, e); // +=
        double *V = widened(p.V, size), *expected = doubles(size);
        for (size_t i = 0; i < size; ++i) {
            const double h = 1e-4, at = V[i]; // the loss is quadratic: no truncation error
            V[i] = at + h;
            double above = plain_loss(&p, V, x, t, samples);
            V[i] = at - h;
            expected[i] = 2 * (above - plain_loss(&p, V, x, t, samples)) / (2 * h);
            V[i] = at;
        }
        assert_below(relative_mixed(p.gradient, expected, size) / EPS32, 30);
        free(V);
        free(expected);
        free(x);
        free(t);
        free(e);
        vkd_projection_free(&p);
    }
}

// P is I, and stays; it needs as many channels on one side as on the other.
static void identity_is_no_projection(void **state) {
    (void)state;
    enum { CHANNELS = 5, SAMPLES = 3 };
    vkd_projection p = make(VKD_OPTION_MAP_IDENTITY, CHANNELS, CHANNELS, 3, 0);
    float *x = normal_floats(CHANNELS * SAMPLES, 31), *g = normal_floats(CHANNELS * CHANNELS, 32),
          y[CHANNELS * SAMPLES];
    for (int i = 0; i < 2; ++i) {
        vkd_projection_apply(&p, x, SAMPLES, y);
        assert_memory_equal(y, x, sizeof y);
        memcpy(p.gradient, g, CHANNELS * CHANNELS * sizeof *g);
        assert_ok(vkd_projection_update(&p, 1));
    }
    assert_true(vkd_projection_is_isometry(&p));
    vkd_projection_free(&p);
    vkd_tap_options o = {.map = VKD_OPTION_MAP_IDENTITY};
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 1, 1);
    assert_int_equal(vkd_projection_create(&p, &o, 5, 4, &rng), VKD_INVALID_ARGUMENT);
    vkd_projection_free(&p);
    free(x);
    free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_orthonormal),
        cmocka_unit_test(start_is_haar),
        cmocka_unit_test(start_is_a_function_of_seed_and_index),
        cmocka_unit_test(refuses_no_channels),
        cmocka_unit_test(apply_and_its_adjoint),
        cmocka_unit_test(accumulated_gradient),
        cmocka_unit_test(identity_is_no_projection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
