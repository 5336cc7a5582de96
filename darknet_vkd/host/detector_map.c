// darknet detector map DATA CFG WEIGHTS
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/command_line.h"
#include "host/evaluate.h"
#include "host/pictures.h"
#include "host/plugin.h"
#include "host/run.h"

enum { most_points = 100000 };

typedef struct request {
    char *data, *cfg, *weights;
    vkd_evaluate_options options;
    bool half; // as a teacher of teacher_half=1 computes
    bool asks; // for one more figure
    vkd_ap_question question;
} request;

static double fraction(const char *flag, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= 1))
        vkd_fail("detector map: %s: \"%s\" is not in 0 .. 1", flag, text);
    return value;
}

static int count(const char *flag, const char *text) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < 0 || value == 1 || value > most_points)
        vkd_fail("detector map: %s: found \"%s\"; expected 0, or an integer from 2 to %d", flag, text,
                 most_points);
    return (int)value;
}

// The options of `detector map`, each with a value.
static void take_option(request *r, const char *flag, const char *value) {
    if (!strcmp(flag, "-json")) {
        r->options.json = value;
    } else if (!strcmp(flag, "-thresh")) {
        r->options.thresh = (float)fraction(flag, value);
    } else if (!strcmp(flag, "-nms")) {
        r->options.nms = (float)fraction(flag, value);
    } else if (!strcmp(flag, "-iou_thresh")) {
        r->asks = true;
        r->question.iou = fraction(flag, value);
        if (!(r->question.iou > 0)) vkd_fail("detector map: %s: found %s; expected more than 0", flag, value);
    } else {
        r->asks = true;
        r->question.points = count(flag, value);
    }
}

static bool is_option(const char *flag) {
    static const char *const known[] = {"-json", "-thresh", "-nms", "-iou_thresh", "-points"};
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
        if (!strcmp(flag, known[i])) return true;
    return false;
}

// argv[0..2] are "darknet detector map"; Darknet leaves NULLs where it took a flag.
static request read_arguments(int argc, char **argv) {
    request r = {.options = vkd_evaluate_defaults(), .question = {.iou = .5, .points = 101}};
    char **const files[] = {&r.data, &r.cfg, &r.weights};
    size_t given = 0;
    for (int i = 3; i < argc; ++i) {
        const char *flag = argv[i];
        if (!flag) continue;
        if (flag[0] != '-') {
            if (given == 3) vkd_fail("detector map: unexpected \"%s\" after DATA CFG WEIGHTS", flag);
            *files[given++] = argv[i];
            continue;
        }
        if (!strcmp(flag, "-half")) {
            r.half = true;
            continue;
        }
        if (!is_option(flag))
            vkd_fail(
                "detector map: unknown option %s; expected -json, -thresh, -nms, -iou_thresh, -points or "
                "-half",
                flag);
        if (vkd_flag_lacks_value(argc, argv, i)) vkd_fail("detector map: %s needs a value", flag);
        take_option(&r, flag, argv[++i]);
    }
    if (given < 3)
        vkd_fail(
            "usage: %s detector map DATA CFG WEIGHTS [-json FILE] [-thresh %g] [-nms %g] [-iou_thresh %g] "
            "[-points %d] [-half]",
            argv[0], (double)r.options.thresh, (double)r.options.nms, r.question.iou, r.question.points);
    return r;
}

static void free_lines(char **lines, int n) {
    for (int i = 0; i < n; ++i)
        free(lines[i]);
    free(lines);
}

static void print_figure(const char *name, double value) {
    if (value < 0)
        printf("%-7s      -\n", name);
    else
        printf("%-7s %.4f\n", name, value);
}

// question: NULL where none was asked.
static void print_result(const vkd_ap_result *r, const vkd_ap_question *question, char **names) {
    print_figure("AP", r->ap);
    print_figure("AP50", r->ap50);
    print_figure("AP75", r->ap75);
    print_figure("APs", r->ap_small);
    print_figure("APm", r->ap_medium);
    print_figure("APl", r->ap_large);
    print_figure("AR1", r->ar1);
    print_figure("AR10", r->ar10);
    print_figure("AR100", r->ar100);
    print_figure("ARs", r->ar_small);
    print_figure("ARm", r->ar_medium);
    print_figure("ARl", r->ar_large);
    if (question) {
        char name[32];
        snprintf(name, sizeof name, "AP@%.4g", question->iou);
        print_figure(name, r->asked);
    }
    int width = (int)strlen("class");
    for (int i = 0; i < r->classes; ++i)
        if ((int)strlen(names[i]) > width) width = (int)strlen(names[i]);
    printf("\n%-*s      AP    AP50  objects\n", width, "class");
    for (int i = 0; i < r->classes; ++i) {
        if (r->class_objects[i])
            printf("%-*s  %.4f  %.4f  %7d\n", width, names[i], r->class_ap[i], r->class_ap50[i],
                   r->class_objects[i]);
        else
            printf("%-*s       -       -        0\n", width, names[i]);
    }
    if (fflush(stdout)) vkd_fail("standard output: %s", strerror(errno));
}

static int network_classes(const network *net) {
    for (int i = net->n; i-- > 0;) {
        const layer *l = net->layers + i;
        if (l->type == YOLO || l->type == REGION || l->type == DETECTION) return l->classes;
    }
    return 0;
}

void vkd_detector_map(int argc, char **argv) {
    request r = read_arguments(argc, argv);
    vkd_need_file(r.data);
    vkd_need_file(r.cfg);
    vkd_need_file(r.weights);
    list *options = read_data_cfg(r.data);
    const char *valid = option_find_str(options, "valid", NULL);
    const char *names_file = option_find_str(options, "names", NULL);
    const char *kind = option_find_str(options, "eval", NULL);
    if (!valid) vkd_fail("%s: no valid= (the file that lists the pictures to evaluate on)", r.data);
    if (!names_file) vkd_fail("%s: no names= (the file that lists the names of the classes)", r.data);
    r.options.coco_names = kind && !strcmp(kind, "coco");
    int n, number_of_names;
    char **paths = vkd_lines_read(valid, &n), **names = vkd_lines_read(names_file, &number_of_names);
    if (!n) vkd_fail("%s: no pictures in it", valid);

    network *net = load_network(r.cfg, r.weights, 0);
    if (r.half && vkd_is_on_device(net))
        vkd_fail("detector map: -half computes on the CPU; expected -nogpu beside it");
    if (r.half) vkd_net_to_half(net, r.weights);
    int classes = option_find_int_quiet(options, "classes", network_classes(net));
    if (number_of_names < classes)
        vkd_fail("%s: %d names for %d classes", names_file, number_of_names, classes);
    if (r.asks) r.options.question = &r.question;
    vkd_ap_result result;
    double began = what_time_is_it_now();
    if (vkd_evaluate(net, paths, n, classes, &r.options, &result)) exit(EXIT_FAILURE);
    double seconds = what_time_is_it_now() - began;
    fprintf(stderr, "%d pictures in %.1f s, %.1f a second\n", n, seconds, n / seconds);
    print_result(&result, r.options.question, names);
    vkd_ap_result_free(&result);
    free_lines(paths, n);
    free_lines(names, number_of_names);
    free_network(net);
}
