#include "core/memory_plan.h"
#include "numerics/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 120 };

// No two that live at once overlap, none leaves the block or lies in scratch that is used meanwhile.
static size_t plan(const vkd_lifetime *values, int count) {
    size_t offset[MOST], block = vkd_memory_plan(values, count, offset);
    assert_true(block >= vkd_memory_least(values, count));
    for (int i = 0; i < count; ++i) {
        assert_true(offset[i] + values[i].size <= block);
        for (int j = i; values[i].size && j < count && j <= values[i].last; ++j)
            assert_true(offset[i] >= values[j].scratch);
        for (int j = 0; j < i; ++j)
            if (values[i].size && values[j].size && values[j].last >= i &&
                offset[i] < offset[j] + values[j].size && offset[j] < offset[i] + values[i].size)
                fail_msg("value %d at %zu and %d at %zu", i, offset[i], j, offset[j]);
    }
    return block;
}

static void a_chain_takes_its_largest_pair(void **state) {
    (void)state;
    // The largest of the even ones and the largest of the odd ones would be 12.
    const vkd_lifetime falling[] = {{6, 1, 0}, {5, 2, 0}, {5, 3, 0}, {6, 4, 0}, {1, 5, 0}, {2, 5, 0}};
    assert_int_equal(plan(falling, 6), 11);
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 0, 0);
    for (int trial = 0; trial < 300; ++trial) {
        vkd_lifetime chain[40];
        size_t pair = 0;
        for (int i = 0; i < 40; ++i) {
            chain[i] = (vkd_lifetime){1 + vkd_rng_next(&rng) % 50, i + 1, 0};
            if (i && chain[i].size + chain[i - 1].size > pair) pair = chain[i].size + chain[i - 1].size;
        }
        assert_int_equal(plan(chain, 40), pair);
    }
}

static void one_and_none(void **state) {
    (void)state;
    const vkd_lifetime one[] = {{7, 0, 0}}, none[] = {{0, 0, 0}, {0, 2, 0}};
    assert_int_equal(plan(one, 1), 7);
    assert_int_equal(plan(none, 2), 0);
    assert_int_equal(plan(none, 0), 0);
}

static void what_is_kept_is_never_overwritten(void **state) {
    (void)state;
    vkd_lifetime chain[20];
    for (int i = 0; i < 20; ++i)
        chain[i] = (vkd_lifetime){10, i == 4 || i == 11 ? 20 : i + 1, 0};
    assert_int_equal(plan(chain, 20), 40);
    for (int i = 0; i < 20; ++i)
        chain[i].last = 20;
    assert_int_equal(plan(chain, 20), 200);
}

// Block after block: two convolutions, and a sum with what stood before them.
static void residual_blocks_take_three(void **state) {
    (void)state;
    vkd_lifetime net[61] = {{8, 3, 0}};
    for (int i = 1; i < 61; i += 3) {
        net[i] = (vkd_lifetime){4, i + 1, 0};
        net[i + 1] = (vkd_lifetime){8, i + 2, 0};
        net[i + 2] = (vkd_lifetime){8, i + 5, 0};
    }
    assert_int_equal(plan(net, 61), 24);
}

// Darknet's yolov3 up to layer 104: values a picture at 416 x 416, in units of 13 x 13 x 128.
static int yolov3(vkd_lifetime *net) {
    int n = 0;
    net[n++] = (vkd_lifetime){256, 1, 0};
    const int blocks[] = {1, 2, 8, 8, 4};
    size_t size = 128;
    for (int stage = 0; stage < 5; ++stage, size /= 2) {
        net[n] = (vkd_lifetime){size, n + 3, 0}; // halves the grid
        ++n;
        for (int b = 0; b < blocks[stage]; ++b) {
            net[n] = (vkd_lifetime){size / 2, n + 1, 0};
            net[n + 1] = (vkd_lifetime){size, n + 2, 0};
            net[n + 2] = (vkd_lifetime){size, n + (b + 1 < blocks[stage] ? 5 : 3), 0};
            n += 3;
        }
    }
    assert_int_equal(n, 75);
    net[36].last = 98; // two routes
    net[61].last = 86;
    for (int head = 0; head < 3; ++head) {
        size_t wide = (size_t)8 << head, half = wide / 2;
        for (int i = 0; i < 7; ++i, ++n)
            net[n] = (vkd_lifetime){i % 2 ? wide : half, n + 1, 0};
        net[n] = (vkd_lifetime){0, n, 0}; // [yolo] keeps its own
        ++n;
        if (head == 2) break;
        net[n - 4].last = n; // the route behind the head
        net[n] = (vkd_lifetime){half, n + 1, 0};
        net[n + 1] = (vkd_lifetime){half / 2, n + 2, 0};
        net[n + 2] = (vkd_lifetime){half * 2, n + 3, 0};
        net[n + 3] = (vkd_lifetime){half * 2 + (head ? 32 : 16), n + 4, 0};
        n += 4;
    }
    return n;
}

static void routes_of_yolov3(void **state) {
    (void)state;
    vkd_lifetime net[MOST];
    int count = yolov3(net);
    assert_int_equal(count, 107);
    // The first layer and the second.
    assert_int_equal(vkd_memory_least(net, count), 384);
    assert_int_equal(plan(net, count), 384);
    const int taps[] = {80, 92, 104};
    for (int t = 0; t < 3; ++t)
        net[taps[t]].last = count;
    assert_int_equal(plan(net, count), 384);
}

// Where the outputs are small, the scratch has room beside them.
static void scratch_lies_where_no_output_is(void **state) {
    (void)state;
    const vkd_lifetime chain[] = {{100, 1, 1}, {50, 2, 0},   {10, 3, 90},
                                  {10, 5, 60}, {10, 5, 120}, {10, 6, 0}};
    assert_in_range(plan(chain, 6), 151, 154); // not 150 + 120
    const vkd_lifetime alone[] = {{0, 0, 30}, {5, 1, 10}};
    assert_true(plan(alone, 2) >= 15);
}

// Any reader at all: little above what no plan can go below.
static void random_readers(void **state) {
    (void)state;
    vkd_rng rng;
    vkd_rng_seed(&rng, 2, 0, 0);
    double excess = 0;
    enum { TRIALS = 300, COUNT = 60 };
    for (int trial = 0; trial < TRIALS; ++trial) {
        vkd_lifetime net[COUNT];
        for (int i = 0; i < COUNT; ++i) {
            int far = vkd_rng_next(&rng) % 4 == 0;
            net[i] =
                (vkd_lifetime){vkd_rng_next(&rng) % 100,
                               i + (far ? (int)(vkd_rng_next(&rng) % 20) : (int)(vkd_rng_next(&rng) % 2)), 0};
        }
        excess += (double)plan(net, COUNT) / (double)vkd_memory_least(net, COUNT) - 1;
    }
    if (!(excess / TRIALS < 0.1)) fail_msg("%g above the least", excess / TRIALS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_takes_its_largest_pair),
        cmocka_unit_test(one_and_none),
        cmocka_unit_test(what_is_kept_is_never_overwritten),
        cmocka_unit_test(residual_blocks_take_three),
        cmocka_unit_test(routes_of_yolov3),
        cmocka_unit_test(scratch_lies_where_no_output_is),
        cmocka_unit_test(random_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
