#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
//
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"

static char folder[] = "/tmp/test_file_XXXXXX";
static char path[64], below[64], missing[64];

static int make_folder(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(below, sizeof below, "%s/a/b", folder);
    snprintf(missing, sizeof missing, "%s/no/b", folder);
    return 0;
}

static int remove_folder(void **unused) {
    (void)unused;
    unlink(path);
    return rmdir(folder); // fails where a test left a temporary file
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

// "<path><suffix>: cannot be <doing>: <reason>"
static void assert_says(const vkd_error *err, const char *name, const char *doing, int reason) {
    char text[256];
    snprintf(text, sizeof text, "%s: cannot be %s: %s", name, doing, strerror(reason));
    assert_string_equal(err->text, text);
    assert_int_equal(err->status, VKD_IO);
}

static void assert_holds(const void *data, size_t bytes) {
    unsigned char *read;
    size_t count;
    vkd_error err;
    assert_int_equal(vkd_file_read(path, &read, &count, &err), VKD_OK);
    assert_int_equal(count, bytes);
    if (bytes) assert_memory_equal(read, data, bytes);
    free(read);
}

static void round_trips(void **unused) {
    (void)unused;
    static unsigned char data[100000];
    for (size_t i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)(i * i >> 3);
    const size_t sizes[] = {1, sizeof data, 0, 4096, 17}; // over a longer file, too
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        assert_int_equal(vkd_file_write(path, data, sizes[i], NULL), VKD_OK);
        assert_holds(data, sizes[i]);
        assert_int_equal(files_in_folder(), 1);
    }
    assert_int_equal(unlink(path), 0);
}

static void assert_unreadable(const char *name, int reason) {
    unsigned char *data = (unsigned char *)folder; // to be overwritten
    size_t bytes = 7;
    vkd_error err;
    assert_int_equal(vkd_file_read(name, &data, &bytes, &err), VKD_IO);
    if (reason) assert_says(&err, name, "opened", reason);
    assert_null(data);
    assert_int_equal(bytes, 0);
    assert_int_equal(vkd_file_read(name, &data, &bytes, NULL), VKD_IO);
}

static void unreadable(void **unused) {
    (void)unused;
    assert_unreadable(path, ENOENT);
    assert_unreadable("", ENOENT);
    assert_int_equal(vkd_file_write(path, "x", 1, NULL), VKD_OK);
    assert_unreadable(below, ENOTDIR);
    assert_int_equal(unlink(path), 0);
    assert_unreadable(folder, 0);
    unsigned char *data;
    size_t bytes;
    vkd_error err;
    assert_int_equal(vkd_file_read(folder, &data, &bytes, &err), VKD_IO);
    char text[128];
    snprintf(text, sizeof text, "%s: not a regular file", folder);
    assert_string_equal(err.text, text);
}

// No folder for the temporary file, and a folder in the file's place.
static void unwritable(void **unused) {
    (void)unused;
    vkd_error err;
    char name[80];
    assert_int_equal(vkd_file_write(missing, "x", 1, &err), VKD_IO);
    snprintf(name, sizeof name, "%s.new", missing);
    assert_says(&err, name, "written", ENOENT);
    assert_int_equal(vkd_file_write(missing, "x", 1, NULL), VKD_IO);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(vkd_file_write(path, "x", 1, &err), VKD_IO);
    assert_says(&err, path, "written", EISDIR);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(rmdir(path), 0);
}

// A full disk, as a limit on the size of files: seen when the buffer runs over (a large file), or only when
// it is flushed (a small one).
static void full(void **unused) {
    (void)unused;
    static char large[100000];
    const size_t sizes[] = {sizeof large, 200};
    assert_int_equal(vkd_file_write(path, "old", 3, NULL), VKD_OK);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 100;
    for (int i = 0; i < 2; ++i) {
        vkd_error err;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        vkd_status status = vkd_file_write(path, large, sizes[i], &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, handler);
        assert_int_equal(status, VKD_IO);
        assert_says(&err, path, "written", EFBIG);
        assert_holds("old", 3);
        assert_int_equal(files_in_folder(), 1);
    }
    assert_int_equal(unlink(path), 0);
}

// In a process of its own, which gives up root where it has it: root writes everywhere.
static void read_only_folder(void **unused) {
    (void)unused;
    assert_int_equal(vkd_file_write(path, "old", 3, NULL), VKD_OK);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534))) _exit(2);
        vkd_error err;
        char text[128];
        vkd_status status = vkd_file_write(path, "new", 3, &err);
        snprintf(text, sizeof text, "%s.new: cannot be written: %s", path, strerror(EACCES));
        _exit(status == VKD_IO && !strcmp(err.text, text) ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_holds("old", 3);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(unlink(path), 0);
}

// What a program that was killed left behind is overwritten.
static void stale_temporary(void **unused) {
    (void)unused;
    char stale[80];
    snprintf(stale, sizeof stale, "%s.new", path);
    assert_int_equal(vkd_file_write(stale, "something longer", 16, NULL), VKD_OK);
    assert_int_equal(vkd_file_write(path, "new", 3, NULL), VKD_OK);
    assert_holds("new", 3);
    assert_int_equal(files_in_folder(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips), cmocka_unit_test(unreadable),       cmocka_unit_test(unwritable),
        cmocka_unit_test(full),        cmocka_unit_test(read_only_folder), cmocka_unit_test(stale_temporary),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
