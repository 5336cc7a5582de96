#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
//
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/average_precision.h"
//
#include "coco_cases.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void assert_close(const char *name, const char *what, double got, double expected) {
    if (!(fabs(got - expected) <= 1e-9))
        fail_msg("%s: %s is %.12g, pycocotools says %.12g", name, what, got, expected);
}

// Knuth's MMIX generator, as in scripts/make_coco_cases.py.
static int below(uint64_t *state, int n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int)((*state >> 33) % (uint64_t)n);
}

// The same boxes as bulk() in scripts/make_coco_cases.py: every draw in the same order.
static void make_bulk(int seed, int classes, int images, int truths, int detections, vkd_ground_truth *truth,
                      vkd_detection *found) {
    uint64_t r = (uint64_t)seed;
    for (int n = 0; n < truths; ++n) {
        vkd_ground_truth *g = truth + n;
        g->image = below(&r, images), g->class_id = below(&r, classes);
        int size = below(&r, 3);
        g->x = below(&r, 4000) / 8., g->y = below(&r, 4000) / 8.;
        g->w = (8 + below(&r, 300 << size)) / 8., g->h = (8 + below(&r, 300 << size)) / 8.;
        g->area = g->w * g->h * (4 + below(&r, 5)) / 8;
    }
    for (int n = 0; n < detections; ++n) {
        vkd_detection *d = found + n;
        if (n % 3 == 2) {
            d->image = below(&r, images), d->class_id = below(&r, classes);
            d->x = below(&r, 4000) / 8., d->y = below(&r, 4000) / 8.;
            d->w = below(&r, 1200) / 8., d->h = below(&r, 1200) / 8.;
        } else {
            const vkd_ground_truth *g = truth + below(&r, truths);
            d->image = g->image, d->class_id = g->class_id;
            d->x = g->x + g->w * (below(&r, 33) - 16) / 64, d->y = g->y + g->h * (below(&r, 33) - 16) / 64;
            d->w = g->w * (56 + below(&r, 17)) / 64, d->h = g->h * (56 + below(&r, 17)) / 64;
        }
        d->score = below(&r, 64) / 64.;
    }
}

// One IoU and a number of points; COCO's own figures do not notice.
static void answers(const struct coco_case *c, const vkd_ground_truth *truth, const vkd_detection *found,
                    const double figures[12]) {
    static const vkd_ap_question questions[4] = {{.5, 11}, {.75, 101}, {.3, 0}, {.6, 0}};
    for (size_t i = 0; i < COUNT(questions); ++i) {
        vkd_ap_result r;
        assert_int_equal(VKD_OK, vkd_average_precision(truth, (size_t)c->truths, found, (size_t)c->detections,
                                                       c->classes, c->images, &questions[i], &r));
        assert_close(c->name, "the answer", r.asked, c->asked[i]);
        assert_true(r.ap == figures[0] && r.ap50 == figures[1] && r.ap_large == figures[5] &&
                    r.ar100 == figures[8]);
        vkd_ap_result_free(&r);
    }
}

static void agrees_with_pycocotools(void **unused) {
    (void)unused;
    for (size_t i = 0; i < COUNT(coco_cases); ++i) {
        const struct coco_case *c = coco_cases + i;
        vkd_ground_truth *truth = calloc((size_t)c->truths + 1, sizeof *truth);
        vkd_detection *found = calloc((size_t)c->detections + 1, sizeof *found);
        if (c->seed)
            make_bulk(c->seed, c->classes, c->images, c->truths, c->detections, truth, found);
        else {
            for (int k = 0; k < c->truths; ++k)
                truth[k] = c->truth[k];
            for (int k = 0; k < c->detections; ++k)
                found[k] = c->found[k];
        }
        vkd_ap_result r;
        assert_int_equal(VKD_OK, vkd_average_precision(truth, (size_t)c->truths, found, (size_t)c->detections,
                                                       c->classes, c->images, NULL, &r));
        const double got[12] = {r.ap,  r.ap50, r.ap75,  r.ap_small, r.ap_medium, r.ap_large,
                                r.ar1, r.ar10, r.ar100, r.ar_small, r.ar_medium, r.ar_large};
        static const char *const names[12] = {"AP",  "AP50", "AP75",  "APs", "APm", "APl",
                                              "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};
        for (int k = 0; k < 12; ++k)
            assert_close(c->name, names[k], got[k], c->figures[k]);
        assert_true(r.asked == -1);
        int objects = 0;
        for (int k = 0; k < c->classes; ++k) {
            assert_close(c->name, "a class's AP", r.class_ap[k], c->class_ap[k]);
            assert_close(c->name, "a class's AP50", r.class_ap50[k], c->class_ap50[k]);
            objects += r.class_objects[k];
        }
        assert_int_equal(objects, c->truths);
        vkd_ap_result_free(&r);
        answers(c, truth, found, got);
        free(truth);
        free(found);
    }
}

enum { BULK_TRUTHS = 300, BULK_FOUND = 1500, BULK_CLASSES = 4, BULK_IMAGES = 20 };

static vkd_ap_result evaluate_bulk(const vkd_ground_truth *truth, const vkd_detection *found) {
    vkd_ap_result r;
    assert_int_equal(VKD_OK, vkd_average_precision(truth, BULK_TRUTHS, found, BULK_FOUND, BULK_CLASSES,
                                                   BULK_IMAGES, NULL, &r));
    return r;
}

// Only the order of the scores matters: a rising function of them changes nothing, to the last bit.
static void depends_on_the_order_of_scores_only(void **unused) {
    (void)unused;
    static vkd_ground_truth truth[BULK_TRUTHS];
    static vkd_detection found[BULK_FOUND];
    make_bulk(7, BULK_CLASSES, BULK_IMAGES, BULK_TRUTHS, BULK_FOUND, truth, found);
    vkd_ap_result before = evaluate_bulk(truth, found);
    for (int i = 0; i < BULK_FOUND; ++i)
        found[i].score = exp(3 * found[i].score) - 40;
    vkd_ap_result after = evaluate_bulk(truth, found);
    assert_true(before.ap > 0.01 && before.ap == after.ap && before.ar1 == after.ar1 &&
                before.ap_small == after.ap_small);
    vkd_ap_result_free(&before);
    vkd_ap_result_free(&after);
}

// Where no two scores are equal, the order of the arrays cannot matter.
static void does_not_depend_on_the_order_of_the_input(void **unused) {
    (void)unused;
    static vkd_ground_truth truth[BULK_TRUTHS], turned_truth[BULK_TRUTHS];
    static vkd_detection found[BULK_FOUND], turned[BULK_FOUND];
    make_bulk(8, BULK_CLASSES, BULK_IMAGES, BULK_TRUTHS, BULK_FOUND, truth, found);
    for (int i = 0; i < BULK_FOUND; ++i)
        found[i].score += 1e-6 * i;
    for (int i = 0; i < BULK_FOUND; ++i)
        turned[BULK_FOUND - 1 - i] = found[i];
    for (int i = 0; i < BULK_TRUTHS; ++i)
        turned_truth[BULK_TRUTHS - 1 - i] = truth[i];
    vkd_ap_result a = evaluate_bulk(truth, found), b = evaluate_bulk(turned_truth, turned);
    assert_true(a.ap == b.ap && a.ar100 == b.ar100 && a.ap_large == b.ap_large && a.ap50 == b.ap50);
    vkd_ap_result_free(&a);
    vkd_ap_result_free(&b);
}

static void the_truth_itself_scores_one(void **unused) {
    (void)unused;
    static vkd_ground_truth truth[BULK_TRUTHS];
    static vkd_detection found[BULK_FOUND];
    make_bulk(9, BULK_CLASSES, BULK_IMAGES, BULK_TRUTHS, BULK_FOUND, truth, found);
    for (int i = 0; i < BULK_TRUTHS; ++i) {
        truth[i].area = truth[i].w * truth[i].h;
        found[i] = (vkd_detection){truth[i].image, truth[i].class_id, truth[i].x, truth[i].y,
                                   truth[i].w,     truth[i].h,        0.5};
    }
    vkd_ap_result r;
    assert_int_equal(VKD_OK, vkd_average_precision(truth, BULK_TRUTHS, found, BULK_TRUTHS, BULK_CLASSES,
                                                   BULK_IMAGES, NULL, &r));
    const double ones[] = {r.ap, r.ap50, r.ap75, r.ap_small, r.ap_medium, r.ap_large, r.ar100, r.ar_small};
    for (size_t i = 0; i < COUNT(ones); ++i)
        assert_close("truth", "a figure", ones[i], 1); // (precision has an epsilon in its denominator)
    vkd_ap_result_free(&r);
}

static void refuses(vkd_status expected, vkd_ground_truth g, vkd_detection d, int classes, int images) {
    vkd_ap_result r;
    memset(&r, 0x5a, sizeof r);
    assert_int_equal(expected, vkd_average_precision(&g, 1, &d, 1, classes, images, NULL, &r));
    assert_null(r.class_ap);
    assert_null(r.class_ap50);
    assert_null(r.class_objects);
    vkd_ap_result_free(&r);
}

static void refuses_bad_input(void **unused) {
    (void)unused;
    const vkd_ground_truth g = {0, 0, 1, 2, 3, 4, 12};
    const vkd_detection d = {0, 0, 1, 2, 3, 4, 0.5};
    vkd_ap_result r;
    assert_int_equal(VKD_OK, vkd_average_precision(&g, 1, &d, 1, 1, 1, NULL, &r)); // good as they stand
    vkd_ap_result_free(&r);
    vkd_ap_result_free(&r);
    vkd_ap_result_free(NULL);
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        for (int field = 0; field < 5; ++field) {
            vkd_ground_truth bg = g;
            vkd_detection bd = d;
            *(double *[]){&bg.x, &bg.y, &bg.w, &bg.h, &bg.area}[field] = bad[i];
            *(double *[]){&bd.x, &bd.y, &bd.w, &bd.h, &bd.score}[field] = bad[i];
            refuses(VKD_NOT_FINITE, bg, d, 1, 1);
            refuses(VKD_NOT_FINITE, g, bd, 1, 1);
        }
    }
    refuses(VKD_INVALID_ARGUMENT, (vkd_ground_truth){1, 0, 1, 2, 3, 4, 12}, d, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, (vkd_ground_truth){0, 1, 1, 2, 3, 4, 12}, d, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, (vkd_ground_truth){0, -1, 1, 2, 3, 4, 12}, d, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, (vkd_ground_truth){0, 0, 1, 2, -3, 4, 12}, d, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, (vkd_ground_truth){0, 0, 1, 2, 3, 4, -12}, d, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, g, (vkd_detection){-1, 0, 1, 2, 3, 4, 0.5}, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, g, (vkd_detection){0, 1, 1, 2, 3, 4, 0.5}, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, g, (vkd_detection){0, 0, 1, 2, 3, -4, 0.5}, 1, 1);
    refuses(VKD_INVALID_ARGUMENT, g, d, 0, 1);
    refuses(VKD_INVALID_ARGUMENT, g, d, 1, -1);
    const vkd_ap_question questions[] = {{0, 101}, {-1, 101}, {1.1, 101}, {NAN, 101}, {.5, 1}, {.5, -1}};
    for (size_t i = 0; i < COUNT(questions); ++i) {
        memset(&r, 0x5a, sizeof r);
        assert_int_equal(VKD_INVALID_ARGUMENT, vkd_average_precision(&g, 1, &d, 1, 1, 1, &questions[i], &r));
        assert_null(r.class_ap);
    }
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_average_precision(NULL, 1, &d, 1, 1, 1, NULL, &r));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_average_precision(&g, 1, NULL, 1, 1, 1, NULL, &r));
    assert_int_equal(VKD_INVALID_ARGUMENT, vkd_average_precision(&g, 1, &d, 1, 1, 1, NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_pycocotools),
        cmocka_unit_test(depends_on_the_order_of_scores_only),
        cmocka_unit_test(does_not_depend_on_the_order_of_the_input),
        cmocka_unit_test(the_truth_itself_scores_one),
        cmocka_unit_test(refuses_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
