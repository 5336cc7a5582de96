// The cfg reader: every bad cfg of tests/cfg_errors with its exact line, and what good ones must come to.
// Runs from the root of the repository.
#define _POSIX_C_SOURCE 200809L

#include "core/option_table.h"
#include "core/options.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ERRORS "tests/cfg_errors/"

// ------------------------------------------------------------------------------------------------ helpers

static char written[64]; // the one temporary cfg of a test

static const char *write_bytes(const char *bytes, size_t length) {
    strcpy(written, "/tmp/test_options_XXXXXX");
    int fd = mkstemp(written);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    close(fd);
    return written;
}

static const char *write_cfg(const char *text) {
    return write_bytes(text, strlen(text));
}

static void read_good(const char *text, vkd_cfg *cfg) {
    vkd_error err = {VKD_OK, ""};
    vkd_status status = vkd_cfg_read(write_cfg(text), cfg, &err);
    unlink(written);
    assert_string_equal(err.text, "");
    assert_int_equal(status, VKD_OK);
}

// The message of a cfg that must be refused, without "PATH:" before it.
static void assert_refused(const char *text, const char *message) {
    vkd_cfg cfg;
    vkd_error err = {VKD_OK, ""};
    vkd_status status = vkd_cfg_read(write_cfg(text), &cfg, &err);
    unlink(written);
    vkd_cfg_free(&cfg);
    assert_int_equal(status, VKD_INVALID_ARGUMENT);
    assert_int_equal(err.status, VKD_INVALID_ARGUMENT);
    assert_memory_equal(err.text, written, strlen(written));
    assert_string_equal(err.text + strlen(written), message);
}

static void read_line(const char *path, char *out, int size) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(out, size, file));
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

#define STUDENT "[net]\nbatch=1\n[convolutional]\nfilters=4\n[convolutional]\nfilters=8\n"

// ------------------------------------------------------------------------------------------------ bad cfgs

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

// ------------------------------------------------------------------------------------------------ good cfgs

static void a_plain_cfg_has_no_taps(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT, &cfg);
    assert_int_equal(cfg.layers, 2);
    assert_int_equal(cfg.tap_count, 0);
    assert_null(cfg.taps);
    assert_null(cfg.teacher_cfg);
    assert_null(cfg.teacher_weights);
    assert_int_equal(cfg.teacher_resize, 0);
    assert_int_equal(cfg.teacher_half, 0);
    assert_string_equal(cfg.path, written);
    vkd_cfg_free(&cfg);
    vkd_cfg_free(&cfg); // harmless twice
    vkd_cfg_free(NULL);
}

// The defaults of the design's tables.
static void a_tap_with_one_key(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=-2", &cfg); // no newline at the end
    assert_int_equal(cfg.tap_count, 1);
    const vkd_tap_options *t = &cfg.taps[0];
    assert_int_equal(t->from, 1);
    assert_int_equal(t->place, 2);
    assert_int_equal(t->teacher_from, -2);
    assert_int_equal(t->map, VKD_OPTION_MAP_PROCRUSTES);
    assert_int_equal(t->rebase, 1);
    assert_true(t->momentum == 0.9f);
    assert_int_equal(t->loss, VKD_OPTION_LOSS_L2);
    assert_true(t->ratio == 0.2f);
    assert_false(t->has_weight);
    assert_true(t->weight == 0);
    assert_int_equal(t->student_norm, VKD_OPTION_STUDENT_STANDARDIZE);
    assert_int_equal(t->pool, VKD_OPTION_POOL_DENSE);
    assert_int_equal(t->warmup, 0);
    assert_int_equal(t->until, 0);
    assert_int_equal(t->ramp, VKD_OPTION_RAMP_CONSTANT);
    assert_true(t->learning_rate == 1);
    assert_int_equal(t->line, 7);
    assert_int_equal(t->whiten.mode, VKD_OPTION_MODE_STANDARDIZE);
    assert_int_equal(t->whiten.statistics, VKD_OPTION_STATISTICS_RUNNING);
    assert_int_equal(t->whiten.images, 2000);
    assert_true(t->whiten.momentum == 0.99f);
    assert_int_equal(t->whiten.whitening, VKD_OPTION_WHITENING_ZCA);
    assert_true(t->whiten.shrinkage == 0.05f);
    assert_int_equal(t->whiten.rank, 0);
    assert_true(t->whiten.eps == 1e-5f);
    assert_int_equal(t->whiten.line, 0);
    vkd_cfg_free(&cfg);
}

// The closed form is l2's alone.
static void default_map_of_another_loss(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=-2\nloss=smooth_l1\nrebase=3", &cfg);
    assert_int_equal(cfg.taps[0].map, VKD_OPTION_MAP_MATRIX_EXP);
    vkd_cfg_free(&cfg);
}

static void every_key_arrives(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "[network]\nteacher_cfg=cfg/"
        "t.cfg\nteacher_weights=t.weights\nteacher_resize=1\nteacher_half=1\n[maxpool]\n[maxpool]\n"
        "[vkd_whiten]\nmode=whiten\nstatistics=running\nmomentum=0.5\nwhitening=cholesky\nshrinkage=1\nrank="
        "0\n"
        "eps=1e-3\n[vkd_projection]\nfrom=0\nteacher_from=79\nmap=cayley\nrebase=7\nmomentum=0.25\nloss="
        "l2\nweight=100\n"
        "student_norm=none\npool=global\nwarmup=10\nuntil=11\nramp=cosine\nlearning_rate=0\n",
        &cfg);
    assert_string_equal(cfg.teacher_cfg, "cfg/t.cfg");
    assert_string_equal(cfg.teacher_weights, "t.weights");
    assert_int_equal(cfg.teacher_resize, 1);
    assert_int_equal(cfg.teacher_half, 1);
    const vkd_tap_options *t = &cfg.taps[0];
    assert_int_equal(t->from, 0);
    assert_int_equal(t->teacher_from, 79);
    assert_int_equal(t->map, VKD_OPTION_MAP_CAYLEY);
    assert_int_equal(t->rebase, 7);
    assert_true(t->momentum == 0.25f);
    assert_true(t->has_weight);
    assert_true(t->weight == 100);
    assert_true(t->ratio == 0.2f);
    assert_int_equal(t->student_norm, VKD_OPTION_STUDENT_NONE);
    assert_int_equal(t->pool, VKD_OPTION_POOL_GLOBAL);
    assert_int_equal(t->warmup, 10);
    assert_int_equal(t->until, 11);
    assert_int_equal(t->ramp, VKD_OPTION_RAMP_COSINE);
    assert_true(t->learning_rate == 0);
    assert_int_equal(t->line, 16);
    assert_int_equal(t->whiten.mode, VKD_OPTION_MODE_WHITEN);
    assert_true(t->whiten.momentum == 0.5f);
    assert_int_equal(t->whiten.whitening, VKD_OPTION_WHITENING_CHOLESKY);
    assert_true(t->whiten.shrinkage == 1);
    assert_true(t->whiten.eps == 1e-3f);
    assert_int_equal(t->whiten.line, 8);
    vkd_cfg_free(&cfg);
}

static void weight_zero_is_a_weight(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=0\nweight=0\n", &cfg);
    assert_true(cfg.taps[0].has_weight);
    assert_true(cfg.taps[0].weight == 0);
    vkd_cfg_free(&cfg);
}

// Darknet's habits: spaces and tabs anywhere, CRLF, '#' and ';' lines, upper floors of comments, no last
// newline.
static void the_writing_is_free(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "# a student\r\n; of mine\r\n\r\n [ net ]\r\n\tteacher_cfg = my teachers/v 3#1.cfg  # the big one\r\n"
        "batch=1 # not ours\r\n[convolutional]\r\nno equals here, and not ours to judge\r\n"
        "[\tvkd_whiten ]\r\n mo de =\tnone\t# raw\r\n\r\n; between\r\n[vkd_projection]\r\n"
        "  teacher_from  =  - 1 \r\n#ratio=7\r\n;ratio=8\r\nratio=0.4#tried\r\n\tmap=cayley\r",
        &cfg);
    assert_string_equal(cfg.teacher_cfg, "my teachers/v 3#1.cfg");
    assert_int_equal(cfg.layers, 1);
    assert_int_equal(cfg.tap_count, 1);
    assert_int_equal(cfg.taps[0].teacher_from, -1);
    assert_true(cfg.taps[0].ratio == 0.4f);
    assert_int_equal(cfg.taps[0].map, VKD_OPTION_MAP_CAYLEY);
    assert_int_equal(cfg.taps[0].whiten.mode, VKD_OPTION_MODE_NONE);
    assert_int_equal(cfg.taps[0].line, 13);
    vkd_cfg_free(&cfg);
}

// Sections may stand anywhere below [net]; a whiten section is its projection's alone; `from` goes by its
// place.
static void several_taps_between_the_layers(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "[net]\n[vkd_projection]\nfrom=2\nteacher_from=1\n[convolutional]\n[vkd_whiten]\nmode=layernorm\n"
        "[vkd_projection]\nteacher_from=2\n[convolutional]\n[unknown_to_us]\n[vkd_projection]\nfrom=-3\n"
        "teacher_from=3\n[vkd_projection]\nteacher_from=4\n[yolo]\n",
        &cfg);
    assert_int_equal(cfg.layers, 4);
    assert_int_equal(cfg.tap_count, 4);
    const int from[] = {2, 0, 0, 2}, place[] = {0, 1, 3, 3}, line[] = {2, 8, 12, 15};
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(cfg.taps[i].from, from[i]);
        assert_int_equal(cfg.taps[i].place, place[i]);
        assert_int_equal(cfg.taps[i].line, line[i]);
        assert_int_equal(cfg.taps[i].teacher_from, i + 1);
        assert_int_equal(cfg.taps[i].whiten.mode,
                         i == 1 ? VKD_OPTION_MODE_LAYERNORM : VKD_OPTION_MODE_STANDARDIZE);
        assert_int_equal(cfg.taps[i].whiten.line, i == 1 ? 6 : 0);
    }
    vkd_cfg_free(&cfg);
}

static void a_later_error_names_the_keys_line(void **state) {
    (void)state;
    vkd_cfg cfg;
    vkd_error err;
    char expected[256];
    read_good(STUDENT "[vkd_whiten]\neps=1\n[vkd_projection]\nteacher_from=99\n", &cfg);
    const struct {
        const char *key, *place;
    } cases[] = {{"teacher_from", ":10: [vkd_projection] teacher_from: 99 is too much"},
                 {"from", ":9: [vkd_projection] from: 99 is too much"}, // at its default: the section's line
                 {"eps", ":8: [vkd_whiten] eps: 99 is too much"},
                 {"rank", ":7: [vkd_whiten] rank: 99 is too much"}};
    for (int i = 0; i < 4; ++i) {
        snprintf(expected, sizeof(expected), "%s%s", cfg.path, cases[i].place);
        assert_int_equal(vkd_tap_error(&err, &cfg, 0, cases[i].key, "%d is too much", 99),
                         VKD_INVALID_ARGUMENT);
        assert_string_equal(err.text, expected);
    }
    vkd_cfg_free(&cfg);
    read_good(STUDENT "[vkd_projection]\nteacher_from=99\n", &cfg); // no whiten section to point at
    snprintf(expected, sizeof(expected), "%s:7: [vkd_projection] rank: no", cfg.path);
    vkd_tap_error(&err, &cfg, 0, "rank", "no");
    assert_string_equal(err.text, expected);
    vkd_cfg_free(&cfg);
    read_good("[net]\nbatch=1\nteacher_half=1\n[maxpool]\n", &cfg);
    snprintf(expected, sizeof(expected), "%s:3: [net] teacher_half: found 1", cfg.path);
    assert_int_equal(vkd_net_error(&err, &cfg, "teacher_half", "found %d", 1), VKD_INVALID_ARGUMENT);
    assert_string_equal(err.text, expected);
    snprintf(expected, sizeof(expected), "%s: [net] teacher_cfg: none", cfg.path); // not set: no line
    vkd_net_error(&err, &cfg, "teacher_cfg", "none");
    assert_string_equal(err.text, expected);
    vkd_cfg_free(&cfg);
}

static void words_of_values(void **state) {
    (void)state;
    assert_string_equal(vkd_option_word("map", VKD_OPTION_MAP_PROCRUSTES), "procrustes");
    assert_string_equal(vkd_option_word("mode", VKD_OPTION_MODE_WHITEN), "whiten");
    assert_string_equal(vkd_option_word("map", VKD_OPTION_MAP_IDENTITY + 1), "?");
    assert_string_equal(vkd_option_word("map", -1), "?");
    assert_string_equal(vkd_option_word("rank", 0), "?");
    assert_string_equal(vkd_option_word("nothing", 0), "?");
}

// ------------------------------------------------------------------------------------------------ strip,
// reference

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

// ------------------------------------------------------------------------------------------------ any bytes

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
        cmocka_unit_test(a_plain_cfg_has_no_taps),
        cmocka_unit_test(a_tap_with_one_key),
        cmocka_unit_test(default_map_of_another_loss),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(weight_zero_is_a_weight),
        cmocka_unit_test(the_writing_is_free),
        cmocka_unit_test(several_taps_between_the_layers),
        cmocka_unit_test(a_later_error_names_the_keys_line),
        cmocka_unit_test(words_of_values),
        cmocka_unit_test(strip_leaves_the_plain_student),
        cmocka_unit_test(strip_agrees_with_read),
        cmocka_unit_test(the_reference_names_every_key),
        cmocka_unit_test(any_bytes_are_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
