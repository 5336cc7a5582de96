#define _POSIX_C_SOURCE 200809L
#include "host/evaluate.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "host/labels.h"
#include "numerics/finite.h"

enum { MAX_THREADS = 16, MAX_PER_CLASS = 100 }; // COCO counts 100 detections of a class in a picture

typedef struct boxes {
    vkd_detection *at; // (count)
    size_t count, capacity;
    int failed; // 1 where memory ran out: the list is not whole
} boxes;

// One batch of pictures on its way through the network.
typedef struct batch {
    int first, count; // paths[first, first+count)
    float *input;     // (net->batch, net->inputs)
} batch;

typedef struct evaluation {
    network *net;
    int w, h; // of its input, for the loaders: network_predict writes all of *net while they run
    char **paths;
    int n, classes, threads;
    vkd_evaluate_options options;
    int *widths, *heights; // (n) of the pictures as they are in their files
    boxes *slots;          // (net->batch) detections of each picture of the batch
    int *not_finite;       // (net->batch) 1 where the network answered a NaN
    layer *heads;          // (number_of_heads) the layers that give boxes
    int number_of_heads;
    boxes found;
} evaluation;

typedef void step_function(evaluation *e, const batch *b, int slot);

// A share of a batch's pictures: one thread's work.
typedef struct share {
    evaluation *e;
    const batch *b;
    step_function *step;
    int start;
} share;

typedef struct crew {
    pthread_t threads[MAX_THREADS];
    share shares[MAX_THREADS];
    int started;
} crew;

static void *work(void *argument) {
    const share *s = argument;
    for (int slot = s->start; slot < s->b->count; slot += s->e->threads)
        s->step(s->e, s->b, slot);
    return NULL;
}

// Does `step` for every picture of the batch, on e->threads threads; finish() waits for them. What no thread
// could be made for is done here and now.
static void start(crew *c, evaluation *e, const batch *b, step_function *step) {
    c->started = 0;
    for (int t = 0; t < e->threads && t < b->count; ++t) {
        share *s = c->shares + t;
        *s = (share){e, b, step, t};
        if (c->started == t && !pthread_create(c->threads + t, NULL, work, s))
            ++c->started;
        else
            work(s);
    }
}

static void finish(crew *c) {
    for (int t = 0; t < c->started; ++t)
        pthread_join(c->threads[t], NULL);
    c->started = 0;
}

static void load_picture(evaluation *e, const batch *b, int slot) {
    int i = b->first + slot;
    image original = load_image_color(e->paths[i], 0, 0);
    image fitted = letterbox_image(original, e->w, e->h);
    size_t inputs = (size_t)e->w * (size_t)e->h * (size_t)fitted.c;
    memcpy(b->input + (size_t)slot * inputs, fitted.data, inputs * sizeof(float));
    e->widths[i] = original.w;
    e->heights[i] = original.h;
    free_image(fitted);
    free_image(original);
}

static void add_box(boxes *list, vkd_detection d) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        vkd_detection *grown = realloc(list->at, capacity * sizeof *grown);
        if (!grown) {
            list->failed = 1;
            return;
        }
        list->at = grown;
        list->capacity = capacity;
    }
    list->at[list->count++] = d;
}

// The part of a box that lies in the picture, as `detector valid` cuts it. 0 if there is none.
static int clip(box b, int w, int h, vkd_detection *d) {
    float left = b.x - b.w / 2.f, right = b.x + b.w / 2.f, top = b.y - b.h / 2.f, bottom = b.y + b.h / 2.f;
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > (float)w ? (float)w : right;
    bottom = bottom > (float)h ? (float)h : bottom;
    if (!(right > left && bottom > top)) return 0;
    d->x = left, d->y = top, d->w = right - left, d->h = bottom - top;
    return 1;
}

typedef struct candidate {
    float score;
    int index;
} candidate;

static int compare_candidates(const void *pa, const void *pb) {
    const candidate *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

// Non-maximum suppression of one class, as do_nms_sort in Darknet's src/box.c, but it ends when all that COCO
// counts is found, and ranks equal scores by place. candidates: (count) by falling score, rearranged here.
static void keep_best(evaluation *e, const detection *dets, candidate *candidates, int count, vkd_detection d,
                      boxes *list) {
    int kept = 0;
    size_t most = list->count + MAX_PER_CLASS;
    for (int i = 0; i < count && list->count < most; ++i) {
        box b = dets[candidates[i].index].bbox;
        int suppressed = 0;
        for (int k = 0; e->options.nms > 0 && k < kept && !suppressed; ++k)
            suppressed = box_iou(dets[candidates[k].index].bbox, b) > e->options.nms;
        if (suppressed) continue;
        d.score = candidates[i].score;
        candidates[kept++] = candidates[i];
        if (clip(b, e->widths[d.image], e->heights[d.image], &d)) add_box(list, d);
    }
}

// Reads the boxes of one picture out of the last prediction. Darknet's own code decodes them: it looks at
// picture 0 of a layer's output, so it gets copies of the layers whose output begins at this picture. (It
// takes a batch of two for a picture and its mirror image, hence batch = 1.)
static void read_boxes_of(evaluation *e, const batch *b, int slot) {
    int image_index = b->first + slot;
    network view = *e->net;
    layer *heads = malloc((size_t)e->number_of_heads * sizeof *heads);
    e->slots[slot].count = 0;
    e->not_finite[slot] = 0;
    candidate *candidates = NULL;
    detection *dets = NULL;
    int count = 0;
    if (!heads) goto no_memory;
    for (int i = 0; i < e->number_of_heads; ++i) {
        heads[i] = e->heads[i];
        heads[i].batch = 1;
        heads[i].output += (size_t)slot * (size_t)heads[i].outputs;
        // Darknet counts boxes with `>` and skips with `<=`: a NaN would pass both, past the end of its
        // array.
        e->not_finite[slot] |= !vkd_all_finite(heads[i].output, (size_t)heads[i].outputs);
    }
    view.layers = heads;
    view.n = e->number_of_heads;
    if (!e->not_finite[slot])
        dets = get_network_boxes(&view, e->widths[image_index], e->heights[image_index], e->options.thresh,
                                 .5F, 0, 0, &count);
    candidates = malloc(((size_t)count + 1) * sizeof *candidates);
    if (!candidates) goto no_memory;
    for (int k = 0; k < e->classes; ++k) {
        int n = 0;
        for (int i = 0; i < count; ++i)
            if (dets[i].prob[k] > 0 && vkd_all_finite(&dets[i].bbox.x, 4))
                candidates[n++] = (candidate){dets[i].prob[k], i};
        qsort(candidates, (size_t)n, sizeof *candidates, compare_candidates);
        keep_best(e, dets, candidates, n, (vkd_detection){.image = image_index, .class_id = k},
                  e->slots + slot);
    }
    goto end;
no_memory:
    e->slots[slot].failed = 1;
end:
    free_detections(dets, count);
    free(candidates);
    free(heads);
}

static void show_progress(const evaluation *e, int done, double began, double *shown) {
    double now = what_time_is_it_now();
    if (!e->options.progress || now - began < 1 || now - *shown < 0.2 || !isatty(2)) return;
    *shown = now;
    double rate = done / (now - began);
    fprintf(stderr, "\r%d of %d pictures, %.1f a second, %.0f s left \033[K", done, e->n, rate,
            (e->n - done) / rate);
}

// All pictures through the network, the next batch being loaded meanwhile. Returns how many pictures got a
// NaN for an answer, or -1 without memory.
static int predict_all(evaluation *e, batch pair[2]) {
    int size = e->net->batch, bad = 0;
    float cost = *e->net->cost;
    double began = what_time_is_it_now(), shown = 0;
    crew loaders = {.started = 0}, readers = {.started = 0};
    pair[0].first = 0;
    pair[0].count = e->n < size ? e->n : size;
    start(&loaders, e, &pair[0], load_picture);
    for (int turn = 0; pair[turn].count > 0; turn = !turn) {
        const batch *now = &pair[turn];
        batch *next = &pair[!turn];
        finish(&loaders);
        next->first = now->first + now->count;
        next->count = e->n - next->first < size ? e->n - next->first : size;
        start(&loaders, e, next, load_picture);
        network_predict(e->net, now->input);
        start(&readers, e, now, read_boxes_of);
        finish(&readers);
        for (int slot = 0; slot < now->count; ++slot) {
            bad += e->not_finite[slot];
            e->found.failed |= e->slots[slot].failed;
            for (size_t i = 0; i < e->slots[slot].count; ++i)
                add_box(&e->found, e->slots[slot].at[i]);
        }
        show_progress(e, next->first, began, &shown);
    }
    if (shown > 0) fprintf(stderr, "\r\033[K");
    *e->net->cost = cost; // forward_network sets it, even in inference
    return e->found.failed ? -1 : bad;
}

static vkd_ground_truth *ground_truth(const evaluation *e, const vkd_labels *labels) {
    vkd_ground_truth *truth = malloc((labels->count + 1) * sizeof *truth);
    for (size_t i = 0; truth && i < labels->count; ++i) {
        const vkd_label *l = labels->labels + i;
        double w = e->widths[l->image], h = e->heights[l->image];
        truth[i] = (vkd_ground_truth){l->image, l->class_id, (l->x - l->w / 2) * w, (l->y - l->h / 2) * h,
                                      l->w * w, l->h * h,    l->w * w * l->h * h};
    }
    return truth;
}

// The number in a picture's file name, as `detector valid` finds it: COCO_val2014_000000000042.jpg -> 42.
static int number_in_name(const char *path) {
    const char *p = strrchr(path, '/'), *underscore = strrchr(path, '_');
    p = underscore ? underscore : p;
    long number = strtol(p ? p + 1 : path, NULL, 10);
    return number < INT_MIN || number > INT_MAX ? 0 : (int)number;
}

// COCO numbers its 80 classes 1 to 90, with these left out.
static int coco_category(int class_id) {
    static const int absent[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};
    int id = class_id + 1;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; ++i)
        id += id >= absent[i];
    return id;
}

// Nine digits, so that the floats come back as they were and ties stay ties.
static vkd_status write_json(const evaluation *e, vkd_error *err) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: out of memory", e->options.json);
    for (size_t i = 0; i < e->found.count; ++i) {
        const vkd_detection *d = e->found.at + i;
        int image_id = e->options.coco_names ? number_in_name(e->paths[d->image]) : d->image + 1;
        int category = e->options.coco_names ? coco_category(d->class_id) : d->class_id + 1;
        fprintf(memory,
                "%s{\"image_id\":%d, \"category_id\":%d, \"bbox\":[%.9g, %.9g, %.9g, %.9g], \"score\":%.9g}",
                i ? ",\n" : "[\n", image_id, category, d->x, d->y, d->w, d->h, d->score);
    }
    fputs(e->found.count ? "\n]\n" : "[]\n", memory);
    int failed = ferror(memory) | fclose(memory);
    vkd_status status = failed ? vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: out of memory", e->options.json)
                               : vkd_file_write(e->options.json, text, bytes, err);
    free(text);
    return status;
}

// What can be known before any work.
static vkd_status check_request(const evaluation *e, vkd_error *err) {
    if (e->net->c != 3)
        return vkd_error_set(err, VKD_INVALID_ARGUMENT,
                             "evaluation: the network takes %d channels, pictures have 3", e->net->c);
    if (!e->number_of_heads)
        return vkd_error_set(err, VKD_INVALID_ARGUMENT,
                             "evaluation: the network has no [yolo], [region] or [detection] layer");
    for (int i = 0; i < e->number_of_heads; ++i)
        if (e->heads[i].classes != e->classes)
            return vkd_error_set(
                err, VKD_INVALID_ARGUMENT,
                "evaluation: different numbers of classes, %d in the network's cfg and %d in the data",
                e->heads[i].classes, e->classes);
    for (int i = 0; i < e->n; ++i)
        if (access(e->paths[i], R_OK))
            return vkd_error_set(err, VKD_IO, "%s: %s", e->paths[i], strerror(errno));
    return VKD_OK;
}

static int make_buffers(evaluation *e, batch pair[2]) {
    size_t n = (size_t)e->n + 1, size = (size_t)e->net->batch;
    int ok = 1;
    e->widths = calloc(n, sizeof *e->widths);
    e->heights = calloc(n, sizeof *e->heights);
    e->slots = calloc(size, sizeof *e->slots);
    e->not_finite = calloc(size, sizeof *e->not_finite);
    e->heads = calloc((size_t)e->net->n, sizeof *e->heads);
    for (int i = 0; i < 2; ++i) { // where the last batch is not full, the rest is black, or old
        pair[i].input = calloc(size * (size_t)e->net->inputs, sizeof(float));
        ok &= pair[i].input != NULL;
    }
    for (int i = 0; e->heads && i < e->net->n; ++i) {
        const layer *l = e->net->layers + i;
        if (l->type == YOLO || l->type == REGION || l->type == DETECTION) e->heads[e->number_of_heads++] = *l;
    }
    return ok && e->widths && e->heights && e->slots && e->not_finite && e->heads;
}

static void free_buffers(evaluation *e, batch pair[2]) {
    for (int i = 0; e->slots && i < e->net->batch; ++i)
        free(e->slots[i].at);
    free(e->slots);
    free(e->not_finite);
    free(e->widths);
    free(e->heights);
    free(e->heads);
    free(e->found.at);
    free(pair[0].input);
    free(pair[1].input);
}

vkd_evaluate_options vkd_evaluate_defaults(void) {
    return (vkd_evaluate_options){.thresh = .001f, .nms = .45f, .progress = 1};
}

static vkd_status evaluate(evaluation *e, batch pair[2], vkd_labels *labels, vkd_ap_result *result,
                           vkd_error *err) {
    static const char *const no_memory = "evaluation: out of memory";
    if (!make_buffers(e, pair)) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s", no_memory);
    vkd_status status = check_request(e, err);
    if (!status) status = vkd_labels_read(e->paths, e->n, e->classes, labels, err);
    if (status) return status;
    int bad = predict_all(e, pair);
    if (bad < 0) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s", no_memory);
    if (bad)
        fprintf(stderr,
                "evaluation: NaN or infinity from the network for %d of %d pictures; they count as empty\n",
                bad, e->n);
    if (e->options.json) status = write_json(e, err);
    if (status) return status;
    vkd_ground_truth *truth = ground_truth(e, labels);
    status = truth ? vkd_average_precision(truth, labels->count, e->found.at, e->found.count, e->classes,
                                           e->n, e->options.question, result)
                   : VKD_OUT_OF_MEMORY;
    free(truth);
    return status ? vkd_error_set(err, status, "%s", no_memory) : VKD_OK; // the boxes are finite and in range
}

int vkd_evaluate(network *net, char **paths, int n, int classes, const vkd_evaluate_options *options,
                 vkd_ap_result *result) {
    evaluation e = {.net = net, .w = net->w, .h = net->h, .paths = paths, .n = n, .classes = classes};
    batch pair[2] = {{0}};
    vkd_labels labels = {0};
    vkd_error err = {0};
    *result = (vkd_ap_result){0};
    e.options = options ? *options : vkd_evaluate_defaults();
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    e.threads = e.options.threads > 0 ? e.options.threads : processors > 0 ? (int)processors : 1;
    if (e.threads > MAX_THREADS) e.threads = MAX_THREADS;
    vkd_status status = evaluate(&e, pair, &labels, result, &err);
    if (status) fprintf(stderr, "%s\n", err.text);
    vkd_labels_free(&labels);
    free_buffers(&e, pair);
    return status != VKD_OK;
}
