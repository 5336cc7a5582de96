// Every kernel against its twin on the CPU, for several ways to share out the threads.
#include "support.h"

#include "core/samples.h"
#include "gpu/grid_kernels.h"
#include "gpu/loss_kernels.h"
#include "gpu/norm_kernels.h"
#include "gpu/step_kernels.h"
#include "numerics/loss.h"
#include "numerics/normalize.h"
#include "numerics/reduce.h"
#include "numerics/resample.h"
#include "numerics/whiten.h"

// Opened for one way of launching; what a test makes on the device goes with `drop`.
typedef struct bench {
    vkd_device *device;
    const vkd_launch *launch;
    void *made[16];
    int count;
} bench;

static bench open_bench(const int *shape) {
    bench b = {.device = open_device()};
    vkd_device_set_launch(b.device, shape[0], shape[1], shape[2]);
    b.launch = vkd_device_launch(b.device);
    return b;
}

static void *keep(bench *b, void *memory) {
    assert_true(b->count < 16);
    return b->made[b->count++] = memory;
}

static void drop(bench *b) {
    while (b->count > 0)
        vkd_device_free(b->device, b->made[--b->count]);
}

static void close_bench(bench *b) {
    drop(b);
    close_device(b->device);
}

static float *give(bench *b, const float *x, size_t n) {
    return keep(b, floats_on_device(b->device, x, n));
}

static void *zeroes(bench *b, size_t bytes) {
    return keep(b, on_device(b->device, NULL, bytes));
}

static double *parts(bench *b) {
    return zeroes(b, (size_t)b->launch->parts * sizeof(double));
}

static int flag_of(const bench *b, const int *flag) {
    int value;
    read_device(b->device, &value, flag, sizeof value);
    return value;
}

static void check_near(const bench *b, const float *device, const float *expected, size_t n, double bound) {
    float *x = floats_of_device(b->device, device, n);
    assert_near(x, expected, n, 0, bound);
    free(x);
}

static void check_near_doubles(const bench *b, const double *device, const double *expected, size_t n,
                               double bound) {
    double *x = doubles(n);
    read_device(b->device, x, device, n * sizeof *x);
    for (size_t i = 0; i < n; ++i)
        assert_below(fabs(x[i] - expected[i]), bound);
    free(x);
}

#define EACH_LAUNCH(b)                                                                                       \
    for (size_t launch_ = 0; launch_ < COUNT(launches); ++launch_)                                           \
        for (bench b = open_bench(launches[launch_]); b.device; close_bench(&b), b.device = NULL)

// ---- between maps and samples
// ----------------------------------------------------------------------------------------

typedef struct grid {
    int batch, channels, h, w, th, tw;
} grid;

static const grid grids[] = {{1, 1, 1, 1, 1, 1}, {2, 3, 4, 5, 4, 5}, {3, 5, 7, 3, 7, 3},
                             {2, 4, 3, 2, 9, 4}, {2, 3, 5, 5, 4, 7}, {1, 7, 13, 13, 5, 3},
                             {4, 2, 1, 6, 3, 2}, {2, 2, 2, 3, 5, 6}};

// Samples of a grid, of which a pattern counts; none in the second image where there is a third.
typedef struct chosen {
    vkd_samples samples;
    int *origin, *slot; // on the device
} chosen;

static chosen choose(bench *b, int batch, int locations, bool masked) {
    chosen c;
    size_t all = (size_t)batch * locations;
    float *mask = floats(all);
    int *origin = alloc(all, sizeof(int)), *slot = alloc(all, sizeof(int));
    for (size_t i = 0; i < all; ++i)
        mask[i] = !masked || (i * 7 % 5 > 1 && (batch < 3 || (int)i / locations != 1));
    mask[0] = 1;
    assert_ok(vkd_samples_create(&c.samples, batch, locations));
    vkd_samples_choose(&c.samples, mask);
    for (size_t i = 0, j = 0; i < all; ++i) {
        slot[i] = mask[i] != 0 ? (int)j : -1;
        if (mask[i] != 0) origin[j++] = (int)i;
    }
    c.origin = keep(b, on_device(b->device, origin, all * sizeof(int)));
    c.slot = keep(b, on_device(b->device, slot, all * sizeof(int)));
    free(mask);
    free(origin);
    free(slot);
    return c;
}

static vkd_device_state *state_with(bench *b, vkd_device_state state) {
    return keep(b, on_device(b->device, &state, sizeof state));
}

static void gathers_and_spreads(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < 2 * COUNT(grids); ++i) {
        const grid *g = &grids[i / 2];
        int locations = g->h * g->w;
        chosen c = choose(&b, g->batch, locations, i % 2);
        size_t size = (size_t)g->batch * g->channels * locations,
               matrix = (size_t)c.samples.count * g->channels;
        float *maps = normal_floats(size, i), *expected = floats(size), *x = floats(size);
        vkd_samples_gather(&c.samples, maps, g->channels, expected);
        float *from = give(&b, maps, size), *to = give(&b, NULL, size), *back = give(&b, maps, size);
        vkd_gpu_gather(b.launch, from, g->channels, locations, c.origin, c.samples.count, to);
        read_device(b.device, x, to, matrix * sizeof *x);
        assert_memory_equal(x, expected, matrix * sizeof *x);

        for (int verdict = VKD_TAKEN; verdict <= VKD_BROKEN; ++verdict) {
            vkd_samples_scatter(&c.samples, expected, g->channels, maps);
            if (verdict != VKD_TAKEN) memset(maps, 0, size * sizeof *maps);
            vkd_gpu_spread(b.launch, state_with(&b, (vkd_device_state){.verdict = verdict}), to, g->batch,
                           g->channels, locations, false, c.slot, c.samples.count, back);
            read_device(b.device, x, back, size * sizeof *x);
            assert_memory_equal(x, maps, size * sizeof *x);
        }
        vkd_samples_free(&c.samples);
        free(maps);
        free(expected);
        free(x);
        drop(&b);
    }
}

static void resamples(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < 2 * COUNT(grids); ++i) {
        const grid *g = &grids[i / 2];
        int locations = g->h * g->w, planes = g->batch * g->channels;
        chosen c = choose(&b, g->batch, locations, i % 2);
        size_t size = (size_t)planes * g->th * g->tw, out = (size_t)planes * locations;
        size_t matrix = (size_t)c.samples.count * g->channels;
        float *maps = normal_floats(size, i), *on_grid = floats(out), *expected = floats(out);
        assert_ok(vkd_resample(maps, planes, g->th, g->tw, on_grid, g->h, g->w));
        vkd_samples_gather(&c.samples, on_grid, g->channels, expected);
        float *from = give(&b, maps, size), *to = give(&b, NULL, out);
        vkd_gpu_gather_resampled(b.launch, from, g->channels, g->th, g->tw, g->h, g->w, c.origin,
                                 c.samples.count, to);
        check_near(&b, to, expected, matrix, 2);
        vkd_samples_free(&c.samples);
        free(maps);
        free(on_grid);
        free(expected);
        drop(&b);
    }
}

static void means_of_maps(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < 2 * COUNT(grids); ++i) {
        const grid *g = &grids[i / 2];
        int locations = g->h * g->w, planes = g->batch * g->channels;
        chosen c = choose(&b, g->batch, 1, i % 2);
        size_t size = (size_t)planes * locations, matrix = (size_t)c.samples.count * g->channels;
        float *maps = normal_floats(size, i), *pooled = floats((size_t)planes),
              *expected = floats((size_t)planes);
        for (int p = 0; p < planes; ++p) {
            double sum = 0;
            for (int l = 0; l < locations; ++l)
                sum += maps[p * locations + l];
            pooled[p] = (float)(sum / locations);
        }
        vkd_samples_gather(&c.samples, pooled, g->channels, expected);
        float *from = give(&b, maps, size), *to = give(&b, NULL, (size_t)planes);
        vkd_gpu_gather_means(b.launch, from, g->batch, g->channels, locations, c.slot, c.samples.count, to);
        check_near(&b, to, expected, matrix, 2);

        // <mean x, y> = <x, adjoint y>
        float *y = normal_floats(matrix, i + 100), *back = floats(size);
        vkd_gpu_spread(b.launch, state_with(&b, (vkd_device_state){.verdict = VKD_TAKEN}),
                       give(&b, y, matrix), g->batch, g->channels, locations, true, c.slot, c.samples.count,
                       from);
        read_device(b.device, back, from, size * sizeof *back);
        assert_below(fabs(dot_floats(expected, y, matrix) - dot_floats(maps, back, size)),
                     8 * EPS32 * (norm_floats(maps, size) * norm_floats(back, size) + 1));
        vkd_samples_free(&c.samples);
        void *all[] = {maps, pooled, expected, y, back};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

// ---- statistics and normalisations
// -------------------------------------------------------------------------------------

static const int shapes[][2] = {{1, 1}, {1, 7}, {5, 1}, {3, 4}, {8, 37}, {37, 8}, {2, 300}};

// Channels of unlike means and scales, the last one constant where there are three.
static float *channels(int rows, int samples, uint64_t seed) {
    float *x = normal_floats((size_t)rows * samples, seed);
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < samples; ++j) {
            float *at = &x[i * samples + j];
            *at = rows > 2 && i == rows - 1 ? 3 : *at * (float)(1 + i) + 10 * (float)i - 3;
        }
    return x;
}

static void statistics(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < COUNT(shapes); ++i) {
        int rows = shapes[i][0], samples = shapes[i][1];
        size_t size = (size_t)rows * samples, n = (size_t)rows, second = n * n;
        float *x = channels(rows, samples, i), *from = give(&b, x, size);
        double *mean = doubles(n), *variance = doubles(n), *cov = doubles(second);
        double *work = doubles(vkd_covariance_workspace(rows));
        double *mean_there = zeroes(&b, n * sizeof(double)),
               *second_there = zeroes(&b, second * sizeof(double));
        int *bad = zeroes(&b, sizeof *bad);
        double scale = fmax(1, 200.0 * rows * rows);
        vkd_channel_moments(x, 1, rows, samples, mean, variance);
        vkd_gpu_moments(b.launch, from, rows, samples, mean_there, second_there, bad);
        check_near_doubles(&b, mean_there, mean, n, 100 * EPS64 * scale);
        check_near_doubles(&b, second_there, variance, n, 100 * EPS64 * scale);

        assert_ok(vkd_covariance(x, 1, rows, samples, mean, cov, work));
        float *run = give(&b, NULL, n * 5), *gram = give(&b, NULL, second);
        for (int begin = 0; begin < samples; begin += 5) {
            int width = samples - begin < 5 ? samples - begin : 5;
            vkd_gpu_centre_run(b.launch, from, rows, samples, begin, width, mean_there, run);
            vkd_device_syrk(b.device, rows, width, run, width, gram, rows);
            vkd_gpu_add_gram(b.launch, gram, rows, samples, begin == 0, second_there, bad);
        }
        check_near_doubles(&b, second_there, cov, second, 10 * EPS32 * scale);
        assert_int_equal(flag_of(&b, bad), 0);
        void *all[] = {x, mean, variance, cov, work};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

static void normalisations(void **state) {
    (void)state;
    const float eps = 1e-5f;
    EACH_LAUNCH(b) for (size_t i = 0; i < COUNT(shapes); ++i) {
        int rows = shapes[i][0], samples = shapes[i][1], *bad = zeroes(&b, sizeof *bad);
        size_t size = (size_t)rows * samples, scales = (size_t)(rows > samples ? rows : samples);
        float *x = channels(rows, samples, i), *d = normal_floats(size, i + 50), *y = floats(size);
        float *mean = floats(scales), *inv_std = floats(scales), *expected = floats(size);
        float *x_there = give(&b, x, size), *d_there = give(&b, d, size),
              *scales_there = give(&b, NULL, scales);
        // A constant row has what rounding leaves of a gradient, times 1 / sqrt(eps).
        double slack = 100 * (norm_floats(d, size) + 1) * 300;

        vkd_standardize_forward(x, 1, rows, samples, eps, y, mean, inv_std);
        vkd_standardize_backward(d, y, inv_std, 1, rows, samples, expected);
        vkd_gpu_standardize(b.launch, x_there, rows, samples, eps, scales_there);
        check_near(&b, x_there, y, size, 8);
        check_near(&b, scales_there, inv_std, (size_t)rows, 8);
        vkd_gpu_standardize_adjoint(b.launch, d_there, x_there, scales_there, rows, samples, bad);
        float *got = floats_of_device(b.device, d_there, size);
        assert_near(got, expected, size, slack, 1);

        vkd_layernorm_forward(x, 1, rows, samples, eps, y, inv_std);
        vkd_layernorm_backward(d, y, inv_std, 1, rows, samples, expected);
        set_on_device(b.device, x_there, x, size * sizeof *x);
        set_on_device(b.device, d_there, d, size * sizeof *d);
        vkd_gpu_layernorm(b.launch, x_there, rows, samples, eps, scales_there, bad);
        check_near(&b, x_there, y, size, 8);
        check_near(&b, scales_there, inv_std, (size_t)samples, 8);
        vkd_gpu_layernorm_adjoint(b.launch, d_there, x_there, scales_there, rows, samples, bad);
        read_device(b.device, got, d_there, size * sizeof *got);
        assert_near(got, expected, size, slack, 1);

        vkd_normalize_apply(x, 1, rows, samples, mean, d, y);
        set_on_device(b.device, x_there, x, size * sizeof *x);
        vkd_gpu_normalize(b.launch, x_there, rows, samples, give(&b, mean, (size_t)rows),
                          give(&b, d, (size_t)rows), bad);
        check_near(&b, x_there, y, size, 2);
        assert_int_equal(flag_of(&b, bad), 0);
        void *all[] = {x, d, y, mean, inv_std, expected, got};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

// A NaN or an infinity anywhere is seen by each that looks for it.
static void what_is_not_finite(void **state) {
    (void)state;
    const float bads[] = {NAN, INFINITY, -INFINITY};
    const int rows = 5, samples = 9;
    EACH_LAUNCH(b) for (int at = 0; at < rows * samples; ++at) {
        float *x = normal_floats((size_t)rows * samples, 3), one[9];
        for (int i = 0; i < 9; ++i)
            one[i] = 1;
        float *ones = give(&b, one, 9), *scales = give(&b, NULL, 9), *y = give(&b, x, 45);
        double *sums = zeroes(&b, 5 * sizeof(double)), *squares = zeroes(&b, 5 * sizeof(double));
        x[at] = bads[at % 3];
        float *from = give(&b, x, 45);
        int *bad = zeroes(&b, sizeof *bad);
        vkd_device_state *gain = state_with(&b, (vkd_device_state){.gain = 2});
        for (int kernel = 0; kernel < 7; ++kernel) {
            set_on_device(b.device, bad, &(int){0}, sizeof *bad);
            set_on_device(b.device, from, x, 45 * sizeof *x);
            if (kernel == 0) vkd_gpu_check(b.launch, from, 45, bad);
            if (kernel == 1) vkd_gpu_moments(b.launch, from, rows, samples, sums, squares, bad);
            if (kernel == 2) vkd_gpu_normalize(b.launch, from, rows, samples, ones, NULL, bad);
            if (kernel == 3) vkd_gpu_layernorm(b.launch, from, rows, samples, 1, scales, bad);
            if (kernel == 4) vkd_gpu_layernorm_adjoint(b.launch, from, y, ones, rows, samples, bad);
            if (kernel == 5) vkd_gpu_standardize_adjoint(b.launch, from, y, ones, rows, samples, bad);
            if (kernel == 6) vkd_gpu_gain_adjoint(b.launch, gain, from, y, 45, parts(&b), bad);
            assert_int_equal(flag_of(&b, bad), 1);
        }
        free(x);
        drop(&b);
    }
}

// ---- sums and losses
// -------------------------------------------------------------------------------------------------

static void sums_and_losses(void **state) {
    (void)state;
    EACH_LAUNCH(b) for (size_t i = 0; i < 2 * COUNT(shapes); ++i) {
        int rows = shapes[i / 2][0], samples = shapes[i / 2][1];
        size_t size = (size_t)rows * samples, r = (size_t)rows, cols = (size_t)samples;
        float *x = normal_floats(size, i), *u = normal_floats(size, i + 20), *expected = floats(size);
        float *s = i % 2 ? normal_floats(cols, i + 40) : NULL, *roots = floats(cols);
        for (size_t j = 0; s && j < cols; ++j)
            roots[j] = sqrtf(s[j] = s[j] * s[j]);
        float *x_there = give(&b, x, size), *u_there = give(&b, u, size), *w_there = give(&b, NULL, size);
        float *s_there = s ? give(&b, s, cols) : NULL;
        double *loss = parts(&b), *stretch = parts(&b), own = vkd_dot(x, x, s, r, cols);
        double bound = 8 * EPS32 * (own + vkd_dot(u, u, s, r, cols));

        vkd_gpu_squares(b.launch, x_there, size, false, loss);
        vkd_gpu_squares(b.launch, u_there, size, true, loss);
        assert_below(fabs(sum_of_parts(b.device, loss) - dot_floats(x, x, size) - dot_floats(u, u, size)),
                     EPS32 * size);

        for (int smooth = 0; smooth < 2; ++smooth) {
            double sum = (smooth ? vkd_smooth_l1_forward : vkd_l2_forward)(x, u, s, r, cols);
            (smooth ? vkd_smooth_l1_backward : vkd_l2_backward)(x, u, s, r, cols, 1, expected);
            set_on_device(b.device, w_there, x, size * sizeof *x);
            vkd_gpu_residual(b.launch, w_there, u_there, rows, samples, smooth, s_there, loss, stretch);
            check_near(&b, w_there, expected, size, 2);
            assert_below(fabs(sum_of_parts(b.device, loss) - sum), bound);
            assert_below(fabs(sum_of_parts(b.device, stretch) - own), bound);
        }
        // With U for T the l2 loss but for |t|^2, and half of its derivative is X - U.
        vkd_l2_backward(x, u, s, r, cols, 0.25f, expected);
        double sum = vkd_l2_forward(x, u, s, r, cols) - vkd_dot(u, u, s, r, cols);
        set_on_device(b.device, w_there, u, size * sizeof *u);
        float *weighted = give(&b, NULL, size);
        vkd_gpu_isometric(b.launch, x_there, rows, samples, 0.25f, s_there, w_there, weighted, loss, stretch);
        check_near(&b, w_there, expected, size, 2);
        assert_below(fabs(sum_of_parts(b.device, loss) - sum), bound);
        assert_below(fabs(sum_of_parts(b.device, stretch) - own), bound);
        if (s) {
            vkd_scale_columns(x, roots, r, cols, expected);
            check_near(&b, weighted, expected, size, 2);
            vkd_gpu_scale_by_roots(b.launch, x_there, rows, samples, s_there);
            check_near(&b, x_there, expected, size, 2);
        }
        vkd_gpu_pull_of_targets(b.launch, u_there, rows, samples, s_there, w_there);
        for (size_t j = 0; j < size; ++j)
            expected[j] = -2 * (s ? s[j % cols] : 1) * u[j];
        check_near(&b, w_there, expected, size, 2);
        void *all[] = {x, u, expected, s, roots};
        for (size_t a = 0; a < COUNT(all); ++a)
            free(all[a]);
        drop(&b);
    }
}

// ---- scalars
// ---------------------------------------------------------------------------------------------------------

static void gain_and_its_adjoint(void **state) {
    (void)state;
    EACH_LAUNCH(b) {
        const size_t size = 333;
        float *x = normal_floats(size, 1), *d = normal_floats(size, 2), *x_there = give(&b, x, size);
        float *d_there = give(&b, d, size);
        double *partial = parts(&b);
        int *bad = zeroes(&b, sizeof *bad);
        vkd_device_state *gain = state_with(&b, (vkd_device_state){.gain = 0.7});
        vkd_gpu_gain_adjoint(b.launch, gain, d_there, x_there, size, partial, bad);
        assert_below(fabs(sum_of_parts(b.device, partial) - dot_floats(d, x, size)), 100 * EPS64 * size);
        vkd_gpu_gain(b.launch, gain, x_there, size);
        for (size_t i = 0; i < size; ++i) {
            x[i] *= 0.7f;
            d[i] *= 0.7f;
        }
        check_near(&b, x_there, x, size, 1);
        check_near(&b, d_there, d, size, 1);
        free(x);
        free(d);
    }
}

// A plain mean until the limit; nothing of a batch that is not finite.
static void running_averages(void **state) {
    (void)state;
    EACH_LAUNCH(b) {
        double value[11], expected[11] = {0};
        vkd_device_state *s = zeroes(&b, sizeof *s);
        double *there = zeroes(&b, sizeof value), *average = zeroes(&b, sizeof expected);
        for (int batch = 0; batch < 8; ++batch) {
            double m = batch < 3 ? batch / (batch + 1.0) : 0.75;
            for (int i = 0; i < 11; ++i) {
                value[i] = i + batch * batch;
                if (batch != 5) expected[i] = m * expected[i] + (1 - m) * value[i];
            }
            set_on_device(b.device, there, value, sizeof value);
            vkd_gpu_begin(b.launch, s, false);
            if (batch == 5) vkd_gpu_fail(b.launch, s, true);
            vkd_gpu_blend(b.launch, s, 0.75, 11, there, average);
            vkd_gpu_count_batch(b.launch, s);
            check_near_doubles(&b, average, expected, 11, 1e-13);
        }
        float offset[11], inv_std[11], *offset_there = give(&b, NULL, 11),
                                       *inv_std_there = give(&b, NULL, 11);
        vkd_gpu_begin(b.launch, s, false);
        vkd_gpu_make_scales(b.launch, s, 11, average, there, 0.5, offset_there, inv_std_there);
        for (int i = 0; i < 11; ++i) {
            offset[i] = (float)expected[i];
            inv_std[i] = (float)(1 / sqrt(value[i] + 0.5));
        }
        check_near(&b, offset_there, offset, 11, 1);
        check_near(&b, inv_std_there, inv_std, 11, 1);
        vkd_device_state got;
        read_device(b.device, &got, s, sizeof got);
        assert_int_equal(got.batches, 7);
    }
}

// ---- products
// --------------------------------------------------------------------------------------------------------

static void products(void **state) {
    (void)state;
    vkd_device *device = open_device();
    const int m = 5, n = 7, k = 3;
    for (int way = 0; way < 4; ++way) {
        bool ta = way & 1, tb = way & 2;
        int lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
        float *A = normal_floats((size_t)(ta ? k : m) * lda, 1),
              *B = normal_floats((size_t)(tb ? n : k) * ldb, 2);
        float *C = normal_floats((size_t)m * ldc, 3), *expected = copy_floats(C, (size_t)m * ldc);
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < n; ++j) {
                double sum = 0;
                for (int l = 0; l < k; ++l)
                    sum += (double)A[ta ? l * lda + i : i * lda + l] * B[tb ? j * ldb + l : l * ldb + j];
                expected[i * ldc + j] = (float)(0.5 * sum - 2 * (double)C[i * ldc + j]);
            }
        float *a = floats_on_device(device, A, (size_t)(ta ? k : m) * lda);
        float *b = floats_on_device(device, B, (size_t)(tb ? n : k) * ldb);
        float *c = floats_on_device(device, C, (size_t)m * ldc);
        vkd_device_gemm(device, ta, tb, m, n, k, 0.5f, a, lda, b, ldb, -2, c, ldc);
        float *got = floats_of_device(device, c, (size_t)m * ldc);
        assert_near(got, expected, (size_t)m * ldc, 0, 4);
        void *all[] = {A, B, C, expected, got}, *there[] = {a, b, c};
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
        for (size_t i = 0; i < COUNT(there); ++i)
            vkd_device_free(device, there[i]);
    }
    close_device(device);
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_and_spreads), cmocka_unit_test(resamples),
        cmocka_unit_test(means_of_maps),       cmocka_unit_test(statistics),
        cmocka_unit_test(normalisations),      cmocka_unit_test(what_is_not_finite),
        cmocka_unit_test(sums_and_losses),     cmocka_unit_test(gain_and_its_adjoint),
        cmocka_unit_test(running_averages),    cmocka_unit_test(products),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
