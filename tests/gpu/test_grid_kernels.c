// Between maps and samples: every kernel against its twin on the CPU, for several ways to share out the
// threads.
#include "bench.h"

#include "core/samples.h"
#include "gpu/grid_kernels.h"
#include "numerics/resample.h"

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

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_and_spreads),
        cmocka_unit_test(resamples),
        cmocka_unit_test(means_of_maps),
    };
    return cmocka_run_group_tests_name("grid_kernels", tests, NULL, NULL);
}
