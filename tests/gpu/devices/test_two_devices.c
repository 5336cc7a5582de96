// Networks trained side by side on two devices (`classifier train -gpus 0,1`) become one at every fourth
// batch: their weights, as Darknet has it, and their taps. The measure are two networks that are trained on
// the same pictures, each for itself, and made one here.
#include "host/small_nets.h"

#include "core/tap_merge.h"
#include "host/parameters.h"
#include "host/taps.h"

#include "cuda.h"
#include "data.h"

#ifdef GPU
#include <cuda_runtime_api.h>

enum { batch = 4, subdivisions = 2, interval = 4, rounds = 2, side = 16, classes = 3, outputs_n = 9 };

#define TEACHER NET(1, 16, 16) CONV_BN(7, 3, 1, leaky) CONV_BN(9, 3, 2, leaky) CONV(4, 3, 1, leaky)
#define STUDENT(taps)                                                                                        \
    NET(8, 16, 16)                                                                                           \
    "subdivisions=2\nteacher_cfg=teacher.cfg\nteacher_weights=teacher.weights\n\n" CONV_BN(5, 3, 2, leaky)   \
        CONV(6, 3, 1, leaky) CONV(3, 1, 1, linear) "[avgpool]\n\n[softmax]\ngroups=1\n\n" taps
#define TAP(from, teacher, more)    "[vkd_projection]\nfrom=" #from "\nteacher_from=" #teacher "\n" more "\n"
#define POOLED(from, teacher, more) TAP(from, teacher, "pool=global\n" more)

typedef struct test_case {
    const char *name, *taps;
} test_case;

static const test_case cases[] = {
    {"matrix_exp", POOLED(1, 1, "map=matrix_exp\n") POOLED(0, 1, "map=matrix_exp\nrebase=0\n")},
    {"cayley", POOLED(1, 1, "map=cayley\nrebase=3\n")},
    {"householder", POOLED(1, 1, "map=householder\nstudent_norm=gain\n")},
    {"procrustes", POOLED(1, 1, "map=procrustes\n") POOLED(0, 1, "map=procrustes\nratio=0.3\n")},
    {"linear", POOLED(1, 1, "map=linear\n")},
    {"frozen", POOLED(1, 1, "map=frozen\n")},
    {"whiten", "[vkd_whiten]\nmode=whiten\nstatistics=running\n\n" TAP(1, 1, "")},
    {"standardize", "[vkd_whiten]\nmode=standardize\nstatistics=running\n\n" POOLED(1, 1, "")},
};
enum { case_count = sizeof cases / sizeof *cases };

// On device i, from the same start as all others.
static network *student_on(int i) {
    cuda_set_device(i);
    network *net = load_network("student.cfg", NULL, 0);
    assert_int_equal(net->gpu_index, i);
    randomize(net, 5);
    vkd_parameters_push(net);
    return net;
}

// What one step of two networks sees, other pictures every time.
static data pictures(uint64_t step) {
    const int rows = 2 * batch * subdivisions;
    vkd_rng rng;
    vkd_rng_seed(&rng, 9, step, 0);
    data d = {.X = make_matrix(rows, side * side * 3), .y = make_matrix(rows, classes)};
    for (int i = 0; i < rows; ++i) {
        fill_normal(&rng, d.X.vals[i], side * side * 3, 0.5, 0.3);
        d.y.vals[i][(int)(vkd_rng_uniform(&rng) * classes)] = 1;
    }
    return d;
}

static void pull(network *net) {
    vkd_parameters_pull(net);
    vkd_taps_of(net)->pull(net);
}

static double distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

static void assert_near(const char *what, const float *a, const float *b, size_t n) {
    double size = 1e-3;
    for (size_t i = 0; i < n; ++i)
        size = fmax(size, fabs(b[i]));
    if (!(distance(a, b, n) <= 1e-4 * size)) fail_msg("%s: %g of %g apart", what, distance(a, b, n), size);
}

// Weights, biases and scales; what batch norm has seen, Darknet leaves to each network.
static void become_one(network **nets) {
    for (int i = 0; i < nets[0]->n; ++i) {
        vkd_parameters a[VKD_PARAMETERS], b[VKD_PARAMETERS];
        int n = vkd_layer_parameters(&nets[0]->layers[i], a);
        assert_int_equal(vkd_layer_parameters(&nets[1]->layers[i], b), n);
        for (int p = 0; p < n && p < 3; ++p)
            for (size_t j = 0; j < a[p].count; ++j)
                ((float *)a[p].at)[j] = ((float *)b[p].at)[j] = (a[p].at[j] + b[p].at[j]) / 2;
    }
    for (int t = 0; t < vkd_of(nets[0])->tap_count; ++t) {
        vkd_tap *taps[] = {vkd_of(nets[0])->taps[t], vkd_of(nets[1])->taps[t]};
        assert_int_equal(vkd_tap_merge(taps, 2), VKD_OK);
    }
    *nets[0]->seen = *nets[1]->seen = *nets[0]->seen + interval * batch * subdivisions;
    for (int i = 0; i < 2; ++i) {
        vkd_parameters_push(nets[i]);
        vkd_taps_of(nets[i])->push(nets[i]);
    }
}

static void assert_same_projection(const vkd_projection *a, const vkd_projection *b, bool to_the_bit) {
    size_t n = (size_t)a->rows * (size_t)a->cols;
    const float *of_a[] = {a->V, a->momentum, a->base, a->D}, *of_b[] = {b->V, b->momentum, b->base, b->D};
    for (int i = 0; i < 4; ++i) {
        if (!of_a[i]) continue;
        if (to_the_bit)
            assert_memory_equal(of_a[i], of_b[i], n * sizeof(float));
        else
            assert_near("P", of_a[i], of_b[i], n);
    }
    for (size_t i = 0; a->cross && i < n; ++i)
        assert_true(fabs(a->cross[i] - b->cross[i]) <= (to_the_bit ? 0 : 1e-4 * (1e-3 + fabs(b->cross[i]))));
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->since_rebase, b->since_rebase);
}

static void assert_same_taps(const network *a, const network *b, bool to_the_bit) {
    const double tolerance = to_the_bit ? 0 : 1e-4;
    for (int t = 0; t < vkd_of(a)->tap_count; ++t) {
        const vkd_tap *one = vkd_of(a)->taps[t], *other = vkd_of(b)->taps[t];
        assert_same_projection(&one->projection, &other->projection, to_the_bit);
        assert_true(fabs(one->student.gain - other->student.gain) <= tolerance * other->student.gain);
        assert_true(fabs(one->task_norm - other->task_norm) <= tolerance * other->task_norm);
        assert_true(fabs(one->loss_norm - other->loss_norm) <= tolerance * other->loss_norm);
        assert_int_equal(one->norm_steps, other->norm_steps);
        assert_int_equal(one->target.batches, other->target.batches);
        for (size_t i = 0; i < vkd_target_second_size(&one->target); ++i)
            assert_true(fabs(one->target.second[i] - other->target.second[i]) <= tolerance);
        for (int i = 0; vkd_target_second_size(&one->target) && i < outputs_n; ++i)
            assert_true(fabs(one->target.mean[i] - other->target.mean[i]) <= tolerance);
    }
}

static void assert_same_weights(const network *a, const network *b) {
    for (int i = 0; i < a->n; ++i) {
        vkd_parameters of_a[VKD_PARAMETERS], of_b[VKD_PARAMETERS];
        int n = vkd_layer_parameters(&a->layers[i], of_a);
        vkd_layer_parameters(&b->layers[i], of_b);
        for (int p = 0; p < n && p < 3; ++p)
            assert_near(of_a[p].name, of_a[p].at, of_b[p].at, of_a[p].count);
    }
}

// Before they are made one: what they have seen differs, and so must they.
static void assert_apart(network **nets) {
    const vkd_projection *a = &vkd_of(nets[0])->taps[0]->projection,
                         *b = &vkd_of(nets[1])->taps[0]->projection;
    const layer *l = &nets[0]->layers[0], *m = &nets[1]->layers[0];
    size_t n = (size_t)a->rows * (size_t)a->cols;
    assert_true(distance(l->weights, m->weights, (size_t)l->nweights) > 0);
    assert_true((distance(a->V, b->V, n) > 0) == (a->map != VKD_OPTION_MAP_FROZEN));
}

static void check_case(const test_case *c) {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) || devices < 2) skip();
    char cfg[4096];
    make_teacher(TEACHER);
    gpu_index = 0;
    snprintf(cfg, sizeof cfg, STUDENT("%s"), c->taps);
    write_text("student.cfg", cfg);
    network *pair[] = {student_on(0), student_on(1)}, *alone[] = {student_on(0), student_on(1)};
    for (int step = 0; step < rounds * interval; ++step) {
        data d = pictures((uint64_t)step);
        train_networks(pair, 2, d, interval);
        for (int i = 0; i < 2; ++i) {
            cuda_set_device(i);
            train_network(alone[i], get_data_part(d, i, 2));
            pull(alone[i]);
            pull(pair[i]);
        }
        free_data(d);
        if (step % interval == 0) assert_apart(pair);
        if (step % interval < interval - 1) continue;
        assert_apart(alone);
        become_one(alone);
        assert_int_equal(*pair[0]->seen, *alone[0]->seen);
        assert_int_equal(*pair[1]->seen, *alone[1]->seen);
        assert_same_taps(pair[0], pair[1], true);
        assert_same_weights(pair[0], pair[1]);
        for (int i = 0; i < 2; ++i) {
            assert_same_taps(pair[i], alone[i], false);
            assert_same_weights(pair[i], alone[i]);
        }
    }
    for (int i = 0; i < 2; ++i) {
        cuda_set_device(i);
        free_network(pair[i]);
        free_network(alone[i]);
    }
}

static void test_side_by_side(void **state) {
    check_case(*state);
}

int main(void) {
    struct CMUnitTest tests[case_count];
    vkd_run_always_seed();
    for (int i = 0; i < case_count; ++i)
        tests[i] = (struct CMUnitTest){cases[i].name, test_side_by_side, NULL, NULL, (void *)&cases[i]};
    return _cmocka_run_group_tests("two_devices", tests, case_count, enter_folder, leave_folder);
}
#else
#error "this is a test of a build with GPU=1"
#endif
