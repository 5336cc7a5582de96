/* Patch 160: a weights file fits its cfg or is refused, and is saved whole or not at all. */
#include "child.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "darknet.h"

/* Floats: layer 0 has 4 * 4 + 4 * 3 * 9 = 124, layer 2 has 8 + 8 * 4 = 40. */
#define CFG                                                                                                  \
    "[net]\nbatch=1\nwidth=16\nheight=16\nchannels=3\n"                                                      \
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n"             \
    "[maxpool]\nsize=2\nstride=2\n"                                                                          \
    "[convolutional]\nfilters=8\nsize=1\nstride=1\nactivation=linear\n"                                      \
    "[yolo]\nmask=0\nanchors=8,8\nnum=1\nclasses=3\n"

enum { HEADER = 20, FIRST = 124 * 4, SECOND = 40 * 4, WHOLE = HEADER + FIRST + SECOND };

static network *new_network(void) {
    write_text("t.cfg", CFG);
    return parse_network_cfg("t.cfg");
}

/* Saves a network of known weights; returns the file's bytes. */
static unsigned char *saved(void) {
    network *net = new_network();
    for (int i = 0; i < 108; i++)
        net->layers[0].weights[i] = (float)i;
    for (int i = 0; i < 32; i++)
        net->layers[2].weights[i] = (float)-i;
    *net->seen = ((size_t)3 << 32) + 5;
    save_weights(net, "w.weights");
    free_network(net);
    size_t n = 0;
    unsigned char *bytes = read_bytes("w.weights", &n);
    assert_int_equal(n, WHOLE);
    return bytes;
}

static void load(void *name) {
    network *net = new_network();
    load_weights(net, name);
    free_network(net);
}

static void test_round_trip(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    assert_int_not_equal(access("w.weights.part", F_OK), 0);
    network *net = new_network();
    load_weights(net, "w.weights");
    assert_true(*net->seen == ((size_t)3 << 32) + 5);
    for (int i = 0; i < 108; i++)
        assert_true(net->layers[0].weights[i] == (float)i);
    for (int i = 0; i < 32; i++)
        assert_true(net->layers[2].weights[i] == (float)-i);
    save_weights(net, "again.weights");
    size_t n = 0;
    unsigned char *again = read_bytes("again.weights", &n);
    assert_int_equal(n, WHOLE);
    assert_memory_equal(bytes, again, WHOLE);
    free(bytes);
    free(again);
    free_network(net);
}

/* Version 0.1 files count what was seen in 32 bits. */
static void test_old_header(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    int header[4] = {0, 1, 0, 1234};
    memcpy(bytes + 4, header, sizeof(header));
    write_bytes("old.weights", bytes + 4, WHOLE - 4);
    network *net = new_network();
    load_weights(net, "old.weights");
    assert_true(*net->seen == 1234);
    assert_true(net->layers[2].weights[31] == -31);
    free_network(net);
    free(bytes);
}

static void refuse(const unsigned char *bytes, size_t n, const char *message) {
    write_bytes("bad.weights", bytes, n);
    assert_dies(load, "bad.weights", message);
}

static void test_misfits_are_refused(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    refuse(bytes, 0, "bad.weights: the file ends within its header");
    refuse(bytes, HEADER - 1, "bad.weights: the file ends within its header");
    refuse(bytes, HEADER, "bad.weights: layer 0 (convolutional): found 0 bytes, expected 496");
    refuse(bytes, HEADER + FIRST - 4, "bad.weights: layer 0 (convolutional): found 492 bytes, expected 496");
    refuse(bytes, WHOLE - 1, "bad.weights: layer 2 (convolutional): found 159 bytes, expected 160");
    unsigned char longer[WHOLE + 4];
    memcpy(longer, bytes, WHOLE);
    memset(longer + WHOLE, 0, 4);
    refuse(longer, WHOLE + 4,
           "bad.weights: found 4 bytes after the last of 4 layers, expected none: these are another cfg's "
           "weights");
    assert_dies(load, "none.weights", "none.weights: cannot be opened: No such file or directory");
    free(bytes);
}

static void load_backbone(void *arg) {
    network *net = new_network();
    (void)arg;
    float before = net->layers[2].weights[31];
    load_weights(net, "backbone.conv.2");
    if (net->layers[0].weights[107] != 107 || net->layers[2].weights[31] != before) _exit(3);
}

/* Users start from darknet53.conv.74 and the like: the rest keeps its random start, and the program says so.
 */
static void test_backbone_is_accepted(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    write_bytes("backbone.conv.2", bytes, HEADER + FIRST);
    child_result r = in_child(load_backbone, NULL);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.err, "weights for the first 2 of 4 layers; the rest keeps its initialisation"));
    free(bytes);
}

/* `darknet partial` reads the first layers of a longer file. */
static void test_cutoff_leaves_the_rest_unread(void **state) {
    (void)state;
    free(saved());
    network *net = new_network();
    float before = net->layers[2].weights[31];
    load_weights_upto(net, "w.weights", 0, 2);
    assert_true(net->layers[0].weights[107] == 107);
    assert_true(net->layers[2].weights[31] == before);
    free_network(net);
}

static void save_on_full_disk(void *arg) {
    (void)arg;
    network *net = new_network();
    struct rlimit limit = {WHOLE / 2, WHOLE / 2};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    save_weights(net, "w.weights");
}

static void save_to_full_device(void *arg) {
    (void)arg;
    save_weights(new_network(), "/dev/full");
}

static void test_failed_save_keeps_the_old_file(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    assert_dies(save_on_full_disk, NULL, "w.weights: cannot be written: File too large");
    size_t n = 0;
    unsigned char *after = read_bytes("w.weights", &n);
    assert_int_equal(n, WHOLE);
    assert_memory_equal(bytes, after, WHOLE);
    assert_int_not_equal(access("w.weights.part", F_OK), 0);
    free(after);
    free(bytes);
    if (access("/dev/full", W_OK) == 0)
        assert_dies(save_to_full_device, NULL, "/dev/full: cannot be written: No space left on device");
}

static void save_nan(void *arg) {
    network *net = new_network();
    *net->seen = 7;
    net->layers[2].biases[*(int *)arg] = NAN;
    save_weights(net, "w.weights");
}

static void save_negative_variance(void *arg) {
    (void)arg;
    network *net = new_network();
    net->layers[0].rolling_variance[3] = -2;
    save_weights(net, "w.weights");
}

/* They would be refused when they are loaded, and the last good ones were gone. */
static void test_bad_weights_keep_the_old_file(void **state) {
    (void)state;
    unsigned char *bytes = saved();
    int last = 7;
    assert_dies(save_nan, &last,
                "w.weights: batch 7: layer 2 (convolutional): found nan among its biases; it is not written, "
                "earlier checkpoints stay: lower the learning rate or lengthen burn_in");
    assert_dies(
        save_negative_variance, NULL,
        "w.weights: batch 0: layer 0 (convolutional): found -2 among its variances; it is not written, "
        "earlier checkpoints stay: lower the learning rate or lengthen burn_in");
    size_t n = 0;
    unsigned char *after = read_bytes("w.weights", &n);
    assert_int_equal(n, WHOLE);
    assert_memory_equal(bytes, after, WHOLE);
    free(after);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_old_header),
        cmocka_unit_test(test_misfits_are_refused),
        cmocka_unit_test(test_backbone_is_accepted),
        cmocka_unit_test(test_cutoff_leaves_the_rest_unread),
        cmocka_unit_test(test_failed_save_keeps_the_old_file),
        cmocka_unit_test(test_bad_weights_keep_the_old_file),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
