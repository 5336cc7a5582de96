/* [yolo] on all threads (patch 367): the same bits as on one, where the loops are Darknet's own. */
#include "host/small_nets.h"

#include "numerics/parallel.h"
#include "numerics/support.h"

#define YOLO                                                                                                 \
    "[yolo]\nmask=0,1\nanchors=6,6, 9,12, 20,30\nclasses=3\nnum=3\nignore_thresh=.5\ntruth_thresh=.8\n\n"
#define STUDENT NET(7, 96, 96) "[maxpool]\nsize=2\nstride=2\n\n" CONV(16, 1, 1, linear) YOLO

static float logistic(double x) {
    return (float)(1 / (1 + exp(-x)));
}

/* Boxes of many sizes, some on the anchors, so that all of the branches are taken. */
static void place_boxes(network *net) {
    vkd_rng rng;
    vkd_rng_seed(&rng, 8, 0, 0);
    for (int b = 0; b < net->batch; ++b)
        for (int t = 0; t < 5; ++t) {
            float *box = net->truth + b * net->truths + 5 * t;
            box[0] = 0.05f + 0.9f * (float)vkd_rng_uniform(&rng);
            box[1] = 0.05f + 0.9f * (float)vkd_rng_uniform(&rng);
            box[2] = (float)(6 + 9 * vkd_rng_uniform(&rng)) / 96;
            box[3] = (float)(6 + 9 * vkd_rng_uniform(&rng)) / 96;
            box[4] = (float)(t % 3);
        }
}

static void same_on_all_threads(void **state) {
    (void)state;
    network *net = make_student(STUDENT);
    layer *l = &net->layers[2];
    const size_t n = (size_t)(l->outputs * l->batch), boxes = (size_t)(l->w * l->h);
    place_boxes(net);
    net->train = 1;
    net->index = 2;
    float *pictures = net->input;
    net->input = net->layers[1].output;
    vkd_rng rng;
    vkd_rng_seed(&rng, 9, 0, 0);
    fill_normal(&rng, net->input, n, 0, 0.3);
    vkd_limit_threads(1);
    l->forward(*l, *net);
    float *output = copy_floats(l->output, n), *delta = copy_floats(l->delta, n), cost = *l->cost;
    /* All branches: ignored boxes, boxes that are a truth's, and the others. */
    int ignored = 0, wanted = 0, other = 0;
    for (size_t i = 0; i < n; ++i) {
        const size_t entry = i / boxes % 8;
        const float x = net->input[i];
        assert_below(fabsf(output[i] - (entry == 2 || entry == 3 ? x : logistic(x))), 2 * EPS32);
        if (entry != 4) continue;
        ignored += delta[i] == 0;
        wanted += delta[i] > 0;
        other += delta[i] < 0;
        assert_true(delta[i] == 0 || delta[i] == 1 - output[i] || delta[i] == -output[i]);
    }
    assert_true(ignored > 10 && wanted > 10 && other > 10);
    for (int threads = 2; threads <= 5; ++threads) {
        vkd_limit_threads(threads);
        memset(l->output, 1, n * sizeof(float));
        memset(l->delta, 1, n * sizeof(float));
        l->forward(*l, *net);
        assert_memory_equal(l->output, output, n * sizeof(float));
        assert_memory_equal(l->delta, delta, n * sizeof(float));
        assert_true(*l->cost == cost);
    }
    free(output);
    free(delta);
    net->input = pictures;
    free_network(net);
}

int main(void) {
    gpu_index = -1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_on_all_threads)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
