/* Patch 428: files that order classes in a tree, or map a label's class to another. */
#include "child.h"

#include "darknet.h"
#include "tree.h"
#include "utils.h"

#define NET "[net]\nbatch=1\nwidth=4\nheight=1\nchannels=1\n"

static void read_it(void *text) {
    write_text("t.tree", text);
    read_tree("t.tree");
}

static void parse(void *cfg) {
    write_text("t.cfg", cfg);
    free_network(parse_network_cfg("t.cfg"));
}

static void test_trees(void **state) {
    (void)state;
    static char *const bad[][2] = {
        {"a -1\nb 2\nc 0\n",
         "t.tree:2: found \"b 2\"; expected a name and the number of an earlier line, from 0, or -1"},
        {"a -1\nb 1\n",
         "t.tree:2: found \"b 1\"; expected a name and the number of an earlier line, from 0, or -1"},
        {"a -2\n",
         "t.tree:1: found \"a -2\"; expected a name and the number of an earlier line, from 0, or -1"},
        {"a\n", "t.tree:1: found \"a\"; expected a name and the number of an earlier line, from 0, or -1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_dies(read_it, bad[i][0], bad[i][1]);
    char name[400];
    memset(name, 'n', sizeof name);
    strcpy(name + sizeof name - 4, " -1");
    child_result r = in_child(read_it, name);
    assert_int_equal(r.status, 1); // the number is not found behind 255 letters

    write_text("t.tree", "a -1\nb -1\nc 0\nd 0\n");
    tree *t = read_tree("t.tree");
    assert_int_equal(t->n, 4);
    assert_int_equal(t->groups, 2);
    assert_int_equal(t->child[0], 1);
    assert_int_equal(t->leaf[0], 0);
    assert_int_equal(t->leaf[3], 1);
    assert_dies(parse, NET "[softmax]\ntree=none\n",
                "t.cfg:7: [softmax] tree: none: No such file or directory");
    child_result fits = in_child(parse, NET "[softmax]\ntree=t.tree\n");
    assert_int_equal(fits.status, 0);
    assert_dies(parse, NET "[convolutional]\nfilters=2\n[softmax]\ntree=t.tree\n",
                "t.tree: found 4 nodes; expected 8, a line a class");
}

static void map_it(void *text) {
    write_text("t.map", text);
    int *map = read_class_map("t.map", 3);
    printf("%d", map[0]);
    mapped_class(map, 1);
    mapped_class(map, 2);
}

static void test_maps(void **state) {
    (void)state;
    assert_dies(map_it, "1\n3\n", "t.map:2: found \"3\"; expected a class from 0 to 2");
    assert_dies(map_it, "1\n-1\n", "t.map:2: found \"-1\"; expected a class from 0 to 2");
    assert_dies(map_it, "1\nx\n", "t.map:2: found \"x\"; expected a class from 0 to 2");
    assert_dies(map_it, "1\n1 2\n", "t.map:2: found \"1 2\"; expected a class from 0 to 2");
    assert_dies(map_it, "1\n0\n", "class 2 of a label file: map= has no line for it");
    child_result r = in_child(map_it, "2\r\n0\n1\n7\n");
    assert_int_equal(r.status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees), cmocka_unit_test(test_maps)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
