#include "reference_target.h"

#include "core/foreground.h"

enum { max_boxes = 3, h = 4, w = 8, cells = h * w };

// The weights of two pictures; box lists end at x = 0.
static void weights_of(const float boxes[2][max_boxes][5], double share, float *weight) {
    vkd_foreground_weights(&boxes[0][0][0], 2, max_boxes, h, w, share, NULL, weight);
}

static void cells_in_a_box(void **state) {
    (void)state;
    // x 0.25..0.75 of 8 cells: the centres of cells 2 to 5. y 0.5..1 of 4: rows 2 and 3.
    const float boxes[2][max_boxes][5] = {{{0.5f, 0.75f, 0.5f, 0.5f, 0}}};
    float weight[2 * cells];
    weights_of(boxes, 0.75, weight);
    double on = 0.75 * 2 * cells / 8, off = 0.25 * 2 * cells / (2 * cells - 8), sum = 0;
    for (int i = 0; i < 2 * cells; ++i) {
        int y = i / w, x = i % w;
        bool inside = i < cells && y >= 2 && x >= 2 && x <= 5;
        assert_below(fabs(weight[i] - (inside ? on : off)), 1e-6);
        sum += weight[i];
    }
    assert_below(fabs(sum / (2 * cells) - 1), 1e-6);
}

static void a_small_box_has_its_own_cell(void **state) {
    (void)state;
    const float boxes[2][max_boxes][5] = {{{0}},
                                          {{0.99f, 0.01f, 0.01f, 0.01f, 3}, {0.3f, 0.6f, 0.001f, 0.001f, 1}}};
    float weight[2 * cells];
    weights_of(boxes, 1, weight);
    for (int i = 0; i < 2 * cells; ++i) {
        bool inside = i == cells + 7 || i == cells + 2 * w + 2;
        assert_true(weight[i] == inside);
    }
}

static void boxes_over_the_edge_and_each_other(void **state) {
    (void)state;
    const float boxes[2][max_boxes][5] = {
        {{0.01f, 0.5f, 0.5f, 3, 0}, {0.01f, 0.5f, 0.5f, 3, 0}, {1, 1, 0.1f, 0.1f, 0}}};
    float weight[2 * cells];
    weights_of(boxes, 1, weight);
    for (int i = 0; i < 2 * cells; ++i) { // columns 0 and 1 once, and the last cell
        bool inside = i < cells && (i % w < 2 || i == cells - 1);
        assert_true(weight[i] == inside);
    }
}

static void one_side_empty(void **state) {
    (void)state;
    const float none[2][max_boxes][5] = {{{0}}},
                all[2][max_boxes][5] = {{{0.5f, 0.5f, 1, 1, 0}}, {{0.5f, 0.5f, 1, 1, 0}}};
    float weight[2 * cells];
    for (int full = 0; full < 2; ++full) {
        weights_of(full ? all : none, 0.9, weight);
        for (int i = 0; i < 2 * cells; ++i)
            assert_true(weight[i] == 1);
    }
}

// With a share of 1 the weights are the mask of what counts, and may be made of one: no object, no sample.
static void objects_alone(void **state) {
    (void)state;
    const float none[2][max_boxes][5] = {{{0}}}, one[2][max_boxes][5] = {{{0.5f, 0.5f, 0.5f, 1, 0}}};
    float mask[2 * cells];
    weights_of(none, 1, mask);
    for (int i = 0; i < 2 * cells; ++i)
        assert_true(mask[i] == 0);
    for (int i = 0; i < 2 * cells; ++i)
        mask[i] = i % w >= 5;
    vkd_foreground_weights(&one[0][0][0], 2, max_boxes, h, w, 1, mask, mask);
    for (int i = 0; i < 2 * cells; ++i)
        assert_true(mask[i] == (i < cells && i % w == 5));
}

// A box that lies mostly in the padding: what is left of it has the whole share, and the background that
// counts the rest.
static void padding_is_on_no_side(void **state) {
    (void)state;
    const float boxes[2][max_boxes][5] = {{{0.5f, 0.5f, 0.5f, 1, 0}}};
    float weight[2 * cells], mask[2 * cells];
    for (int i = 0; i < 2 * cells; ++i)
        mask[i] = i % w >= 5;
    vkd_foreground_weights(&boxes[0][0][0], 2, max_boxes, h, w, 0.75, mask, weight);
    double counting = 2 * cells * 3.0 / 8, on = 0.75 * counting / 4, off = 0.25 * counting / (counting - 4);
    for (int i = 0; i < 2 * cells; ++i) {
        bool inside = i < cells && i % w == 5;
        assert_below(fabs(weight[i] - (!mask[i] ? 0 : inside ? on : off)), 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_in_a_box),
        cmocka_unit_test(a_small_box_has_its_own_cell),
        cmocka_unit_test(boxes_over_the_edge_and_each_other),
        cmocka_unit_test(one_side_empty),
        cmocka_unit_test(padding_is_on_no_side),
        cmocka_unit_test(objects_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
