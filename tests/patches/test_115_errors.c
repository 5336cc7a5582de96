/* Patch 115: errors are one line and exit status 1. */
#include "child.h"

#include "darknet.h"
#include "utils.h"

static void load_picture(void *name) {
    load_image_color(name, 0, 0);
}
static void load_list(void *name) {
    get_paths(name);
}
static void load_data_file(void *name) {
    read_data_cfg(name);
}
static void load_cfg(void *name) {
    parse_network_cfg(name);
}
static void call_error(void *text) {
    error(text);
}

static void test_missing_files(void **state) {
    (void)state;
    assert_dies(load_list, "none.list", "none.list: cannot be opened: No such file or directory");
    assert_dies(load_data_file, "none.data", "none.data: cannot be opened: No such file or directory");
    assert_dies(load_cfg, "none.cfg", "none.cfg: cannot be opened: No such file or directory");
}

static void test_unreadable_picture(void **state) {
    (void)state;
    write_text("text.jpg", "this is no picture");
    child_result r = in_child(load_picture, "text.jpg");
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(last_line(&r), "text.jpg: the picture cannot be read"));
}

/* Patch 157. Regression: the rest of a cut picture was memory as malloc() left it. */
static void test_cut_pnm(void **state) {
    (void)state;
    write_picture("whole.ppm", 40, 30);
    size_t n = 0;
    unsigned char *bytes = read_bytes("whole.ppm", &n);
    assert_true(bytes && n > 40);
    write_bytes("cut.ppm", bytes, n - 1);
    free(bytes);
    load_picture("whole.ppm");
    child_result r = in_child(load_picture, "cut.ppm");
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(last_line(&r), "cut.ppm: the picture cannot be read"));
}

static void test_error_is_no_core_dump(void **state) {
    (void)state;
    assert_dies(call_error, "something is wrong", "something is wrong");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_unreadable_picture),
        cmocka_unit_test(test_cut_pnm),
        cmocka_unit_test(test_error_is_no_core_dump),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
