#include "core/average_precision.h"

#include "numerics/finite.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ASKED is the place of the caller's own IoU behind COCO's ten.
enum { AREAS = 4, IOUS = 10, ASKED = IOUS, COLUMNS, RECALLS = 101, KEPT = 100 };
enum { FALSE_POSITIVE, TRUE_POSITIVE, IGNORED }; // what one detection is, at one area range and one IoU

static const double area_ranges[AREAS][2] = {{0, 1e10},
                                             {0, 32 * 32},
                                             {32 * 32, 96 * 96},
                                             {96 * 96, 1e10}}; // all, small, medium, large; both ends inside

// An entry of `truth` or `found`; sorted, the entries of one class and picture stand side by side.
typedef struct entry {
    int class_id, image;
    double score; // 0 for truth
    size_t index; // in the caller's array
} entry;

// The detections of one class that count.
typedef struct ranked {
    double score;
    int rank;     // 0 .. KEPT-1 in its picture, best first
    size_t place; // in order of picture, then rank: breaks ties of score
} ranked;

typedef struct workspace {
    const vkd_ap_question *question; // or NULL
    const vkd_ground_truth *truth;
    const vkd_detection *found;
    entry *truth_entries;   // (truths)
    entry *found_entries;   // (detections)
    ranked *kept;           // (most detections in a class)
    unsigned char *verdict; // (most detections in a class, AREAS, COLUMNS), row = ranked.place
    double *precision;      // (most truths in a class)
    double *iou;            // (KEPT, most truths in a class and picture)
    size_t *order;          // (most truths in a class and picture)
    unsigned char *ignored, *taken;
} workspace;

// The figures of one class: precision averaged over recall, and final recall, or -1.
typedef struct class_figures {
    double precision[AREAS][IOUS];
    double recall[AREAS][IOUS];
    double asked;                         // the question's average precision
    double recall1[IOUS], recall10[IOUS]; // all areas, at most 1 and 10 detections
    int objects[AREAS];
} class_figures;

// pycocotools' thresholds are numpy.linspace(.5, .95, 10) and numpy.linspace(0, 1, 101): the same doubles
// here.
static double iou_threshold(int i) {
    return i == IOUS - 1 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / (IOUS - 1));
}

static double recall_threshold(int i, int points) {
    return i == points - 1 ? 1 : i * (1. / (points - 1));
}

static int compare_entries(const void *pa, const void *pb) {
    const entry *a = pa, *b = pb;
    if (a->class_id != b->class_id) return a->class_id < b->class_id ? -1 : 1;
    if (a->image != b->image) return a->image < b->image ? -1 : 1;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int compare_ranked(const void *pa, const void *pb) {
    const ranked *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static vkd_status check_box(int image, int class_id, const double box[4], double more, int classes,
                            int images) {
    if (!vkd_all_finite_double(box, 4) || !vkd_is_finite(more)) return VKD_NOT_FINITE;
    if (image < 0 || image >= images || class_id < 0 || class_id >= classes || box[2] < 0 || box[3] < 0)
        return VKD_INVALID_ARGUMENT;
    return VKD_OK;
}

static vkd_status check_input(const vkd_ground_truth *truth, size_t truths, const vkd_detection *found,
                              size_t detections, int classes, int images) {
    if (classes < 1 || images < 0 || (truths && !truth) || (detections && !found))
        return VKD_INVALID_ARGUMENT;
    for (size_t i = 0; i < truths; ++i) {
        const vkd_ground_truth *g = truth + i;
        vkd_status status =
            check_box(g->image, g->class_id, (double[4]){g->x, g->y, g->w, g->h}, g->area, classes, images);
        if (status) return status;
        if (g->area < 0) return VKD_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < detections; ++i) {
        const vkd_detection *d = found + i;
        vkd_status status =
            check_box(d->image, d->class_id, (double[4]){d->x, d->y, d->w, d->h}, d->score, classes, images);
        if (status) return status;
    }
    return VKD_OK;
}

// Intersection over union; 0 for boxes that only touch, so that two empty boxes never divide 0 by 0.
static double box_iou(const vkd_detection *d, const vkd_ground_truth *g) {
    double w = fmin(d->w + d->x, g->w + g->x) - fmax(d->x, g->x);
    double h = fmin(d->h + d->y, g->h + g->y) - fmax(d->y, g->y);
    if (w <= 0 || h <= 0) return 0;
    double intersection = w * h;
    return intersection / (d->w * d->h + g->w * g->h - intersection);
}

static int outside(double area, const double range[2]) {
    return area < range[0] || area > range[1];
}

// Each detection, best first, takes the free object it overlaps most, if by at least `threshold` (of equal
// overlaps the later one). Objects outside the area range are taken only when no other fits, and then the
// detection does not count. order: (truths) with the ignored ones last.
static void match(workspace *w, size_t detections, size_t truths, double threshold, unsigned char *verdict) {
    memset(w->taken, 0, truths);
    for (size_t d = 0; d < detections; ++d, verdict += (size_t)AREAS * COLUMNS) {
        double best = fmin(threshold, 1 - 1e-10);
        size_t chosen = truths;
        for (size_t i = 0; i < truths; ++i) {
            size_t g = w->order[i];
            if (w->taken[g]) continue;
            if (chosen < truths && !w->ignored[chosen] && w->ignored[g]) break;
            if (w->iou[d * truths + g] < best) continue;
            best = w->iou[d * truths + g];
            chosen = g;
        }
        if (chosen == truths) continue;
        w->taken[chosen] = 1;
        *verdict = w->ignored[chosen] ? IGNORED : TRUE_POSITIVE;
    }
}

// One class in one picture. found: (detections) best first, at most KEPT; verdict: (detections, AREAS,
// COLUMNS).
static void match_group(workspace *w, const entry *truth, size_t truths, const entry *found,
                        size_t detections, unsigned char *verdict, class_figures *figures) {
    for (size_t d = 0; d < detections; ++d)
        for (size_t g = 0; g < truths; ++g)
            w->iou[d * truths + g] = box_iou(w->found + found[d].index, w->truth + truth[g].index);
    for (int a = 0; a < AREAS; ++a) {
        size_t counted = 0, last = truths;
        for (size_t g = 0; g < truths; ++g) {
            w->ignored[g] = (unsigned char)outside(w->truth[truth[g].index].area, area_ranges[a]);
            if (!w->ignored[g]) w->order[counted++] = g;
        }
        for (size_t g = truths; g-- > 0;)
            if (w->ignored[g]) w->order[--last] = g;
        figures->objects[a] += (int)counted;
        for (size_t d = 0; d < detections; ++d) {
            const vkd_detection *box = w->found + found[d].index;
            // what stays unmatched and has another size than asked for does not count as a false positive
            memset(verdict + (d * AREAS + a) * COLUMNS,
                   outside(box->w * box->h, area_ranges[a]) ? IGNORED : FALSE_POSITIVE, COLUMNS);
        }
        for (int t = 0; truths && t < IOUS; ++t)
            match(w, detections, truths, iou_threshold(t), verdict + (size_t)a * COLUMNS + t);
        if (truths && w->question && a == 0)
            match(w, detections, truths, w->question->iou, verdict + (size_t)a * COLUMNS + ASKED);
    }
}

// The precision-recall curve: w->precision[i] becomes the best precision at i + 1 hits or more. Precision can
// only rise at a true positive, so it is enough to know it there. Returns the number of hits.
static size_t precision_curve(workspace *w, size_t kept, int area, int t) {
    size_t hits = 0, misses = 0;
    for (size_t i = 0; i < kept; ++i) {
        int verdict = w->verdict[(w->kept[i].place * AREAS + area) * COLUMNS + t];
        misses += verdict == FALSE_POSITIVE;
        if (verdict != TRUE_POSITIVE) continue;
        ++hits;
        w->precision[hits - 1] = (double)hits / ((double)(misses + hits) + DBL_EPSILON);
    }
    for (size_t i = hits; i-- > 1;)
        w->precision[i - 1] = fmax(w->precision[i - 1], w->precision[i]);
    return hits;
}

// The curve's mean over the recalls 0 .. 1 in `points` steps, or its area where points is 0.
static double average_precision(const workspace *w, size_t hits, int objects, int points) {
    double sum = 0;
    size_t first = 0; // the first hit whose recall reaches r
    for (size_t i = 0; !points && i < hits; ++i)
        sum += w->precision[i];
    for (int r = 0; r < points; ++r) {
        while (first < hits && (double)(first + 1) / objects < recall_threshold(r, points))
            ++first;
        if (first == hits) break;
        sum += w->precision[first];
    }
    return sum / (points ? points : objects);
}

static double recall_at(const workspace *w, size_t kept, int t, int most, int objects) {
    size_t hits = 0;
    for (size_t i = 0; i < kept; ++i)
        hits += w->kept[i].rank < most && w->verdict[w->kept[i].place * AREAS * COLUMNS + t] == TRUE_POSITIVE;
    return (double)hits / objects;
}

// One class: truth (truths) and found (detections) sorted by picture.
static void class_average(workspace *w, const entry *truth, size_t truths, const entry *found,
                          size_t detections, class_figures *figures) {
    memset(figures, 0, sizeof *figures);
    size_t kept = 0;
    for (size_t g = 0, d = 0; g < truths || d < detections;) {
        int image = d == detections || (g < truths && truth[g].image < found[d].image) ? truth[g].image
                                                                                       : found[d].image;
        size_t g0 = g, d0 = d;
        while (g < truths && truth[g].image == image)
            ++g;
        while (d < detections && found[d].image == image)
            ++d;
        size_t n = d - d0 < KEPT ? d - d0 : KEPT;
        match_group(w, truth + g0, g - g0, found + d0, n, w->verdict + kept * AREAS * COLUMNS, figures);
        for (size_t i = 0; i < n; ++i, ++kept)
            w->kept[kept] = (ranked){found[d0 + i].score, (int)i, kept};
    }
    qsort(w->kept, kept, sizeof *w->kept, compare_ranked);
    int objects = figures->objects[0];
    for (int t = 0; t < IOUS; ++t) {
        for (int a = 0; a < AREAS; ++a) {
            figures->precision[a][t] = figures->recall[a][t] = -1;
            if (!figures->objects[a]) continue;
            size_t hits = precision_curve(w, kept, a, t);
            figures->precision[a][t] = average_precision(w, hits, figures->objects[a], RECALLS);
            figures->recall[a][t] = (double)hits / figures->objects[a];
        }
        figures->recall1[t] = objects ? recall_at(w, kept, t, 1, objects) : -1;
        figures->recall10[t] = objects ? recall_at(w, kept, t, 10, objects) : -1;
    }
    figures->asked = -1;
    if (objects && w->question)
        figures->asked =
            average_precision(w, precision_curve(w, kept, 0, ASKED), objects, w->question->points);
}

// A mean over classes of values that may be absent.
typedef struct mean {
    double sum;
    int n;
} mean;

static void add(mean *m, const double *values, int n) {
    for (int i = 0; i < n && values[0] >= 0; ++i, ++m->n)
        m->sum += values[i];
}

static double value(mean m) {
    return m.n ? m.sum / m.n : -1;
}

// The length of the longest run of one class (by_image = 0), or of one class and picture, in sorted entries.
static size_t longest_run(const entry *e, size_t n, int by_image) {
    size_t longest = 0, start = 0;
    for (size_t i = 0; i < n; ++i) {
        if (e[i].class_id != e[start].class_id || (by_image && e[i].image != e[start].image)) start = i;
        if (i - start + 1 > longest) longest = i - start + 1;
    }
    return longest;
}

static void free_workspace(workspace *w) {
    free(w->truth_entries);
    free(w->found_entries);
    free(w->kept);
    free(w->verdict);
    free(w->precision);
    free(w->iou);
    free(w->order);
    free(w->ignored);
    free(w->taken);
}

static vkd_status make_workspace(workspace *w, size_t truths, size_t detections) {
    w->truth_entries = malloc((truths + 1) * sizeof *w->truth_entries);
    w->found_entries = malloc((detections + 1) * sizeof *w->found_entries);
    if (!w->truth_entries || !w->found_entries) return VKD_OUT_OF_MEMORY;
    for (size_t i = 0; i < truths; ++i)
        w->truth_entries[i] = (entry){w->truth[i].class_id, w->truth[i].image, 0, i};
    for (size_t i = 0; i < detections; ++i)
        w->found_entries[i] = (entry){w->found[i].class_id, w->found[i].image, w->found[i].score, i};
    qsort(w->truth_entries, truths, sizeof(entry), compare_entries);
    qsort(w->found_entries, detections, sizeof(entry), compare_entries);
    size_t in_class = longest_run(w->found_entries, detections, 0) + 1;
    size_t in_picture = longest_run(w->truth_entries, truths, 1) + 1;
    w->kept = malloc(in_class * sizeof *w->kept);
    w->verdict = malloc(in_class * AREAS * COLUMNS);
    w->precision = malloc((longest_run(w->truth_entries, truths, 0) + 1) * sizeof *w->precision);
    w->iou = malloc(KEPT * in_picture * sizeof *w->iou);
    w->order = malloc(in_picture * sizeof *w->order);
    w->ignored = malloc(in_picture);
    w->taken = malloc(in_picture);
    if (!w->kept || !w->verdict || !w->precision || !w->iou || !w->order || !w->ignored || !w->taken)
        return VKD_OUT_OF_MEMORY;
    return VKD_OK;
}

static void average_classes(workspace *w, size_t truths, size_t detections, vkd_ap_result *r) {
    mean ap[AREAS] = {{0}}, ar[AREAS] = {{0}}, ap50 = {0}, ap75 = {0}, ar1 = {0}, ar10 = {0}, asked = {0};
    size_t g = 0, d = 0;
    for (int c = 0; c < r->classes; ++c) {
        size_t g0 = g, d0 = d;
        while (g < truths && w->truth_entries[g].class_id == c)
            ++g;
        while (d < detections && w->found_entries[d].class_id == c)
            ++d;
        class_figures figures;
        class_average(w, w->truth_entries + g0, g - g0, w->found_entries + d0, d - d0, &figures);
        for (int a = 0; a < AREAS; ++a) {
            add(&ap[a], figures.precision[a], IOUS);
            add(&ar[a], figures.recall[a], IOUS);
        }
        add(&ap50, &figures.precision[0][0], 1);
        add(&ap75, &figures.precision[0][5], 1);
        add(&asked, &figures.asked, 1);
        add(&ar1, figures.recall1, IOUS);
        add(&ar10, figures.recall10, IOUS);
        mean own = {0};
        add(&own, figures.precision[0], IOUS);
        r->class_ap[c] = value(own);
        r->class_ap50[c] = figures.precision[0][0];
        r->class_objects[c] = figures.objects[0];
    }
    r->asked = value(asked);
    r->ap = value(ap[0]), r->ap50 = value(ap50), r->ap75 = value(ap75);
    r->ap_small = value(ap[1]), r->ap_medium = value(ap[2]), r->ap_large = value(ap[3]);
    r->ar1 = value(ar1), r->ar10 = value(ar10), r->ar100 = value(ar[0]);
    r->ar_small = value(ar[1]), r->ar_medium = value(ar[2]), r->ar_large = value(ar[3]);
}

vkd_status vkd_average_precision(const vkd_ground_truth *truth, size_t truths, const vkd_detection *found,
                                 size_t detections, int classes, int images, const vkd_ap_question *question,
                                 vkd_ap_result *result) {
    if (!result) return VKD_INVALID_ARGUMENT;
    *result = (vkd_ap_result){0};
    vkd_status status = check_input(truth, truths, found, detections, classes, images);
    if (status) return status;
    if (question &&
        (!(question->iou > 0 && question->iou <= 1) || question->points < 0 || question->points == 1))
        return VKD_INVALID_ARGUMENT;
    workspace w = {.question = question, .truth = truth, .found = found};
    result->classes = classes;
    result->class_ap = malloc((size_t)classes * sizeof(double));
    result->class_ap50 = malloc((size_t)classes * sizeof(double));
    result->class_objects = malloc((size_t)classes * sizeof(int));
    if (!result->class_ap || !result->class_ap50 || !result->class_objects)
        status = VKD_OUT_OF_MEMORY;
    else
        status = make_workspace(&w, truths, detections);
    if (!status)
        average_classes(&w, truths, detections, result);
    else
        vkd_ap_result_free(result);
    free_workspace(&w);
    return status;
}

void vkd_ap_result_free(vkd_ap_result *result) {
    if (!result) return;
    free(result->class_ap);
    free(result->class_ap50);
    free(result->class_objects);
    *result = (vkd_ap_result){0};
}
