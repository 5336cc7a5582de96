// Which locations are samples, and the way there and back.
#include "../numerics/support.h"

#include "core/samples.h"

#include <stdbool.h>

enum { BATCH = 3, CHANNELS = 4, LOCATIONS = 6, SIZE = BATCH * CHANNELS * LOCATIONS };

static bool counts(const float *mask, int b, int l) {
    return !mask || mask[b * LOCATIONS + l] != 0;
}

static void check_way(vkd_samples *s, const float *mask, int images) {
    float *maps = normal_floats(SIZE, 3), *matrix = floats(SIZE), *back = normal_floats(SIZE, 4);
    vkd_samples_gather(s, maps, CHANNELS, matrix);
    vkd_samples_scatter(s, matrix, CHANNELS, back);
    int sample = 0;
    for (int b = 0; b < BATCH; ++b)
        for (int l = 0; l < LOCATIONS; ++l) {
            bool in = b < images && counts(mask, b, l);
            for (int c = 0; c < CHANNELS; ++c) {
                int at = (b * CHANNELS + c) * LOCATIONS + l;
                assert_true(back[at] == (in ? maps[at] : 0));
                if (in) assert_true(matrix[c * s->count + sample] == maps[at]);
            }
            sample += in;
        }
    assert_int_equal(s->count, sample);
    // <gather a, b> = <a, scatter b>
    float *other = normal_floats((size_t)CHANNELS * (size_t)s->count + 1, 5);
    vkd_samples_scatter(s, other, CHANNELS, back);
    double there = dot_floats(matrix, other, (size_t)CHANNELS * (size_t)s->count);
    assert_below(fabs(there - dot_floats(maps, back, SIZE)), 1e-12);
    free(maps);
    free(matrix);
    free(back);
    free(other);
}

static void masks(void **state) {
    (void)state;
    vkd_samples s;
    assert_ok(vkd_samples_create(&s, BATCH, LOCATIONS));
    assert_int_equal(s.count, BATCH * LOCATIONS);
    check_way(&s, NULL, BATCH);
    for (int way = 0; way < 4; ++way) {
        float mask[BATCH * LOCATIONS];
        for (int i = 0; i < BATCH * LOCATIONS; ++i) // none; all; one image empty; a bit of everything
            mask[i] = way == 0 ? 0 : way == 1 ? 1 : way == 2 ? i / LOCATIONS != 1 : i % 3 != 1;
        for (int images = 0; images <= BATCH; ++images) {
            vkd_samples_choose(&s, mask);
            vkd_samples_keep(&s, images);
            check_way(&s, mask, images);
        }
    }
    vkd_samples_choose(&s, NULL);
    vkd_samples_keep(&s, BATCH + 1);
    assert_int_equal(s.count, BATCH * LOCATIONS);
    vkd_samples_free(&s);
    vkd_samples_free(&s); // harmless again
}

static void refuses_nothing(void **state) {
    (void)state;
    vkd_samples s;
    assert_int_equal(vkd_samples_create(&s, 0, 1), VKD_INVALID_ARGUMENT);
    vkd_samples_free(&s);
    assert_int_equal(vkd_samples_create(&s, 1, 0), VKD_INVALID_ARGUMENT);
    vkd_samples_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(masks), cmocka_unit_test(refuses_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
