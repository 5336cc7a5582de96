/* Patch 170: names have the room they need, and free_network frees what parse_network_cfg made. */
#include "child.h"
#include "heap.h"

#include <sys/stat.h>

#include "darknet.h"

#define CFG                                                                                                  \
    "[net]\nbatch=1\nwidth=64\nheight=64\nchannels=3\npolicy=steps\nsteps=10,20\nscales=.1,.1\nadam=1\n"     \
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"             \
    "[maxpool]\nsize=8\nstride=8\n"                                                                          \
    "[convolutional]\nfilters=8\nsize=1\nstride=1\nactivation=linear\n"                                      \
    "[yolo]\nmask=0\nanchors=8,8\nnum=1\nclasses=3\n"

static void test_new_string(void **state) {
    (void)state;
    char longest[1000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char *s = new_string("%s/%s_%d.weights", longest, "base", 7);
    assert_int_equal(strlen(s), 999 + strlen("/base_7.weights"));
    assert_string_equal(s + 999, "/base_7.weights");
    free(s);
}

/* Regression: a name of 256 characters or more was cut and not terminated. */
static void test_picture_with_a_long_name(void **state) {
    (void)state;
    char name[512] = "", command[2048];
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(name);
        memset(name + n, 'd', 100);
        strcpy(name + n + 100, "/");
        assert_int_equal(mkdir(name, 0777), 0);
    }
    strcat(name, "p.ppm");
    write_picture(name, 64, 64);
    write_text("t.cfg", CFG);
    write_text("t.names", "a\nb\nc\n");
    snprintf(command, sizeof(command), "names=%s/t.names\n", folder);
    write_text("t.data", command);
    network *net = parse_network_cfg("t.cfg");
    save_weights(net, "t.weights");
    free_network(net);
    snprintf(command, sizeof(command),
             "cd \"$VKD_DARKNET\""
             " && ./darknet detector test %s/t.data %s/t.cfg %s/t.weights %s/%s -out %s/out "
             "2>&1 | grep -q '%s: Predicted'",
             folder, folder, folder, folder, name, folder, name);
    assert_int_equal(system(command), 0);
}

#if HEAP_IS_KNOWN
static void parse_and_free(void) {
    network *net = parse_network_cfg("t.cfg");
    free_network(net);
}

static void test_free_network_frees_all(void **state) {
    (void)state;
    write_text("t.cfg", CFG);
    /* stdio's buffers, and malloc's caches of freed blocks, which count as in use */
    for (int i = 0; i < 20; i++)
        parse_and_free();
    size_t before = in_use();
    for (int i = 0; i < 10; i++)
        parse_and_free();
    assert_int_equal(in_use(), before);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_string),
        cmocka_unit_test(test_picture_with_a_long_name),
#if HEAP_IS_KNOWN
        cmocka_unit_test(test_free_network_frees_all),
#endif
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
