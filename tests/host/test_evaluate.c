#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
//
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/evaluate.h"

enum { PICTURES = 7, CLASSES = 3 };

static char folder[] = "/tmp/test_evaluate_XXXXXX";
static char *paths[PICTURES];

static char *in_folder(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *in_folder(const char *format, ...) {
    char *path = malloc(128);
    int n = snprintf(path, 128, "%s/", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(path + n, 128 - (size_t)n, format, args);
    va_end(args);
    return path;
}

// Two [yolo] heads of different grids, batch norm, a route; the batch as asked for.
static network *make_net(int batch) {
    char *path = in_folder("net%d.cfg", batch);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    static const char *const conv =
        "[convolutional]\nbatch_normalize=%d\nfilters=%d\nsize=3\nstride=2\npad=1\n"
        "activation=%s\n";
    static const char *const yolo = "[yolo]\nmask=%s\nanchors=10,14, 20,20, 30,16, 40,30\nclasses=3\nnum=4\n";
    fprintf(f, "[net]\nbatch=%d\nwidth=64\nheight=96\nchannels=3\nlearning_rate=0.001\nmax_batches=10\n",
            batch);
    fprintf(f, conv, 1, 8, "leaky");
    fprintf(f, conv, 1, 12, "leaky");
    fprintf(f, conv, 0, 16, "linear");
    fprintf(f, yolo, "0,1");
    fprintf(f, "[route]\nlayers=-3\n");
    fprintf(f, conv, 1, 12, "leaky");
    fprintf(f, conv, 0, 16, "linear");
    fprintf(f, yolo, "2,3");
    fclose(f);
    srand(5);
    network *net = parse_network_cfg(path);
    free(path);
    for (int i = 0; i < net->n; ++i) {
        layer *l = net->layers + i;
        if (l->type != CONVOLUTIONAL) continue;
        for (int k = 0; k < l->nweights; ++k) { // scores and places that differ well, sizes near the anchors
            int filter = k / (l->nweights / l->n), is_size = filter % 8 == 2 || filter % 8 == 3;
            l->weights[k] *= l->batch_normalize ? 1.5f : is_size ? .1f : .7f;
        }
        for (int k = 0; l->batch_normalize && k < l->n; ++k) {
            l->rolling_mean[k] = 0.1f * (float)(k % 3);
            l->rolling_variance[k] = 0.5f;
        }
#ifdef GPU
        if (gpu_index >= 0) cuda_push_array(l->weights_gpu, l->weights, (size_t)l->nweights);
        if (gpu_index >= 0 && l->batch_normalize) {
            cuda_push_array(l->rolling_mean_gpu, l->rolling_mean, (size_t)l->n);
            cuda_push_array(l->rolling_variance_gpu, l->rolling_variance, (size_t)l->n);
        }
#endif
    }
    return net;
}

static detection *darknet_boxes(network *net, int picture, int *w, int *h, int *count) {
    image original = load_image_color(paths[picture], 0, 0);
    image fitted = letterbox_image(original, net->w, net->h);
    network_predict(net, fitted.data);
    *w = original.w, *h = original.h;
    detection *dets = get_network_boxes(net, original.w, original.h, .001f, .5f, 0, 0, count);
    do_nms_sort(dets, *count, CLASSES, .45f);
    free_image(fitted);
    free_image(original);
    return dets;
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

// Pictures of several shapes. The labels are what the network finds, moved a little; picture 3 has no label
// file, picture 5 an empty one.
static int make_pictures(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return -1;
    char *images = in_folder("images"), *labels = in_folder("labels");
    if (mkdir(images, 0777) || mkdir(labels, 0777)) return -1;
    free(images);
    free(labels);
    network *net = make_net(1);
    for (int i = 0; i < PICTURES; ++i) {
        image im = make_image(90 + 25 * i, 150 - 12 * i, 3);
        for (int k = 0; k < im.w * im.h * 3; ++k)
            im.data[k] = (float)((k / 9 * (i + 3) + k % im.w * 5) % 256) / 255;
        char *stem = in_folder("images/picture_%06d", 40 + i);
        save_image_options(im, stem, PNG, 100);
        free_image(im);
        free(stem);
        paths[i] = in_folder("images/picture_%06d.png", 40 + i);
        if (i == 3) continue;
        char *label = in_folder("labels/picture_%06d.txt", 40 + i);
        FILE *f = fopen(label, "w");
        int w, h, count;
        detection *dets = darknet_boxes(net, i, &w, &h, &count);
        float best = 0;
        for (int k = 0; k < count * CLASSES; ++k)
            best = fmaxf(best, dets[k / CLASSES].prob[k % CLASSES]);
        for (int k = 0, written = 0; i != 5 && k < count && written < 12; ++k)
            for (int c = 0; c < CLASSES; ++c)
                if (dets[k].prob[c] > .6f * best && dets[k].bbox.x > 0 && dets[k].bbox.x < w &&
                    dets[k].bbox.y > 0 && dets[k].bbox.y < h && ++written)
                    fprintf(f, "%d %.6f %.6f %.6f %.6f\r\n", c, (dets[k].bbox.x + 2) / w,
                            (dets[k].bbox.y - 1) / h, fmin(dets[k].bbox.w * 1.1 / w, 2),
                            fmin(dets[k].bbox.h * .9 / h, 2));
        fclose(f);
        free_detections(dets, count);
        free(label);
    }
    free_network(net);
    return 0;
}

static int remove_pictures(void **unused) {
    (void)unused;
    for (int i = 0; i < PICTURES; ++i)
        free(paths[i]);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static char *contents(const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 22);
    assert_true(fread(text, 1, (1 << 22) - 1, f) < (1 << 22) - 1);
    fclose(f);
    return text;
}

static vkd_ap_result evaluate_with(int batch, int threads, const char *json) {
    network *net = make_net(batch);
    vkd_evaluate_options o = vkd_evaluate_defaults();
    o.threads = threads;
    o.json = json;
    vkd_ap_result r;
    assert_int_equal(0, vkd_evaluate(net, paths, PICTURES, CLASSES, &o, &r));
    free_network(net);
    return r;
}

// The number of threads: to the last byte.
static void threads_change_nothing(void **unused) {
    (void)unused;
    char *json = in_folder("detections.json"), *text[3];
    const int threads[] = {1, 2, 16};
    for (int i = 0; i < 3; ++i) {
        vkd_ap_result r = evaluate_with(3, threads[i], json);
        vkd_ap_result_free(&r);
        text[i] = contents(json);
        assert_string_equal(text[0], text[i]);
    }
    assert_non_null(strstr(text[0], "\"image_id\":7, \"category_id\":3"));
    for (int i = 0; i < 3; ++i)
        free(text[i]);
    unlink(json);
    free(json);
}

// One picture at a time or several, the last batch full or not. Not to the last bit: a convolution is cut
// into blocks by the batch, and blocks of another width are summed in another order.
static void batches_change_nothing(void **unused) {
    (void)unused;
    vkd_ap_result one = evaluate_with(1, 2, NULL);
    if (!(one.ap > 0.05 && one.ap < 0.95)) fail_msg("AP %g says little", one.ap);
    const int batches[] = {2, 3, 7, 16};
    for (int i = 0; i < 4; ++i) {
        vkd_ap_result r = evaluate_with(batches[i], 2, NULL);
        if (!(fabs(r.ap - one.ap) <= 1e-3 && fabs(r.ar100 - one.ar100) <= 1e-3 &&
              fabs(r.ar1 - one.ar1) <= 1e-3))
            fail_msg("batch %d: AP %g AR1 %g AR100 %g, one by one %g %g %g", batches[i], r.ap, r.ar1, r.ar100,
                     one.ap, one.ar1, one.ar100);
        vkd_ap_result_free(&r);
    }
    vkd_ap_result_free(&one);
}

// Darknet's own way, one picture at a time, gives the same figures.
static void agrees_with_darknets_boxes(void **unused) {
    (void)unused;
    network *net = make_net(1);
    static vkd_detection found[100000];
    static vkd_ground_truth truth[1000];
    size_t detections = 0, truths = 0;
    for (int i = 0; i < PICTURES; ++i) {
        int w, h, count;
        detection *dets = darknet_boxes(net, i, &w, &h, &count);
        for (int k = 0; k < count; ++k) {
            box b = dets[k].bbox;
            float l = fmaxf(b.x - b.w / 2, 0), r = fminf(b.x + b.w / 2, (float)w);
            float t = fmaxf(b.y - b.h / 2, 0), d = fminf(b.y + b.h / 2, (float)h);
            for (int c = 0; c < CLASSES && r > l && d > t; ++c)
                if (dets[k].prob[c] > 0) {
                    assert_true(detections < 100000);
                    found[detections++] = (vkd_detection){i, c, l, t, r - l, d - t, dets[k].prob[c]};
                }
        }
        free_detections(dets, count);
        char *label = in_folder("labels/picture_%06d.txt", 40 + i);
        FILE *f = fopen(label, "r");
        int c;
        double x, y, bw, bh;
        while (f && fscanf(f, "%d %lf %lf %lf %lf", &c, &x, &y, &bw, &bh) == 5)
            truth[truths++] =
                (vkd_ground_truth){i, c, (x - bw / 2) * w, (y - bh / 2) * h, bw * w, bh * h, bw * w * bh * h};
        if (f) fclose(f);
        free(label);
    }
    free_network(net);
    assert_true(truths > 30 && detections > 1000);
    vkd_ap_result expected, r = evaluate_with(1, 2, NULL);
    assert_int_equal(
        VKD_OK, vkd_average_precision(truth, truths, found, detections, CLASSES, PICTURES, NULL, &expected));
    const double a[] = {r.ap, r.ap50, r.ap75, r.ap_small, r.ap_medium, r.ar1, r.ar10, r.ar100};
    const double b[] = {expected.ap,        expected.ap50, expected.ap75, expected.ap_small,
                        expected.ap_medium, expected.ar1,  expected.ar10, expected.ar100};
    for (int i = 0; i < 8; ++i)
        if (!(fabs(a[i] - b[i]) <= 1e-9))
            fail_msg("figure %d: %.12g, by Darknet's boxes %.12g", i, a[i], b[i]);
    vkd_ap_result_free(&r);
    vkd_ap_result_free(&expected);
}

// In the middle of training: everything that a step reads is as before.
static void leaves_the_network_as_it_was(void **unused) {
    (void)unused;
    network *net = make_net(4);
    *net->seen = 123;
    *net->cost = 4.5f;
    net->train = 1;
    net->input[7] = 0.25f;
    network before = *net;
    layer *layers = malloc((size_t)net->n * sizeof *layers);
    memcpy(layers, net->layers, (size_t)net->n * sizeof *layers);
    const layer *l = net->layers; // a convolution with batch norm
    float *weights = malloc((size_t)l->nweights * sizeof *weights), means[8];
    memcpy(weights, l->weights, (size_t)l->nweights * sizeof *weights);
    memcpy(means, l->rolling_mean, sizeof means);
    vkd_ap_result r;
    assert_int_equal(0, vkd_evaluate(net, paths, PICTURES, CLASSES, NULL, &r));
    vkd_ap_result_free(&r);
    assert_memory_equal(&before, net, sizeof before);
    assert_memory_equal(layers, net->layers, (size_t)net->n * sizeof *layers);
    assert_int_equal(123, *net->seen);
    assert_true(*net->cost == 4.5f && net->input[7] == 0.25f);
    assert_memory_equal(weights, l->weights, (size_t)l->nweights * sizeof *weights);
    assert_memory_equal(means, l->rolling_mean, sizeof means);
    free(weights);
    free(layers);
    free_network(net);
}

// Evaluates with stderr in a file, expects `result`, and returns the last line that was written.
static char *last_line(network *net, char **pictures, int classes, const vkd_evaluate_options *o,
                       int result) {
    char *log = in_folder("stderr.txt");
    fflush(stderr);
    int saved = dup(2), file = open(log, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    dup2(file, 2);
    close(file);
    vkd_ap_result r;
    int got = vkd_evaluate(net, pictures, PICTURES, classes, o, &r);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    vkd_ap_result_free(&r);
    char *text = contents(log);
    unlink(log);
    free(log);
    assert_int_equal(result, got);
    size_t length = strlen(text);
    assert_true(length > 0 && text[length - 1] == '\n');
    text[length - 1] = '\0';
    assert_null(strchr(text, '\n')); // one line
    return text;
}

static void expect_line(network *net, char **pictures, int classes, const vkd_evaluate_options *o, int result,
                        const char *format, ...) {
    char expected[256], *line = last_line(net, pictures, classes, o, result);
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof expected, format, args);
    va_end(args);
    assert_string_equal(expected, line);
    free(line);
}

static void one_line_for_each_error(void **unused) {
    (void)unused;
    network *net = make_net(2);
    char *missing[PICTURES], *bad = in_folder("labels/picture_000043.txt"),
                             *no_folder = in_folder("none/a.json");
    memcpy(missing, paths, sizeof missing);
    missing[6] = in_folder("images/none.png");
    expect_line(net, missing, CLASSES, NULL, 1, "%s: No such file or directory", missing[6]);
    expect_line(net, paths, 4, NULL, 1,
                "evaluation: different numbers of classes, 3 in the network's cfg and 4 in the data");
    write_text(bad, "0 .5 .5 .1 .1\n\n3 .5 .5 .1 .1\n");
    expect_line(net, paths, CLASSES, NULL, 1, "%s:3: class: found 3, expected an integer from 0 to 2", bad);
    write_text(bad, "0 .5 nan .1 .1\n");
    expect_line(net, paths, CLASSES, NULL, 1, "%s:1: y: found nan, expected a number", bad);
    write_text(bad, "0 .5 .5 .1 -.1\n");
    expect_line(net, paths, CLASSES, NULL, 1,
                "%s:1: height: found -0.1, expected a number that is not negative", bad);
    write_text(bad, "0 .5 .5 .1\n1 .5 .5 .1 .1\n");
    expect_line(net, paths, CLASSES, NULL, 1,
                "%s:1: found \"0 .5 .5 .1\", expected five numbers: class x y width height", bad);
    write_text(bad, "dog .5 .5 .1 .1\n");
    expect_line(net, paths, CLASSES, NULL, 1, "%s:1: class: found \"dog\", expected an integer from 0 to 2",
                bad);
    unlink(bad);
    vkd_evaluate_options o = vkd_evaluate_defaults();
    o.json = no_folder;
    char *line = last_line(net, paths, CLASSES, &o, 1);
    assert_non_null(strstr(line, "No such file or directory"));
    free(line);
    free(missing[6]);
    free(no_folder);
    free(bad);
    free_network(net);
}

static void paths_without_any_label_are_an_error(void **unused) {
    (void)unused;
    network *net = make_net(2);
    char *labels = in_folder("labels"), *away = in_folder("away");
    assert_int_equal(0, rename(labels, away));
    char *line = last_line(net, paths, CLASSES, NULL, 1);
    assert_non_null(
        strstr(line, "labels/picture_000046.txt: no such file, and no label file for any other of 7"));
    free(line);
    assert_int_equal(0, rename(away, labels));
    free(labels);
    free(away);
    free_network(net);
}

// Darknet counts boxes with `>` and skips with `<=`, so that NaN ran past the end of its array.
static void a_diverged_network_scores_nothing(void **unused) {
    (void)unused;
    network *net = make_net(3);
    layer *l = net->layers + 2;
    l->biases[4] = NAN; // objectness of one anchor
#ifdef GPU
    if (gpu_index >= 0) cuda_push_array(l->biases_gpu, l->biases, (size_t)l->n);
#endif
    expect_line(net, paths, CLASSES, NULL, 0,
                "evaluation: NaN or infinity from the network for 7 of 7 pictures; they count as empty");
    free_network(net);
}

int main(void) {
#ifdef GPU
    gpu_index = getenv("VKD_TEST_GPU") ? atoi(getenv("VKD_TEST_GPU")) : -1;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(agrees_with_darknets_boxes),
        cmocka_unit_test(leaves_the_network_as_it_was),
        cmocka_unit_test(one_line_for_each_error),
        cmocka_unit_test(paths_without_any_label_are_an_error),
        cmocka_unit_test(a_diverged_network_scores_nothing),
    };
    return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
