/* Patch 180: a cfg that is none is one line with its place. What its sections say:
 * tests/host/test_darknet_cfg.c. */
#include "child.h"

#include "darknet.h"
#include "utils.h"

#define NET  "[net]\nbatch=1\nwidth=16\nheight=16\nchannels=3\n"                        /* lines 1 to 5 */
#define CONV "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=linear\n" /* 6 to 11 */
#define YOLO "[yolo]\nmask=0\nanchors=8,8\nnum=1\nclasses=3\n"

static void parse(void *text) {
    write_text("t.cfg", text);
    free_network(parse_network_cfg("t.cfg"));
}

static void test_mistakes(void **state) {
    (void)state;
    static char *const bad[][2] = {
        {"batch=1\n" NET CONV, "t.cfg:1: found \"batch=1\", expected [net] before any option"},
        {"", "t.cfg: no sections"},
        {NET, "t.cfg:1: no layers after [net]"},
        {"# a\n" CONV, "t.cfg:2: found [convolutional], expected [net] first"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_dies(parse, bad[i][0], bad[i][1]);
}

static void test_good_cfg(void **state) {
    (void)state;
    child_result r = in_child(parse, NET CONV "[route]\nlayers=-1, 0\n[shortcut]\nfrom=-1\n"
                                              "[convolutional]\nfilters=8\n" YOLO);
    assert_int_equal(r.status, 0);
}

/* A cfg from Windows is the same cfg. */
static void test_carriage_returns(void **state) {
    (void)state;
    write_text("t.cfg", "[net]\r\nbatch=1\r\nwidth=16\r\nheight=16\r\nchannels=3\r\n\r\n# c\r\n"
                        "[convolutional]\r\nfilters=8\r\nactivation=leaky\r\n");
    network *net = parse_network_cfg("t.cfg");
    assert_int_equal(net->n, 1);
    assert_int_equal(net->layers[0].n, 8);
    assert_int_equal(net->layers[0].activation, LEAKY);
    free_network(net);
}

static void test_lists_of_paths(void **state) {
    (void)state;
    write_text("t.list", "a b.jpg\r\nc.jpg\n\nd.jpg");
    static const char *const want[] = {"a b.jpg", "c.jpg", "", "d.jpg"};
    list *l = get_paths("t.list");
    assert_int_equal(l->size, 4);
    char **paths = (char **)list_to_array(l);
    for (int i = 0; i < 4; i++)
        assert_string_equal(paths[i], want[i]);
    free_list_contents(l);
    free_list(l);
    free(paths);
}

/* Regression: a line that starts with a zero byte was looked at before its start. */
static void test_zero_bytes(void **state) {
    (void)state;
    write_bytes("t.list", "\0\0a\nb\n", 6);
    list *l = get_paths("t.list");
    assert_true(l->size >= 1);
    free_list_contents(l);
    free_list(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes),         cmocka_unit_test(test_good_cfg),
        cmocka_unit_test(test_carriage_returns), cmocka_unit_test(test_lists_of_paths),
        cmocka_unit_test(test_zero_bytes),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
