// Thousands of updates with random gradients, for each map and way of re-basing: V'V = I stays where float32
// storage puts it. UPDATES=100000 (make soak) runs longer.
#include "../numerics/support.h"

#include "core/projection.h"

static int updates(void) {
    const char *text = getenv("UPDATES");
    return text ? atoi(text) : 5000;
}

static double drift(vkd_option_map map, int rebase, int n, int k) {
    vkd_projection p;
    vkd_rng rng;
    vkd_rng_seed(&rng, 3, 9, (uint64_t)rebase);
    vkd_tap_options options = {.map = (int)map, .rebase = rebase, .momentum = 0.9f};
    assert_ok(vkd_projection_create(&p, &options, n, k, &rng));
    const int size = p.rows * p.cols, count = updates();
    double worst = 0;
    for (int i = 0; i < count; ++i) {
        for (int j = 0; j < size; ++j)
            p.gradient[j] = (float)(vkd_rng_uniform(&rng) - 0.5);
        assert_ok(vkd_projection_update(&p, i % 10 == 0 ? 10 : 1));
        double ratio = p.defect / (sqrt(p.cols) * EPS32);
        if (!(ratio <= worst)) worst = ratio;
    }
    vkd_projection_free(&p);
    return worst;
}

static void defect_stays(void **state) {
    (void)state;
    const struct {
        vkd_option_map map;
        const char *name;
    } maps[] = {{VKD_OPTION_MAP_MATRIX_EXP, "matrix_exp"},
                {VKD_OPTION_MAP_CAYLEY, "cayley"},
                {VKD_OPTION_MAP_HOUSEHOLDER, "householder"}};
    const int rebases[] = {0, 1, 7}, shapes[][2] = {{32, 8}, {12, 8}, {10, 10}};
    for (size_t m = 0; m < COUNT(maps); ++m)
        for (size_t r = 0; r < COUNT(rebases); ++r)
            for (size_t s = 0; s < COUNT(shapes); ++s) {
                double worst = drift(maps[m].map, rebases[r], shapes[s][0], shapes[s][1]);
                print_message("%s rebase=%d (%d,%d): worst defect %.3g eps32 sqrt(k)\n", maps[m].name,
                              rebases[r], shapes[s][0], shapes[s][1], worst);
                assert_below(worst, 30);
            }
}

int main(void) {
    assert_true(updates() > 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(defect_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
