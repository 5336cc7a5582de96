// The cfg reader: every bad cfg of tests/cfg_errors with its exact line, and any bytes. Runs from the root of
// the repository.
#define _POSIX_C_SOURCE 200809L

#include "temporary_cfg.h"

#include "core/option_table.h"

#include <dirent.h>

#define ERRORS "tests/cfg_errors/"

static void read_line(const char *path, char *out, int size) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(out, size, file));
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

static void every_bad_cfg_gives_its_line(void **state) {
    (void)state;
    DIR *folder = opendir(ERRORS);
    assert_non_null(folder);
    int count = 0, failed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".cfg") != 0) continue;
        char path[512], expected[1024];
        snprintf(path, sizeof(path), ERRORS "%.*s.expected", (int)(length - 4), entry->d_name);
        read_line(path, expected, sizeof(expected));
        snprintf(path, sizeof(path), ERRORS "%s", entry->d_name);
        vkd_cfg cfg;
        vkd_error err = {VKD_OK, ""};
        vkd_status status = vkd_cfg_read(path, &cfg, &err);
        vkd_cfg_free(&cfg);
        if (status != VKD_INVALID_ARGUMENT || err.status != status || strcmp(err.text, expected) != 0) {
            print_error("%s\n  gave     %s\n  expected %s\n", path, err.text, expected);
            ++failed;
        }
        ++count;
    }
    closedir(folder);
    assert_int_equal(failed, 0);
    assert_true(count >= 91);
}

// Style, rule 12: each row of the table has a bad cfg.
static void every_row_has_a_bad_cfg(void **state) {
    (void)state;
    const vkd_option_section *sections[] = {&vkd_net_section, &vkd_projection_section, &vkd_whiten_section};
    for (int s = 0; s < 3; ++s) {
        for (int i = 0; i < sections[s]->count; ++i) {
            char start[128], line[1024], path[512];
            snprintf(start, sizeof(start), " [%s] %s: ", sections[s]->name, sections[s]->rows[i].key);
            bool found = false;
            DIR *folder = opendir(ERRORS);
            assert_non_null(folder);
            for (struct dirent *entry; (entry = readdir(folder));) {
                if (!strstr(entry->d_name, ".expected")) continue;
                snprintf(path, sizeof(path), ERRORS "%s", entry->d_name);
                read_line(path, line, sizeof(line));
                found = found || strstr(line, start);
            }
            closedir(folder);
            if (!found) fail_msg("no bad cfg for%s", start);
        }
    }
}

static void a_file_that_cannot_be_read(void **state) {
    (void)state;
    vkd_cfg cfg;
    vkd_error err;
    assert_int_equal(vkd_cfg_read("tests/no/such.cfg", &cfg, &err), VKD_IO);
    assert_string_equal(err.text, "tests/no/such.cfg: cannot be opened: No such file or directory");
    vkd_cfg_free(&cfg);
    assert_int_equal(vkd_cfg_read("tests", &cfg, &err), VKD_IO);
    assert_string_equal(err.text, "tests: cannot be read: Is a directory");
    assert_int_equal(vkd_cfg_read(NULL, &cfg, &err), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_cfg_read("", &cfg, NULL), VKD_INVALID_ARGUMENT);
    char *text;
    assert_int_equal(vkd_cfg_strip("tests/no/such.cfg", &text, NULL, &err), VKD_IO);
    assert_null(text);
}

static void a_weights_file_is_no_cfg(void **state) {
    (void)state;
    size_t size = (16u << 20) + 1;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, '\n', size);
    vkd_cfg cfg;
    vkd_error err;
    assert_int_equal(vkd_cfg_read(write_bytes(bytes, size), &cfg, &err), VKD_INVALID_ARGUMENT);
    unlink(written);
    free(bytes);
    assert_non_null(strstr(err.text, ": larger than 16 MiB; expected a cfg"));
}

// A path of any length must leave room for what it is about.
static void a_long_path_keeps_the_message(void **state) {
    (void)state;
    char path[4001];
    memset(path, 'd', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    vkd_error err;
    vkd_status status = vkd_error_at(&err, VKD_BAD_FILE, path, 7, "vkd_whiten", "eps", "0 is %s", "small");
    assert_int_equal(status, VKD_BAD_FILE);
    assert_string_equal(err.text + 512, ":7: [vkd_whiten] eps: 0 is small");
    vkd_error_set(&err, VKD_IO, "%s", path);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_int_equal(vkd_error_set(NULL, VKD_IO, "%s", path), VKD_IO);
    assert_int_equal(vkd_error_at(NULL, VKD_IO, path, 0, NULL, NULL, "x"), VKD_IO);
}

// The first mistake of the file is the one that is told, whatever follows.
static void mistakes_come_in_the_order_of_the_file(void **state) {
    (void)state;
    assert_refused(STUDENT "[vkd_projection]\nmap=a\nteacher_from=b\n",
                   ":8: [vkd_projection] map: unknown value \"a\"; expected matrix_exp, cayley, householder, "
                   "procrustes, linear, frozen or identity");
    assert_refused(
        STUDENT "[vkd_projection]\nfrom=0\n[vkd_projection]\nmap=a\n",
        ":7: [vkd_projection] teacher_from: missing; expected a layer of the teacher: absolute, or "
        "negative, counted back from the teacher's end");
}

// Up to two insertions, deletions, changes or swaps, up to one in a short name.
static void names_that_are_near(void **state) {
    (void)state;
    const struct {
        const char *known, *written;
        bool near;
    } cases[] = {{"vkd_whiten", "VKD_whiten", true},
                 {"vkd_whiten", "kvd_whitne", true},
                 {"vkd_whiten", "kvd_whitneo", false},
                 {"vkd_whiten", "d_whiten", true},
                 {"vkd_whiten", "_whiten", false},
                 {"vkd_whiten", "vkd_whit", true},
                 {"vkd_whiten", "vkd_whi", false},
                 {"vkd_whiten", "xxvkd_whiten", true},
                 {"vkd_whiten", "xxvkd_whitenx", false},
                 {"vkd_whiten", "vkd_whitenxx", true},
                 {"vkd_whiten", "vkd_whitenxxx", false},
                 {"vkd_whiten", "vkd_xxiten", true},
                 {"vkd_whiten", "xkd_xhitex", false},
                 {"from", "form", true},
                 {"from", "fom", true},
                 {"from", "rfmo", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
        if (vkd_name_is_near(cases[i].known, cases[i].written) != cases[i].near)
            fail_msg("%s and %s", cases[i].known, cases[i].written);
}

// Bytes changed at random in a good cfg: whatever comes, one printable line or a cfg within its bounds.
static void any_bytes_are_taken_or_refused(void **state) {
    (void)state;
    static const char good[] =
        "[net]\nteacher_cfg=t.cfg\nteacher_resize=1\n[convolutional]\nfilters=4\n[vkd_whiten]\n"
        "mode=whiten\nshrinkage=0.1\nrank=2\n[vkd_projection]\nfrom=-1\nteacher_from=3\n"
        "ratio=0.1\nwarmup=3\nuntil=9\nramp=linear\n[yolo]\nnum=3\n";
    static const char bytes[] = "\n\r\t =#;[]-+.0123456789eEvkdnetfrom_";
    uint32_t x = 2463534242u;
    int taken = 0, refused = 0;
    for (int trial = 0; trial < 3000; ++trial) {
        char text[sizeof(good)];
        memcpy(text, good, sizeof(good));
        for (int change = 0; change < 1 + trial % 4; ++change) {
            x ^= x << 13, x ^= x >> 17, x ^= x << 5; // xorshift32
            size_t at = x % (sizeof(good) - 1);
            text[at] = (x >> 16) % 8 == 0 ? (char)(x >> 24) : bytes[(x >> 20) % (sizeof(bytes) - 1)];
        }
        vkd_cfg cfg;
        vkd_error err = {VKD_OK, ""};
        vkd_status status = vkd_cfg_read(write_bytes(text, sizeof(good) - 1), &cfg, &err);
        char *plain = NULL;
        vkd_cfg_strip(written, &plain, NULL, NULL);
        free(plain);
        unlink(written);
        if (status == VKD_OK) {
            ++taken;
            for (int i = 0; i < cfg.tap_count; ++i)
                assert_in_range(cfg.taps[i].from, 0, cfg.layers - 1);
        } else {
            ++refused;
            assert_int_equal(err.status, status);
            assert_memory_equal(err.text, written, strlen(written));
            for (const char *p = err.text; *p; ++p)
                assert_in_range((unsigned char)*p, 0x20, 0x7e);
        }
        vkd_cfg_free(&cfg);
    }
    assert_true(taken > 100 && refused > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_cfg_gives_its_line),
        cmocka_unit_test(every_row_has_a_bad_cfg),
        cmocka_unit_test(a_file_that_cannot_be_read),
        cmocka_unit_test(a_weights_file_is_no_cfg),
        cmocka_unit_test(a_long_path_keeps_the_message),
        cmocka_unit_test(mistakes_come_in_the_order_of_the_file),
        cmocka_unit_test(names_that_are_near),
        cmocka_unit_test(any_bytes_are_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
