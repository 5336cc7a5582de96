/* Runs what may end the program in a process of its own, and small files for tests to read. */
#ifndef TESTS_PATCHES_CHILD_H
#define TESTS_PATCHES_CHILD_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    int status;     /* exit status, or -signal */
    char err[8192]; /* what it wrote to stderr, its end if it was more */
} child_result;

/* The last line of stderr: where one-line errors stand, whatever was printed before. */
__attribute__((unused)) static const char *last_line(child_result *r) {
    size_t n = strlen(r->err);
    while (n > 0 && r->err[n - 1] == '\n')
        r->err[--n] = '\0';
    char *p = strrchr(r->err, '\n');
    return p ? p + 1 : r->err;
}

__attribute__((unused)) static child_result in_child(void (*body)(void *), void *arg) {
    static const int signals[] = {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL};
    child_result r = {0};
    int fd[2];
    fflush(NULL);
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
            signal(signals[i], SIG_DFL);
        dup2(fd[1], STDERR_FILENO);
        if (!freopen("/dev/null", "w", stdout)) _exit(99);
        close(fd[0]);
        close(fd[1]);
        body(arg);
        fflush(NULL);
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd[0], r.err + n, sizeof(r.err) - 1 - n)) > 0) {
        n += (size_t)got;
        if (n == sizeof(r.err) - 1) {
            memmove(r.err, r.err + n / 2, n - n / 2);
            n -= n / 2;
        }
    }
    r.err[n] = '\0';
    close(fd[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return r;
}

/* One line at the end of stderr, and exit status 1. */
#define assert_dies(body, arg, message)                                                                      \
    do {                                                                                                     \
        child_result dead_ = in_child(body, arg);                                                            \
        const char *line_ = last_line(&dead_);                                                               \
        assert_string_equal(line_, message);                                                                 \
        assert_int_equal(dead_.status, 1);                                                                   \
    } while (0)

__attribute__((unused)) static char folder[64];
#ifdef VKD_DARKNET
/* Darknet's patched tree. VKD_DARKNET is seen from where the tests are started; the shell's $VKD_DARKNET is
 * this. */
static char darknet_folder[4096 + sizeof VKD_DARKNET];
#endif

/* Group setup: the working folder becomes a new one. */
__attribute__((unused)) static int enter_folder(void **state) {
    (void)state;
#ifdef VKD_DARKNET
    char here[4096];
    if (!getcwd(here, sizeof here)) return -1;
    bool absolute = VKD_DARKNET[0] == '/';
    snprintf(darknet_folder, sizeof darknet_folder, "%s%s%s", absolute ? "" : here, absolute ? "" : "/",
             VKD_DARKNET);
    if (setenv("VKD_DARKNET", darknet_folder, 1)) return -1;
#endif
    strcpy(folder, "/tmp/vkd_test_XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

__attribute__((unused)) static int leave_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

__attribute__((unused)) static void write_bytes(const char *name, const void *bytes, size_t n) {
    FILE *fp = fopen(name, "wb");
    assert_non_null(fp);
    assert_int_equal(fwrite(bytes, 1, n, fp), n);
    assert_int_equal(fclose(fp), 0);
}

__attribute__((unused)) static void write_text(const char *name, const char *text) {
    write_bytes(name, text, strlen(text));
}

/* (*n) bytes, to be freed; NULL when there is no such file. */
__attribute__((unused)) static unsigned char *read_bytes(const char *name, size_t *n) {
    FILE *fp = fopen(name, "rb");
    if (!fp) return NULL;
    unsigned char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *n = fread(bytes, 1, 1 << 20, fp);
    fclose(fp);
    return bytes;
}

/* A (w,h) grey-blue picture as a binary PPM, which Darknet's own reader knows. */
__attribute__((unused)) static void write_picture(const char *name, int w, int h) {
    FILE *fp = fopen(name, "wb");
    assert_non_null(fp);
    fprintf(fp, "P6\n%d %d\n255\n", w, h);
    for (int i = 0; i < w * h; i++) {
        unsigned char rgb[3] = {(unsigned char)(i * 7), (unsigned char)(i * 3), 200};
        assert_int_equal(fwrite(rgb, 1, 3, fp), 3);
    }
    assert_int_equal(fclose(fp), 0);
}

#endif
