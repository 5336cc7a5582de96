/* Patch 150: label files are checked, and found beside the right pictures. */
#include "child.h"

#include <sys/stat.h>

#include "darknet.h"
#include "data.h"

void fill_truth_detection(char *path, int num_boxes, float *truth, int classes, int flip, float dx, float dy,
                          float sx, float sy);

enum { CLASSES = 3, BOXES = 4 };

static void load(void *arg) {
    (void)arg;
    float truth[BOXES * 5] = {0};
    fill_truth_detection("p.jpg", BOXES, truth, CLASSES, 0, 0, 0, 1, 1);
}

static void load_below_a_file(void *arg) {
    (void)arg;
    int n;
    read_boxes_of("file/p.txt", CLASSES, &n);
}

static void test_bad_lines(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"3 .5 .5 .1 .1\n", "p.txt:1: class: found 3, expected an integer from 0 to 2"},
        {"0 .5 .5 .1 .1\n\n-1 .5 .5 .1 .1\n", "p.txt:3: class: found -1, expected an integer from 0 to 2"},
        {"99999999999999999999 .5 .5 .1 .1\n",
         "p.txt:1: class: found 9223372036854775807, expected an integer from 0 to 2"},
        {"nan .5 .5 .1 .1\n", "p.txt:1: class: found \"nan\", expected an integer from 0 to 2"},
        {"1.0 .5 .5 .1 .1\n", "p.txt:1: class: found \"1.0\", expected an integer from 0 to 2"},
        {"1 nan .5 .1 .1\n", "p.txt:1: x: found nan, expected a number"},
        {"1 .5 inf .1 .1\n", "p.txt:1: y: found inf, expected a number"},
        {"1 .5 .5 -.1 .1\n", "p.txt:1: width: found -0.1, expected a number that is not negative"},
        {"1 320 200 64 48\n",
         "p.txt:1: x: found 320, expected a fraction of the picture's width, not pixels"},
        {"1 .5 .5 .1 48\n",
         "p.txt:1: height: found 48, expected a fraction of the picture's height, not pixels"},
        {"1 .5 -1.1 .1 .1\n",
         "p.txt:1: y: found -1.1, expected a fraction of the picture's height, not pixels"},
        {"1 .5 .5 .1 nan\n", "p.txt:1: height: found nan, expected a number that is not negative"},
        {"1 .5 .5 .1\n1 .5 .5 .1 .1\n",
         "p.txt:1: found \"1 .5 .5 .1\", expected five numbers: class x y width height"},
        {"1 .5 .5 .1 .1 .9\r\n",
         "p.txt:1: found \"1 .5 .5 .1 .1 .9\", expected five numbers: class x y width height"},
        {"1 .5 .5 x .1\n", "p.txt:1: found \"1 .5 .5 x .1\", expected five numbers: class x y width height"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        write_text("p.txt", bad[i][0]);
        assert_dies(load, NULL, bad[i][1]);
    }
    remove("p.txt");
}

/* Patch 155: the program ended. */
static void test_no_label_file_is_no_objects(void **state) {
    (void)state;
    int n = 7;
    box_label *boxes = read_boxes_of("none.txt", CLASSES, &n);
    assert_int_equal(n, 0);
    free(boxes);
    float truth[BOXES * 5] = {0};
    fill_truth_detection("none.jpg", BOXES, truth, CLASSES, 0, 0, 0, 1, 1);
    for (int i = 0; i < BOXES * 5; i++)
        assert_true(truth[i] == 0);
    write_text("file", "");
    assert_dies(load_below_a_file, NULL, "file/p.txt: cannot be opened: Not a directory");
    remove("file");
}

static void test_good_lines(void **state) {
    (void)state;
    write_text("p.txt", "  2 0.5 .25 1e-1 0.125 \r\n\n\t0\t.75 .5 .5 .25");
    int n = 0;
    box_label *boxes = read_boxes_of("p.txt", CLASSES, &n);
    assert_int_equal(n, 2);
    assert_int_equal(boxes[0].id, 2);
    assert_true(boxes[0].x == 0.5f && boxes[0].y == 0.25f && boxes[0].w == 0.1f && boxes[0].h == 0.125f);
    assert_true(boxes[1].left == 0.5f && boxes[1].right == 1 && boxes[1].top == 0.375f);
    free(boxes);
    write_text("p.txt", "");
    boxes = read_boxes("p.txt", &n);
    assert_int_equal(n, 0);
    free(boxes);
}

/* Regression: correct_boxes moves a box at exactly (0,0) to 999999, where the head then wrote. */
static void test_box_in_the_corner_is_left_out(void **state) {
    (void)state;
    write_text("p.txt", "1 0 0 .5 .5\n");
    float truth[BOXES * 5] = {0};
    fill_truth_detection("p.jpg", BOXES, truth, CLASSES, 0, 0, 0, 1, 1);
    for (int i = 0; i < BOXES * 5; i++)
        assert_true(truth[i] == 0);
}

static void test_label_paths(void **state) {
    (void)state;
    static const char *const paths[][2] = {
        {"a/images/p.jpg", "a/labels/p.txt"},
        {"a/images/train2014/p.jpg", "a/labels/train2014/p.txt"},
        {"VOC/JPEGImages/p.jpg", "VOC/labels/p.txt"},
        {"/raw/a/images/p.png", "/raw/a/labels/p.txt"},
        {"/images/raw/p.png", "/images/labels/p.txt"},
        {"/data/images/old/images/p.JPG", "/data/images/old/labels/p.txt"},
        {"/drawer/images/p.jpeg", "/drawer/labels/p.txt"},
        {"/my_images/p.bmp", "/my_labels/p.txt"},
        {"/data/raw_images.jpg.d/p.jpg", "/data/raw_labels.jpg.d/p.txt"},
        {"here/images.jpg", "here/images.txt"},
        {"p.jpg", "p.txt"},
        {"a.b/p", "a.b/p.txt"},
        {"images/p.v1.jpg", "labels/p.v1.txt"},
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        char got[4096];
        labels_of_image(paths[i][0], got, sizeof(got));
        assert_string_equal(got, paths[i][1]);
    }
}

static void path_in_ten(void *path) {
    char got[10];
    labels_of_image(path, got, sizeof(got));
}

static void test_path_that_does_not_fit(void **state) {
    (void)state;
    assert_dies(path_in_ten, "12345678.jpg",
                "12345678.jpg: the path of its labels is longer than 9 characters");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_lines),   cmocka_unit_test(test_no_label_file_is_no_objects),
        cmocka_unit_test(test_good_lines),  cmocka_unit_test(test_box_in_the_corner_is_left_out),
        cmocka_unit_test(test_label_paths), cmocka_unit_test(test_path_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
