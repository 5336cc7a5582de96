/* Patch 140: as many truths as [yolo] max and [region] max say. */
#include "child.h"

#include "darknet.h"
#include "data.h"
#include "network.h"

#define HEAD          "[net]\nbatch=2\nsubdivisions=1\nwidth=32\nheight=32\nchannels=3\n"
#define CONV          "[convolutional]\nfilters=8\nsize=3\nstride=8\npad=1\nactivation=linear\n"
#define YOLO_MAX(max) "[yolo]\nmask=0\nanchors=8,8\nnum=1\nclasses=3\nmax=" max "\n"

static network *parse(const char *text) {
    write_text("t.cfg", text);
    return parse_network_cfg("t.cfg");
}
static void parse_only(void *text) {
    parse(text);
}

static void test_yolo_truths_follow_max(void **state) {
    (void)state;
    static const int max[] = {1, 3, 90, 200};
    for (int i = 0; i < 4; i++) {
        char text[1024];
        snprintf(text, sizeof(text), HEAD CONV YOLO_MAX("%d"), max[i]);
        network *net = parse(text);
        assert_int_equal(net->layers[1].max_boxes, max[i]);
        assert_int_equal(net->layers[1].truths, 5 * max[i]);
        assert_int_equal(net->truths, 5 * max[i]);
        free_network(net);
    }
}

static void test_region_truths_follow_max(void **state) {
    (void)state;
    network *net = parse(HEAD CONV "[region]\nanchors=1,1\nnum=1\nclasses=3\ncoords=4\nmax=77\n");
    assert_int_equal(net->truths, 5 * 77);
    free_network(net);
}

/* The loader makes one truth for all heads, with the last one's max. */
static void test_heads_share_the_largest_max(void **state) {
    (void)state;
    network *net = parse(HEAD CONV YOLO_MAX("200") "[route]\nlayers=-2\n" YOLO_MAX("7"));
    assert_int_equal(net->layers[1].truths, 1000);
    assert_int_equal(net->layers[3].truths, 1000);
    assert_int_equal(net->layers[3].max_boxes, 200);
    assert_int_equal(net->truths, 1000);
    free_network(net);
}

/* Pictures through the loader and a training step: each one's boxes must be read as its own. */
static void test_loader_and_layer_agree(void **state) {
    (void)state;
    write_picture("a.ppm", 32, 32);
    write_picture("b.ppm", 32, 32);
    FILE *a = fopen("a.txt", "w"), *b = fopen("b.txt", "w");
    assert_true(a && b);
    for (int i = 0; i < 120; i++)
        fprintf(a, "1 0.5 0.5 0.4 0.4\n");
    for (int i = 0; i < 5; i++)
        fprintf(b, "2 0.5 0.5 0.4 0.4\n");
    fclose(a);
    fclose(b);
    static const int max[] = {2, 200};
    for (int m = 0; m < 2; m++) {
        char text[1024];
        snprintf(text, sizeof(text), HEAD CONV YOLO_MAX("%d"), max[m]);
        network *net = parse(text);
        char *paths[2] = {"a.ppm", "b.ppm"};
        data d = load_data_detection(2, paths, 2, 32, 32, net->layers[1].max_boxes, 3, 0, 0, 1, 1);
        assert_int_equal(d.y.cols, net->truths);
        get_next_batch(d, 2, 0, net->input, net->truth);
        /* The loader draws at random: class 1 is the picture with 120 boxes, class 2 the one with 5. */
        for (int i = 0; i < 2; i++) {
            const float *truth = net->truth + i * net->truths;
            int boxes = truth[4] == 1 ? 120 : 5, seen = 0;
            while (seen < max[m] && truth[5 * seen]) {
                assert_true(truth[5 * seen + 4] == truth[4]);
                seen++;
            }
            assert_int_equal(seen, max[m] < boxes ? max[m] : boxes);
        }
        net->train = 1;
        forward_network(net);
        free_data(d);
        free_network(net);
    }
}

static void test_max_below_one(void **state) {
    (void)state;
    assert_dies(parse_only, HEAD CONV YOLO_MAX("0"),
                "t.cfg:18: [yolo] max: 0 is out of range; expected an integer >= 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yolo_truths_follow_max),
        cmocka_unit_test(test_region_truths_follow_max),
        cmocka_unit_test(test_heads_share_the_largest_max),
        cmocka_unit_test(test_loader_and_layer_agree),
        cmocka_unit_test(test_max_below_one),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
