// Text from the options: the plain student of a cfg, and the reference of all keys.
#define _POSIX_C_SOURCE 200809L

#include "temporary_cfg.h"

#include "core/option_table.h"

static void assert_strips_to(const char *text, const char *plain) {
    char *out = NULL;
    size_t length = 0;
    vkd_error err;
    assert_int_equal(vkd_cfg_strip(write_cfg(text), &out, &length, &err), VKD_OK);
    unlink(written);
    assert_string_equal(out, plain);
    assert_int_equal(length, strlen(plain));
    free(out);
}

static void strip_leaves_the_plain_student(void **state) {
    (void)state;
    assert_strips_to(STUDENT, STUDENT);
    assert_strips_to("", "");
    assert_strips_to(STUDENT "[vkd_projection]\nfrom=1", STUDENT);
    assert_strips_to(STUDENT "[vkd_projection] # left\nfrom=1\n[vkd_projecton]\nfrom=2", STUDENT);
    // every byte of what is not ours stays: white space, CRLF, comments, a last line without a newline
    assert_strips_to(
        "#h\r\n[net]\r\nteacher_cfg = a b.cfg\r\n batch = 1 #x\r\n teacher_resize=1\r\nteacher_weights=w\r\n"
        "[vkd_whiten]\r\n# inner\r\nmode=none\r\n\r\n[vkd_projection]\r\nfrom=0\r\n\r\n# the neck\r\n"
        "[convolutional]\r\n filters=4\r\nteacher_cfg=not in net\r\n\r\n[ vkd_projection ]\r\nbad "
        "line\r\n\r\n"
        "[yolo]\t\r\nmask = 0",
        "#h\r\n[net]\r\n batch = 1 #x\r\n\r\n\r\n# the neck\r\n[convolutional]\r\n filters=4\r\n"
        "teacher_cfg=not in net\r\n\r\n\r\n[yolo]\t\r\nmask = 0");
}

// What strip leaves has no tap, no teacher and the same layers; stripping it again changes nothing.
static void strip_agrees_with_read(void **state) {
    (void)state;
    vkd_cfg cfg;
    char *plain = NULL, *again = NULL;
    vkd_error err;
    const char *text = "[net]\nteacher_cfg=t\n[vkd_projection]\nfrom=1\nteacher_from=1\n[convolutional]\n"
                       "[convolutional]\n[vkd_whiten]\nmode=none\n[vkd_projection]\nteacher_from=1\n[yolo]\n";
    assert_int_equal(vkd_cfg_strip(write_cfg(text), &plain, NULL, &err), VKD_OK);
    unlink(written);
    read_good(plain, &cfg);
    assert_int_equal(cfg.layers, 3);
    assert_int_equal(cfg.tap_count, 0);
    assert_null(cfg.teacher_cfg);
    vkd_cfg_free(&cfg);
    assert_int_equal(vkd_cfg_strip(write_cfg(plain), &again, NULL, &err), VKD_OK);
    unlink(written);
    assert_string_equal(again, plain);
    free(plain);
    free(again);
}

static void the_reference_names_every_key(void **state) {
    (void)state;
    char *text = NULL;
    assert_int_equal(vkd_options_reference(&text), VKD_OK);
    const vkd_option_section *sections[] = {&vkd_net_section, &vkd_projection_section, &vkd_whiten_section};
    for (int s = 0; s < 3; ++s)
        for (int i = 0; i < sections[s]->count; ++i) {
            char cell[64];
            snprintf(cell, sizeof(cell), "\n| `%s` | ", sections[s]->rows[i].key);
            assert_non_null(strstr(text, cell));
        }
    assert_non_null(strstr(text, "| `loss` | `l2`, `smooth_l1` | `l2` | "));
    assert_non_null(strstr(text, "| `rebase` | an integer >= 0 | `1` | "));
    assert_non_null(strstr(text, "| `teacher_from` | an integer | required | "));
    assert_non_null(strstr(text, "| `momentum` | a number >= 0 and < 1 | `0.9` | "));
    assert_non_null(strstr(text, "| `momentum` | a number >= 0 and < 1 | `0.99` | "));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strip_leaves_the_plain_student),
        cmocka_unit_test(strip_agrees_with_read),
        cmocka_unit_test(the_reference_names_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
