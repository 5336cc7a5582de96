// The taps through real Darknet layers: what a tap adds to the student's weight updates is minus the gradient
// of its loss, by central differences; what lies behind a tap gets nothing of it.
#include "host/small_nets.h"

typedef struct net_case {
    const char *name, *student, *teacher;
    bool batch_norm; // below the tap, in training mode
} net_case;

#define TEACHER                                                                                              \
    NET(1, 16, 16) CONV_BN(9, 3, 1, leaky) CONV(11, 3, 2, leaky) CONV_BN(7, 3, 2, leaky) CONV(4, 3, 1, leaky)
#define NAMED        "teacher_cfg=teacher.cfg\nteacher_weights=teacher.weights\n\n"
#define BATCH_TARGET "[vkd_whiten]\nmode=standardize\nstatistics=batch\n\n"
// Heavy, so that what a tap adds stands out of the float32 rounding of the detection's own gradient.
#define TAP(from, teacher, more)                                                                             \
    "[vkd_projection]\nfrom=" #from "\nteacher_from=" #teacher "\nweight=300\n" more "\n"

static const net_case cases[] = {
    // The tapped layer's only reader is a 1x1 convolution, which used to overwrite its input's delta.
    {"1x1_behind",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 1, tanh) HEAD BATCH_TARGET TAP(1, 0, ""),
     TEACHER, false},
    {"leaky_batch_norm",
     NET(2, 29, 23) NAMED CONV_BN(5, 3, 1, leaky) CONV_BN(6, 3, 1, leaky) HEAD BATCH_TARGET TAP(1, 0, ""),
     TEACHER, true},
    // Layer 0 is read by a convolution, a shortcut and a route.
    {"route_and_shortcut",
     NET(2, 19, 21) NAMED CONV(5, 3, 1, logistic) CONV(8, 1, 1, tanh)
         CONV(5, 3, 1,
              tanh) "[shortcut]\nfrom=-3\nactivation=linear\n\n[route]\nlayers=-1,0\n\n" CONV(6, 1, 1, tanh)
             HEAD BATCH_TARGET TAP(0, 0, "") BATCH_TARGET TAP(3, 0, "") BATCH_TARGET TAP(4, 1, ""),
     TEACHER, false},
    {"other_grids",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 2, tanh) HEAD BATCH_TARGET TAP(1, 2, ""),
     TEACHER, false},
    {"finer_teacher",
     NET(2, 29, 23) NAMED CONV(5, 3, 2, logistic) CONV(6, 3, 2, tanh) HEAD BATCH_TARGET TAP(1, 0, ""),
     TEACHER, false},
    {"fewer_teacher_channels",
     NET(2, 29, 23) NAMED CONV(9, 3, 1, logistic) CONV(10, 3, 2, tanh) HEAD BATCH_TARGET TAP(1, -1, ""),
     TEACHER, false},
    {"pool_global",
     NET(5, 17, 13) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 2, tanh)
         HEAD BATCH_TARGET TAP(1, 2, "pool=global\n"),
     TEACHER, false},
    {"no_student_norm",
     NET(1, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 1, tanh)
         HEAD BATCH_TARGET TAP(1, 0, "student_norm=none\n"),
     TEACHER, false},
    {"linear_map",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 1, tanh)
         HEAD BATCH_TARGET TAP(1, 0, "map=linear\n"),
     TEACHER, false},
    {"foreground",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 1, tanh)
         HEAD BATCH_TARGET TAP(1, 0, "foreground=0.6\n"),
     TEACHER, false},
    {"whitened_target",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) CONV(6, 3, 1, tanh) HEAD
     "[vkd_whiten]\nmode=whiten\nstatistics=batch\n\n" TAP(1, 0, ""),
     TEACHER, false},
    // [dropout] works in place, so the tap sits behind it. The seed gives every forward the same mask.
    // Only a linear layer may stand before it: Darknet takes an activation's slope from the dropped output.
    {"dropout_behind",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic)
         CONV(6, 3, 1, linear) "[dropout]\nprobability=.3\n\n" HEAD BATCH_TARGET TAP(1, 0, ""),
     TEACHER, false},
    // One batch again and again: the running average is that batch's own statistics.
    {"running_target_two_taps",
     NET(2, 29, 23) NAMED CONV(5, 3, 1, logistic) TAP(-1, 1, "") CONV(6, 3, 2, tanh)
         TAP(-1, 2, "map=cayley\n") HEAD,
     TEACHER, false},
};
enum { case_count = sizeof cases / sizeof *cases };

// The loss whose gradient a tap adds: images are summed, each tap with its weight.
static double total_loss(network *net) {
    const vkd_plugin *plugin = vkd_of(net);
    forward_step(net);
    double sum = 0;
    for (int i = 0; i < plugin->tap_count; ++i)
        sum += plugin->taps[i]->options.weight * plugin->taps[i]->loss * net->batch;
    return sum;
}

static void set_weights(network *net, const float *weights) {
    const vkd_plugin *plugin = vkd_of(net);
    for (int i = 0; i < plugin->tap_count; ++i)
        plugin->taps[i]->options.weight = weights[i];
}

static double norm(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; ++i)
        sum += x[i] * x[i];
    return sqrt(sum);
}

// d/dh of the loss at parameters + h direction: central differences at h and h/2, extrapolated (error h^4).
static double derivative(network *net, float *parameters, const double *direction, int n, double h) {
    float *kept = malloc((size_t)n * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, parameters, (size_t)n * sizeof *kept);
    double difference[2];
    for (int half = 0; half < 2; ++half, h /= 2) {
        double loss[2], moved = 0;
        for (int side = 0; side < 2; ++side) {
            for (int i = 0; i < n; ++i)
                parameters[i] = (float)(kept[i] + (side ? -h : h) * direction[i]);
            loss[side] = total_loss(net);
            // The step that float32 took, along the direction.
            for (int i = 0; i < n; ++i)
                moved += fabs((double)parameters[i] - kept[i]) * fabs(direction[i]);
        }
        difference[half] = (loss[0] - loss[1]) / moved;
    }
    memcpy(parameters, kept, (size_t)n * sizeof *kept);
    free(kept);
    return (4 * difference[1] - difference[0]) / 3;
}

// gradient (n): what the taps added. Along itself, and along a direction half of which is random.
static void check_parameters(network *net, const char *what, float *parameters, const double *gradient, int n,
                             double tolerance, vkd_rng *rng) {
    double length = norm(gradient, n), size = 0;
    assert_true(length > 0);
    for (int i = 0; i < n; ++i)
        size += (double)parameters[i] * parameters[i];
    double *direction = malloc((size_t)n * sizeof *direction), *noise = malloc((size_t)n * sizeof *noise);
    assert_true(direction && noise);
    for (int random = 0; random < 2; ++random) {
        for (int i = 0; i < n; ++i)
            noise[i] = vkd_rng_normal(rng);
        double noise_length = norm(noise, n), exact = 0;
        for (int i = 0; i < n; ++i)
            direction[i] = gradient[i] / length + random * noise[i] / noise_length;
        double unit = norm(direction, n);
        for (int i = 0; i < n; ++i) {
            direction[i] /= unit;
            exact += gradient[i] * direction[i];
        }
        double found = derivative(net, parameters, direction, n, 0.004 * sqrt(size));
        double ratio = fabs(found - exact) / length;
        if (getenv("VKD_TEST_PRINT"))
            print_message("%s direction %d: %.2g of %.2g; difference %.8g, gradient %.8g\n", what, random,
                          ratio, tolerance, found, exact);
        if (!(ratio <= tolerance))
            fail_msg("%s, direction %d: central difference %.8g, taps' gradient %.8g, |gradient| %.8g", what,
                     random, found, exact, length);
    }
    free(direction);
    free(noise);
}

static double *difference_of(const float *with, const float *without, int n) {
    double *gradient = malloc((size_t)n * sizeof *gradient);
    assert_non_null(gradient);
    // Darknet's updates are minus the gradient.
    for (int i = 0; i < n; ++i)
        gradient[i] = -((double)with[i] - without[i]);
    return gradient;
}

static float *copy_of(const float *x, int n) {
    float *copy = malloc((size_t)n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, x, (size_t)n * sizeof *copy);
    return copy;
}

static void check_case(const net_case *c) {
    make_teacher(c->teacher);
    network *net = make_student(c->student);
    // Four deviations from leaky's corner, on either side of it: differences across it are no derivatives.
    for (int i = 0; i < net->n; ++i)
        for (int f = 0; net->layers[i].batch_normalize && f < net->layers[i].n; ++f)
            net->layers[i].biases[f] = f % 2 ? 5 : -5;
    enum { max_layers = 16 };
    float *without[max_layers] = {0}, *bias_without[max_layers] = {0}, *scale_without[max_layers] = {0};
    float weights[4], none[4] = {0};
    assert_true(net->n <= max_layers);
    forward_step(net);
    const vkd_plugin *plugin = vkd_of(net);
    assert_true(plugin->tap_count >= 1 && plugin->tap_count <= 4);
    int last = 0, samples = 0;
    for (int t = 0; t < plugin->tap_count; ++t) {
        weights[t] = plugin->taps[t]->options.weight;
        if (plugin->taps[t]->options.from > last) last = plugin->taps[t]->options.from;
    }
    set_weights(net, none);
    gradient_step(net);
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        without[i] = copy_of(l->weight_updates, l->nweights);
        bias_without[i] = copy_of(l->bias_updates, l->n);
        if (l->batch_normalize) scale_without[i] = copy_of(l->scale_updates, l->n);
        if (l->batch_normalize) samples = l->batch * l->out_w * l->out_h;
    }
    set_weights(net, weights);
    gradient_step(net);

    // Float32 rounding of the loss over a step of a few percent. Darknet's batch norm divides the variance by
    // N - 1 forward and by N backward, so that its own gradient is wrong by about 1 / N a layer.
    double tolerance = 1e-4 + (c->batch_norm ? 2.0 / samples : 0);
    vkd_rng rng;
    vkd_rng_seed(&rng, 8, 0, 0);
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        if (i > last) {
            // Behind the last tap nothing of it arrives.
            assert_memory_equal(l->weight_updates, without[i], (size_t)l->nweights * sizeof(float));
            assert_memory_equal(l->bias_updates, bias_without[i], (size_t)l->n * sizeof(float));
            continue;
        }
        char what[128];
        snprintf(what, sizeof what, "%s, weights of layer %d", c->name, i);
        double *g = difference_of(l->weight_updates, without[i], l->nweights);
        check_parameters(net, what, l->weights, g, l->nweights, tolerance, &rng);
        free(g);
        if (!l->batch_normalize) continue;
        snprintf(what, sizeof what, "%s, scales of layer %d", c->name, i);
        g = difference_of(l->scale_updates, scale_without[i], l->n);
        if (i < last) check_parameters(net, what, l->scales, g, l->n, tolerance, &rng);
        free(g);
    }
    for (int i = 0; i < net->n; ++i) {
        free(without[i]);
        free(bias_without[i]);
        free(scale_without[i]);
    }
    free_network(net);
}

static void test_gradient(void **state) {
    check_case(*state);
}

// make_student's box covers x 0.25..0.55, y 0.4..0.8 of each picture.
static void test_foreground_is_the_truth(void **state) {
    (void)state;
    make_teacher(TEACHER);
    network *net = make_student(NET(2, 24, 24) NAMED CONV(6, 3, 2, leaky)
                                    HEAD BATCH_TARGET TAP(0, 0, "foreground=0.6\n"));
    gradient_step(net);
    const vkd_tap *tap = vkd_of(net)->taps[0];
    assert_int_equal(tap->locations, 144);
    for (int i = 0; i < 288; ++i) {
        int x = i % 12, y = i % 144 / 12;
        bool inside = x >= 3 && x <= 6 && y >= 5 && y <= 9; // centres .29 to .54 and .46 to .79
        double expected = inside ? 0.6 * 144 / 20 : 0.4 * 144 / 124;
        assert_true(fabs(tap->emphasis[i] - expected) <= 1e-5);
    }
    free_network(net);
    // The default leaves the others out; with the padding, of which there is none here, or without.
    static const char *const more[] = {"", "mask_padding=1\n"};
    for (int m = 0; m < 2; ++m) {
        char cfg[1000];
        snprintf(cfg, sizeof cfg, "%s%s",
                 NET(2, 24, 24) NAMED CONV(6, 3, 2, leaky) HEAD BATCH_TARGET TAP(0, 0, ""), more[m]);
        net = make_student(cfg);
        gradient_step(net);
        tap = vkd_of(net)->taps[0];
        assert_true(!tap->emphasis && !tap->weight_of && tap->samples.count == 40);
        for (int i = 0; i < 288; ++i) {
            int x = i % 12, y = i % 144 / 12;
            assert_true(tap->mask[i] == (x >= 3 && x <= 6 && y >= 5 && y <= 9));
        }
        free_network(net);
    }
}

// What networks on several devices do at every fourth batch; of map=linear the one P is the mean.
static void test_synced_taps_are_one(void **state) {
    (void)state;
    make_teacher(TEACHER);
    network *nets[2];
    for (int i = 0; i < 2; ++i) {
        nets[i] = make_student(NET(2, 24, 24) NAMED CONV(6, 3, 2, leaky)
                                   HEAD BATCH_TARGET TAP(0, 0, "map=linear\n"));
        gradient_step(nets[i]);
        vkd_of(nets[i])->taps[0]->projection.V[0] = 1 + 2 * (float)i;
    }
    const vkd_projection *a = &vkd_of(nets[0])->taps[0]->projection,
                         *b = &vkd_of(nets[1])->taps[0]->projection;
    vkd_synced(nets, 2);
    assert_true(a->V[0] == 2);
    assert_memory_equal(a->V, b->V, (size_t)a->rows * (size_t)a->cols * sizeof *a->V);
    for (int i = 0; i < 2; ++i)
        free_network(nets[i]);
    nets[0] = make_student(NET(2, 24, 24) CONV(6, 3, 2, leaky) HEAD);
    vkd_synced(nets, 1); // no taps, nothing to do
    free_network(nets[0]);
}

int main(void) {
    struct CMUnitTest tests[case_count + 2];
    vkd_run_always_seed();
    for (int i = 0; i < case_count; ++i)
        tests[i] = (struct CMUnitTest){cases[i].name, test_gradient, NULL, NULL, (void *)&cases[i]};
    tests[case_count] =
        (struct CMUnitTest){"foreground_is_the_truth", test_foreground_is_the_truth, NULL, NULL, NULL};
    tests[case_count + 1] =
        (struct CMUnitTest){"synced_taps_are_one", test_synced_taps_are_one, NULL, NULL, NULL};
    return _cmocka_run_group_tests("taps", tests, case_count + 2, enter_folder, leave_folder);
}
