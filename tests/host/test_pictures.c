// Pictures as a network takes them: letterboxed, with their boxes in the same frame.
#include "host/small_nets.h"

#include "host/pictures.h"

#include <sys/stat.h>

// Of Darknet's own letterboxing: grey where the padding is.
static bool is_padding(const float *picture, int x, int y) {
    for (int c = 0; c < 3; ++c)
        if (picture[(c * 16 + y) * 32 + x] != 0.5f) return false;
    return true;
}

static network *student(void) {
    return make_student(NET(2, 32, 16) "\n" CONV_BN(5, 3, 2, leaky) HEAD);
}

static void load(const network *net, char *path, float *input, float *truth, vkd_frame *place) {
    char *paths[] = {path};
    vkd_pictures_load(net, paths, 1, input, truth, place);
}

static void assert_box(const float *box, float x, float y, float w, float h, int class_id) {
    const float expected[] = {x, y, w, h, (float)class_id};
    for (int i = 0; i < 5; ++i)
        assert_float_equal(box[i], expected[i], 1e-6);
}

// 32 x 16 holds a square of 8 as 16 x 16 in its middle, and a picture of 40 x 10 as 32 x 8.
static void test_place_and_padding(void **state) {
    (void)state;
    network *net = student();
    float *input = calloc((size_t)net->inputs, sizeof *input);
    vkd_frame r;
    write_picture("square.ppm", 8, 8);
    load(net, "square.ppm", input, NULL, &r);
    assert_true(r.left == 0.25f && r.top == 0 && r.right == 0.75f && r.bottom == 1);
    for (int y = 0; y < 16; ++y)
        for (int x = 0; x < 32; ++x)
            assert_int_equal(is_padding(input, x, y), x < 8 || x >= 24);
    write_picture("flat.ppm", 40, 10);
    load(net, "flat.ppm", input, NULL, &r);
    assert_true(r.left == 0 && r.top == 0.25f && r.right == 1 && r.bottom == 0.75f);
    for (int y = 0; y < 16; ++y)
        for (int x = 0; x < 32; ++x)
            assert_int_equal(is_padding(input, x, y), y < 4 || y >= 12);
    free(input);
    free_network(net);
}

static void test_boxes_move_with_the_picture(void **state) {
    (void)state;
    network *net = student();
    assert_int_equal(net->truths, 90 * 5);
    float *input = calloc((size_t)net->inputs, sizeof *input);
    float *truth = calloc((size_t)net->truths, sizeof *truth);
    write_picture("boxes.ppm", 8, 8);
    // The second has no place, the third no size; the last is cut at the input's upper edge, not at the
    // picture's left.
    write_text("boxes.txt", "1 0.5 0.25 0.5 0.5\n0 0 0 0.1 0.1\n0 0.5 0.5 0 0\n0 0 0.1 0.4 0.4\n");
    load(net, "boxes.ppm", input, truth, NULL);
    assert_box(truth, 0.5f, 0.25f, 0.25f, 0.5f, 1);
    assert_box(truth + 5, 0.25f, 0.15f, 0.2f, 0.3f, 0);
    for (int i = 10; i < net->truths; ++i)
        assert_true(truth[i] == 0);
    free(truth);
    free(input);
    free_network(net);
}

static void test_several_pictures(void **state) {
    (void)state;
    network *net = student();
    write_picture("first.ppm", 32, 16);
    write_picture("empty.ppm", 32, 16); // no label file: no objects
    write_picture("last.ppm", 8, 8);
    write_text("first.txt", "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.2 0.2\n");
    write_text("last.txt", "1 0.5 0.5 1 1\n");
    char *paths[] = {"first.ppm", "empty.ppm", "last.ppm"};
    size_t inputs = (size_t)net->inputs, truths = (size_t)net->truths;
    float *input = calloc(3 * inputs, sizeof *input), *truth = malloc(3 * truths * sizeof *truth);
    float *one = calloc(inputs, sizeof *one);
    for (size_t i = 0; i < 3 * truths; ++i)
        truth[i] = 7; // all of it is written
    vkd_pictures_load(net, paths, 3, input, truth, NULL);
    assert_box(truth, 0.5f, 0.5f, 0.5f, 0.5f, 0);
    assert_box(truth + 5, 0.5f, 0.5f, 0.2f, 0.2f, 1);
    for (size_t i = 10; i < 2 * truths; ++i)
        assert_true(truth[i] == 0);
    assert_box(truth + 2 * truths, 0.5f, 0.5f, 0.5f, 1, 1);
    assert_true(truth[2 * truths + 5] == 0);
    load(net, "last.ppm", one, NULL, NULL);
    assert_memory_equal(one, input + 2 * inputs, inputs * sizeof *one);
    free(one);
    free(truth);
    free(input);
    free_network(net);
}

// [yolo] max holds so many boxes; the rest is left out, and the next picture's stay its own.
static void test_more_boxes_than_max(void **state) {
    (void)state;
    network *net = make_student(NET(2, 32, 16) "\n" CONV_BN(5, 3, 2, leaky) HEAD "max=2\n");
    assert_int_equal(net->truths, 10);
    write_picture("many.ppm", 32, 16);
    write_text("many.txt", "0 0.1 0.5 0.1 0.1\n0 0.2 0.5 0.1 0.1\n0 0.3 0.5 0.1 0.1\n");
    char *paths[] = {"many.ppm", "many.ppm"};
    float *input = calloc(2 * (size_t)net->inputs, sizeof *input), truth[20];
    vkd_pictures_load(net, paths, 2, input, truth, NULL);
    for (int i = 0; i < 2; ++i) {
        assert_box(truth + 10 * i, 0.1f, 0.5f, 0.1f, 0.1f, 0);
        assert_box(truth + 10 * i + 5, 0.2f, 0.5f, 0.1f, 0.1f, 0);
    }
    free(input);
    free_network(net);
}

static void test_no_head_no_truth(void **state) {
    (void)state;
    // make_student would put a box into its two truths.
    write_text("classifier.cfg",
               NET(1, 32, 16) "\n" CONV(2, 3, 2, leaky) "[avgpool]\n\n[softmax]\ngroups=1\n");
    network *net = load_network("classifier.cfg", NULL, 0);
    assert_int_equal(net->truths, 2);
    write_picture("class.ppm", 32, 16);
    write_text("class.txt", "0 0.1 0.5 0.1 0.1\n");
    float *input = calloc((size_t)net->inputs, sizeof *input), truth[2] = {7, 7};
    load(net, "class.ppm", input, truth, NULL);
    assert_true(truth[0] == 0 && truth[1] == 0);
    free(input);
    free_network(net);
}

// ---- the user's mistakes ----

static const char *wrong_path;
static void load_wrong(void *cfg) {
    network *net = make_student(cfg ? cfg : NET(1, 32, 16) "\n" CONV_BN(5, 3, 2, leaky) HEAD);
    float *input = calloc((size_t)net->inputs, sizeof *input),
          *truth = calloc((size_t)net->truths, sizeof *truth);
    load(net, (char *)wrong_path, input, truth, NULL);
}

static void test_wrong_pictures(void **state) {
    (void)state;
    wrong_path = "none.ppm";
    assert_dies(load_wrong, NULL, "none.ppm: No such file or directory");
    write_text("text.ppm", "this is no picture\n");
    wrong_path = "text.ppm";
    child_result r = in_child(load_wrong, NULL);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(last_line(&r), "text.ppm: the picture cannot be read"));
    write_picture("class9.ppm", 8, 8);
    write_text("class9.txt", "0 0.5 0.5 1 1\n9 0.5 0.5 1 1\n");
    wrong_path = "class9.ppm";
    assert_dies(load_wrong, NULL, "class9.txt:2: class: found 9, expected an integer from 0 to 1");
    assert_dies(load_wrong,
                "[net]\nbatch=1\nwidth=8\nheight=8\nchannels=5\nmax_batches=9\n\n" CONV(2, 3, 1, leaky),
                "the network takes 5 channels; expected 1 or 3, as pictures have");
}

// ---- JPEG pictures that are cut ----

static void assert_cut(const unsigned char *bytes, size_t n, bool cut) {
    write_bytes("p.jpg", bytes, n);
    const char *why = vkd_cut_picture("p.jpg");
    assert_int_equal(why != NULL, cut);
    if (cut) assert_string_equal(why, "a JPEG without its end");
}

static void test_cut_jpeg(void **state) {
    (void)state;
    size_t n = 0;
    char photograph[sizeof darknet_folder + 32];
    snprintf(photograph, sizeof photograph, "%s/data/eagle.jpg", darknet_folder);
    unsigned char *bytes = read_bytes(photograph, &n);
    assert_true(bytes && n > 100000);
    for (size_t left = 3; left < n; left += left < 1000 ? 1 : 997)
        assert_cut(bytes, left, true);
    assert_cut(bytes, n - 1, true);
    assert_cut(bytes, n, false);
    free(bytes);
    // A thumbnail has an end of its own; in a scan 0xff00 is data and 0xffd0 a restart; what comes behind the
    // end does not matter, nor what is no JPEG.
    const unsigned char whole[] = {0xff, 0xd8, 0xff, 0xe1, 0, 6,    0xff, 0xd8, 0xff, 0xd9, 0xff, 0xda, 0,  2,
                                   1,    0xff, 0,    0xff, 0, 0xff, 0xd0, 7,    0xff, 0xff, 0xd9, 'x',  'y'};
    for (size_t left = 3; left < sizeof whole; ++left)
        assert_cut(whole, left, left < sizeof whole - 2);
    assert_cut((const unsigned char *)"P6 1 1 255 abc", 14, false);
    assert_cut(whole, 0, false); // its reader tells
    assert_null(vkd_cut_picture("none.jpg"));
}

static void read_list(void *data) {
    vkd_picture_list_read(data);
}

static void test_list(void **state) {
    (void)state;
    write_text("a.data", "classes=2\ntrain=list.txt\n");
    write_text("list.txt", "b.ppm\r\n\na.ppm\nc.ppm");
    vkd_picture_list list = vkd_picture_list_read("a.data");
    assert_int_equal(list.count, 3);
    assert_string_equal(list.file, "list.txt");
    assert_string_equal(list.paths[0], "b.ppm");
    assert_string_equal(list.paths[1], "a.ppm");
    assert_string_equal(list.paths[2], "c.ppm");
    vkd_picture_list_free(&list);
    assert_null(list.paths);
    write_text("list.txt", "\n\n");
    assert_dies(read_list, "a.data", "list.txt: no pictures");
    write_text("b.data", "classes=2\n");
    assert_dies(read_list, "b.data", "b.data: train: missing; expected the list of training pictures");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_and_padding), cmocka_unit_test(test_boxes_move_with_the_picture),
        cmocka_unit_test(test_several_pictures),  cmocka_unit_test(test_more_boxes_than_max),
        cmocka_unit_test(test_no_head_no_truth),  cmocka_unit_test(test_wrong_pictures),
        cmocka_unit_test(test_cut_jpeg),          cmocka_unit_test(test_list),
    };
    gpu_index = -1; /* as main() does in a build without a GPU */
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
