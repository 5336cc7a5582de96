#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
//
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/npy.h"

static char folder[] = "/tmp/test_npy_XXXXXX";
static char path[64];

static int make_folder(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    return 0;
}

static int files_in_folder(void) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int remove_folder(void **unused) {
    (void)unused;
    unlink(path);
    return rmdir(folder); // fails where a test left a temporary file
}

static size_t read_back(unsigned char *bytes, size_t size) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, size, f);
    assert_true(n < size); // all of it
    fclose(f);
    return n;
}

// Checks magic, version, length, padding and dict (up to the shape's closing "}"), then the data, bit for
// bit.
static void assert_written(const float *data, const int *shape, int dims, const char *shape_text) {
    static unsigned char bytes[4096];
    size_t count = 1;
    for (int i = 0; i < dims; ++i)
        count *= (size_t)shape[i];
    assert_int_equal(VKD_OK, vkd_npy_write(path, data, shape, dims));
    size_t n = read_back(bytes, sizeof bytes);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    size_t start = 10 + bytes[8] + 256u * bytes[9];
    assert_int_equal(0, start % 64);
    assert_int_equal(n, start + count * sizeof(float));
    assert_int_equal('\n', bytes[start - 1]);
    char dict[128];
    const uint16_t one = 1;
    snprintf(dict, sizeof dict, "{'descr': '%cf4', 'fortran_order': False, 'shape': %s, }",
             *(const unsigned char *)&one ? '<' : '>', shape_text);
    assert_memory_equal(bytes + 10, dict, strlen(dict));
    for (size_t i = 10 + strlen(dict); i < start - 1; ++i)
        assert_int_equal(' ', bytes[i]);
    if (count) assert_memory_equal(bytes + start, data, count * sizeof(float));
}

static void writes_header_and_data(void **unused) {
    (void)unused;
    float a[24];
    for (int i = 0; i < 24; ++i)
        a[i] = (float)(i - 5) / 3;
    a[3] = -0.0f;
    a[4] = 1e-42f; // subnormal
    assert_written(a, (int[]){2, 3, 4}, 3, "(2, 3, 4)");
    assert_written(a, (int[]){24}, 1, "(24,)");
    assert_written(a, (int[]){1, 1, 2, 1, 3, 1, 4, 1}, 8, "(1, 1, 2, 1, 3, 1, 4, 1)");
    assert_written(a, NULL, 0, "()");
    assert_written(NULL, (int[]){3, 0}, 2, "(3, 0)");
    // the longest header there can be
    assert_written(NULL, (int[]){0, INT_MAX, 1, 1, 1, 1, 1, INT_MAX}, 8,
                   "(0, 2147483647, 1, 1, 1, 1, 1, 2147483647)");
    assert_int_equal(1, files_in_folder());
}

static void refuses_bad_shapes(void **unused) {
    (void)unused;
    const float a[4] = {0};
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, a, (int[]){2, -1}, 2));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, a, (int[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 9));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, a, (int[]){4}, -1));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, a, NULL, 1));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, NULL, (int[]){4}, 1));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(NULL, a, (int[]){4}, 1));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_npy_write(path, a, (int[]){INT_MAX, INT_MAX, INT_MAX}, 3));
}

static void a_failed_write_keeps_the_old_file(void **unused) {
    (void)unused;
    static float large[65536];
    static unsigned char before[4096], after[4096];
    const float small[2] = {1, 2};
    assert_int_equal(VKD_OK, vkd_npy_write(path, small, (int[]){2}, 1));
    size_t n = read_back(before, sizeof before);
    struct rlimit old, limit;
    assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &old));
    limit = old;
    limit.rlim_cur = 65536; // as a full disk
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &limit));
    vkd_status status = vkd_npy_write(path, large, (int[]){65536}, 1);
    int failure = errno;
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &old));
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(VKD_IO, status);
    assert_int_equal(EFBIG, failure);
    assert_int_equal(n, read_back(after, sizeof after));
    assert_memory_equal(before, after, n);
    assert_int_equal(1, files_in_folder());
}

static void says_why_it_cannot_write(void **unused) {
    (void)unused;
    const float a[1] = {0};
    char other[80];
    snprintf(other, sizeof other, "%s/absent/a.npy", folder);
    assert_int_equal(VKD_IO, vkd_npy_write(other, a, (int[]){1}, 1));
    assert_int_equal(ENOENT, errno);
    snprintf(other, sizeof other, "%s/taken", folder); // the name of a folder: only the renaming fails
    assert_int_equal(0, mkdir(other, 0777));
    int before = files_in_folder();
    assert_int_equal(VKD_IO, vkd_npy_write(other, a, (int[]){1}, 1));
    assert_int_equal(EISDIR, errno);
    assert_int_equal(before, files_in_folder());
    assert_int_equal(0, rmdir(other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_header_and_data),
        cmocka_unit_test(refuses_bad_shapes),
        cmocka_unit_test(a_failed_write_keeps_the_old_file),
        cmocka_unit_test(says_why_it_cannot_write),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
