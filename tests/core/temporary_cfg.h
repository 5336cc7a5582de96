// A cfg of a test's own for the cfg reader, and what it must come to.
#ifndef VKD_TESTS_CORE_TEMPORARY_CFG_H
#define VKD_TESTS_CORE_TEMPORARY_CFG_H

#include "core/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STUDENT "[net]\nbatch=1\n[convolutional]\nfilters=4\n[convolutional]\nfilters=8\n"

static char written[64]; // the one temporary cfg of a test

static inline const char *write_bytes(const char *bytes, size_t length) {
    strcpy(written, "/tmp/test_options_XXXXXX");
    int fd = mkstemp(written);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    close(fd);
    return written;
}

static inline const char *write_cfg(const char *text) {
    return write_bytes(text, strlen(text));
}

static inline void read_good(const char *text, vkd_cfg *cfg) {
    vkd_error err = {VKD_OK, ""};
    vkd_status status = vkd_cfg_read(write_cfg(text), cfg, &err);
    unlink(written);
    assert_string_equal(err.text, "");
    assert_int_equal(status, VKD_OK);
}

// The message of a cfg that must be refused, without "PATH:" before it.
static inline void assert_refused(const char *text, const char *message) {
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

#endif
