// The plugin's commands and what they say when called wrongly.
#define _POSIX_C_SOURCE 200809L
#include "core/options.h"
#include "host/advise.h"
#include "host/calibrate.h"
#include "host/check.h"
#include "host/command_line.h"
#include "host/detector_train.h"
#include "host/dump.h"
#include "host/evaluate.h"
#include "host/hooks.h"
#include "host/maps.h"
#include "host/run.h"
#include "numerics/blas_kernels.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print(const char *text, size_t length) {
    if (fwrite(text, 1, length, stdout) != length || fflush(stdout))
        vkd_fail("standard output: %s", strerror(errno));
}

static void run_strip(int argc, char **argv) {
    if (argc != 4) vkd_fail("usage: darknet vkd strip CFG");
    char *text;
    size_t length;
    vkd_error err;
    if (vkd_cfg_strip(argv[3], &text, &length, &err)) vkd_fail("%s", err.text);
    print(text, length);
    free(text);
}

static void run_reference(int argc, char **argv) {
    (void)argv;
    if (argc != 3) vkd_fail("usage: darknet vkd reference");
    char *text;
    if (vkd_options_reference(&text)) vkd_fail("no memory");
    print(text, strlen(text));
    free(text);
}

static const struct {
    const char *name;
    void (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"strip", run_strip, "CFG      the plain student's cfg, without vkd sections, on stdout"},
    {"check", vkd_check, "CFG [-teacher_cfg F]      the taps and what they cost, before anything is trained"},
    {"advise", vkd_advise,
     "DATA CFG [WEIGHTS] [-images N] [-teacher_cfg F -teacher_weights F]   how alike student's and teacher's "
     "layers\n"
     "      are (CKA), and the most promising taps"},
    {"calibrate", vkd_calibrate_command,
     "DATA CFG -out FILE [-teacher_cfg F -teacher_weights F]   the teacher's statistics, for -calibration "
     "FILE"},
    {"dump", vkd_dump,
     "DATA CFG [WEIGHTS] -out DIR [-images N]      one training step on the first N pictures, without "
     "update,\n"
     "      as NumPy files in DIR: input, and of each tap student, teacher, target, P, loss, dstudent, xi "
     "(the\n"
     "      gradient of P along its constraint; for map=linear, which has none, the plain gradient)"},
    {"maps", vkd_maps,
     "CFG WEIGHTS IMAGE -out DIR   for each tap a picture, DIR/tap<i>.png: where student and teacher are "
     "active,\n"
     "      before and after the projection, and what is left between them"},
    {"reference", run_reference, "     every key of the vkd sections, as Markdown, on stdout"},
};
enum { command_count = sizeof commands / sizeof *commands };

static void run_vkd(int argc, char **argv) {
    const char *name = argc > 2 ? argv[2] : NULL; // Darknet leaves NULLs where flags were
    for (int i = 0; name && i < command_count; ++i)
        if (!strcmp(name, commands[i].name)) {
            commands[i].run(argc, argv);
            return;
        }
    if (name) fprintf(stderr, "darknet vkd: unknown command \"%s\"\n", name);
    fprintf(stderr, "usage:\n");
    for (int i = 0; i < command_count; ++i)
        fprintf(stderr, "  darknet vkd %s %s\n", commands[i].name, commands[i].help);
    fprintf(
        stderr,
        "Where a run is made they also take -seed N, -teacher_cfg F, -teacher_weights F and -calibration F, "
        "as training does.\n");
    exit(EXIT_FAILURE);
}

// A thread that spins holds a processor which those it waits for may want, as soon as a picture loader or
// another program runs beside: a product of small matrices then took a hundred times as long. After so many
// rounds, some 50 microseconds, it sleeps.
void vkd_start(char **argv) {
    if (!argv[0] || !argv[1]) vkd_check_command_line(1, argv);
#ifdef _OPENMP
    static const char rounds[] = "10000";
    char path[4096];
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    // LCOV_EXCL_START a program that becomes another writes down no lines
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || setenv("GOMP_SPINCOUNT", rounds, 1)) return;
    path[length] = 0;
    execv(path, argv); // where that fails all goes on as it is
    // LCOV_EXCL_STOP
#endif
}

int vkd_is_of_the_cpu(int argc, char **argv) {
    return argc > 1 && argv[1] && !strcmp(argv[1], "vkd");
}

int vkd_first_gpu(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; ++i)
        if (argv[i] && argv[i + 1] && !strcmp(argv[i], "-gpus")) {
            long first = strtol(argv[i + 1], NULL, 10);
            return first > 0 && first <= INT_MAX ? (int)first : 0; // others are refused later
        }
    return 0;
}

int vkd_command(int argc, char **argv) {
    vkd_check_command_line(argc, argv);
    vkd_blas_choose_kernels();
    // No flags, as has been checked: these stay where they are.
    const char *command = argc > 1 && argv[1] ? argv[1] : "", *second = argc > 2 && argv[2] ? argv[2] : "";
    if (vkd_is_of_the_cpu(argc, argv)) {
        vkd_run_parse(argc, argv);
        run_vkd(argc, argv);
        return 1;
    }
    bool detector = !strcmp(command, "detector");
    if (detector && !strcmp(second, "map")) {
        vkd_detector_map(argc, argv);
        return 1;
    }
    vkd_run_parse(argc, argv);
    bool trains = argc > 3 && argv[3] && !strcmp(second, "train");
    if (trains && (detector || !strcmp(command, "classifier"))) vkd_run_set_data(argv[3]);
    if (detector && !strcmp(second, "train")) {
        vkd_detector_train(argc, argv);
        return 1;
    }
    return 0;
}
