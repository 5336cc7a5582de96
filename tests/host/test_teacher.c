// The teacher: the same features as Darknet's own inference, without what only training needs; and its cfg's
// errors.
#include "host/small_nets.h"

#include "utils.h"

#define TEACHER_BODY                                                                                         \
    CONV_BN(9, 3, 1, leaky)                                                                                  \
    CONV(11, 3, 2, leaky)                                                                                    \
    CONV_BN(11, 1, 1, leaky)                                                                                 \
    "[shortcut]\nfrom=-2\nactivation=leaky\n\n[maxpool]\nsize=2\nstride=2\n\n["                              \
    "upsample]\nstride=2\n\n"                                                                                \
    "[route]\nlayers=-1,-3\n\n" CONV_BN(7, 3, 1, linear) "[batchnorm]\n\n" HEAD CONV(5, 3, 1, linear)
enum { TEACHER_LAYERS = 12 };
#define TEACHER(w, h) NET(1, w, h) TEACHER_BODY

#define SHORTCUT(from, activation) "[shortcut]\nfrom=" #from "\nactivation=" #activation "\n\n"

// A student whose picture a teacher looks at; no taps.
static network *student_at(int w, int h) {
    char cfg[512];
    snprintf(cfg, sizeof cfg, "[net]\nbatch=3\nwidth=%d\nheight=%d\nchannels=3\nmax_batches=9\n\n%s", w, h,
             CONV(5, 3, 1, logistic) HEAD);
    return make_student(cfg);
}

static void make_this_teacher(void) {
    make_teacher(TEACHER(16, 16));
    // [batchnorm] has weights that randomize() leaves alone: the teacher's own must be read, not the start's.
    network *teacher = parse_network_cfg("teacher.cfg");
    load_weights(teacher, "teacher.weights");
    for (int i = 0; i < teacher->n; ++i)
        if (teacher->layers[i].type == BATCHNORM)
            for (int f = 0; f < teacher->layers[i].c; ++f) {
                teacher->layers[i].scales[f] = 1.5f - 0.2f * (float)f;
                teacher->layers[i].rolling_mean[f] = 0.1f * (float)f;
                teacher->layers[i].rolling_variance[f] = 0.5f + (float)f;
            }
    save_weights(teacher, "teacher.weights");
    free_network(teacher);
}

// Darknet's own inference of the whole teacher, made for the student's size.
static network *reference(const network *student) {
    char cfg[2048];
    snprintf(cfg, sizeof cfg, "[net]\nbatch=1\nwidth=%d\nheight=%d\nchannels=3\n\n%s", student->w, student->h,
             TEACHER_BODY);
    write_text("whole.cfg", cfg);
    return load_network("whole.cfg", "teacher.weights", 0);
}

static void check_layer(const network *student, const network *teacher, int i) {
    network *whole = reference(student);
    const layer *l = &teacher->layers[i];
    for (int b = 0; b < student->batch; ++b) {
        network_predict(whole, student->input + (size_t)b * (size_t)student->inputs);
        const layer *r = &whole->layers[i];
        assert_int_equal(l->outputs, r->outputs);
        assert_int_equal(l->out_w, r->out_w);
        const float *found = l->output + (size_t)b * (size_t)l->outputs;
        double largest = 0, error = 0;
        for (int j = 0; j < r->outputs; ++j) {
            largest = fmax(largest, fabs(r->output[j]));
            error = fmax(error, fabs((double)found[j] - r->output[j]));
        }
        // Folded batch norm: a few roundings of float32 a layer, over a product of about a hundred terms.
        double ratio = error / (largest * (i + 1) * 1.2e-7);
        if (!(largest > 0) || !(ratio < 30)) fail_msg("layer %d, image %d: %g of %g", i, b, error, largest);
    }
    free_network(whole);
}

static void check_at(network *student, int keep) {
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", keep, student, false);
    assert_int_equal(teacher->n, keep);
    assert_int_equal(teacher->batch, student->batch);
    vkd_teacher_forward(teacher, student->input);
    for (int i = 0; i < keep; ++i)
        if (teacher->layers[i].type != YOLO) check_layer(student, teacher, i);
    vkd_teacher_free(teacher);
}

static void test_features_are_darknets(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16);
    check_at(student, TEACHER_LAYERS);
    free_network(student);
}

static void test_cut_teacher(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16);
    for (int keep = 1; keep < TEACHER_LAYERS; ++keep)
        check_at(student, keep);
    free_network(student);
}

static void test_students_size(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(20, 28);
    check_at(student, 9);
    free_network(student);
}

// What the block holds before a pass must not matter: it is not a number.
static void check_kept(const network *student, network *teacher, const int *kept, int count) {
    vkd_teacher_keep(teacher, kept, count);
    for (int i = 0; i < teacher->n; ++i)
        if (teacher->layers[i].type != YOLO)
            memset(teacher->layers[i].output, 0xff,
                   (size_t)teacher->layers[i].outputs * (size_t)teacher->batch * sizeof(float));
    vkd_teacher_forward(teacher, student->input);
    for (int t = 0; t < count; ++t)
        check_layer(student, teacher, kept[t]);
}

static void test_resized_teacher(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16), *larger = student_at(28, 24);
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", 8, student, false);
    vkd_teacher_forward(teacher, student->input);
    vkd_teacher_resize(teacher, 28, 24);
    vkd_teacher_forward(teacher, larger->input);
    check_layer(larger, teacher, 7);
    vkd_teacher_resize(teacher, 16, 16);
    check_kept(student, teacher, (const int[]){3, 7}, 2);
    vkd_teacher_resize(teacher, 28, 24);
    check_kept(larger, teacher, (const int[]){3, 7}, 2);
    vkd_teacher_free(teacher);
    free_network(student);
    free_network(larger);
}

static void test_shared_outputs(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16);
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", TEACHER_LAYERS, student, false);
    size_t whole = vkd_teacher_bytes(teacher);
    for (int i = 0; i < TEACHER_LAYERS; ++i)
        for (int j = i; j < TEACHER_LAYERS; ++j) {
            const int kept[] = {i, j};
            if (teacher->layers[i].type == YOLO || teacher->layers[j].type == YOLO) continue;
            check_kept(student, teacher, kept, 2);
            assert_true(vkd_teacher_bytes(teacher) <= whole); // equal where one workspace outweighs all
        }
    vkd_teacher_keep(teacher, NULL, 0);
    assert_int_equal(vkd_teacher_bytes(teacher), whole);
    vkd_teacher_free(teacher);
    free_network(student);
}

// A long chain of equals costs three outputs: the pair in use, and the tap's.
static void test_bytes_of_a_chain(void **state) {
    (void)state;
    char body[2048] = "";
    for (int i = 0; i < 12; ++i)
        strcat(body, CONV(8, 1, 1, leaky));
    char cfg[2304];
    snprintf(cfg, sizeof cfg, NET(1, 16, 16) "%s" HEAD, body);
    make_teacher(cfg);
    network *student = student_at(16, 16);
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", 12, student, false);
    const size_t output = 3 * 8 * 16 * 16 * sizeof(float);
    size_t all = vkd_teacher_bytes(teacher);
    vkd_teacher_keep(teacher, (const int[]){11}, 1);
    assert_int_equal(all - vkd_teacher_bytes(teacher), 10 * output);
    vkd_teacher_keep(teacher, (const int[]){5, 11}, 2);
    assert_int_equal(all - vkd_teacher_bytes(teacher), 9 * output);
    vkd_teacher_free(teacher);
    free_network(student);
}

// [dropout] has no output of its own, so what reads it reads the layer above.
static void test_dropout_in_the_teacher(void **state) {
    (void)state;
    make_teacher(NET(1, 16, 16) CONV(9, 3, 1, leaky) "[dropout]\nprobability=.5\n\n[dropout]\n\n" CONV(
        9, 3, 1, leaky) CONV(9, 3, 1, leaky) "[route]\nlayers=2\n\n" CONV(9, 3, 1, leaky) HEAD);
    network *student = student_at(16, 16);
    network *all = vkd_teacher_load("teacher.cfg", "teacher.weights", 7, student, false);
    network *few = vkd_teacher_load("teacher.cfg", "teacher.weights", 7, student, false);
    vkd_teacher_forward(all, student->input);
    for (int i = 0; i < 7; ++i) {
        vkd_teacher_keep(few, &i, 1);
        vkd_teacher_forward(few, student->input);
        assert_memory_equal(few->layers[i].output, all->layers[i].output,
                            (size_t)all->layers[i].outputs * 3 * sizeof(float));
    }
    vkd_teacher_free(all);
    vkd_teacher_free(few);
    free_network(student);
}

// Residual blocks: a convolution writes the shortcut below it, unless something else reads the convolution.
static void test_shortcuts_in_the_teacher(void **state) {
    (void)state;
    enum { LAYERS = 11, FIRST = 3, SECOND = 6, OF_TWO_READERS = 8 };
    make_teacher(NET(1, 16, 16) CONV(8, 3, 1, leaky) CONV(4, 1, 1, leaky) CONV(8, 3, 1, leaky)
                     SHORTCUT(-3, linear) CONV(4, 1, 1, leaky) CONV(8, 3, 1, linear) SHORTCUT(-3, linear)
                         CONV(8, 3, 1, leaky)
                             SHORTCUT(-2, linear) "[route]\nlayers=-2\n\n" SHORTCUT(-2, leaky) HEAD);
    network *student = student_at(16, 16);
    network *all = vkd_teacher_load("teacher.cfg", "teacher.weights", LAYERS, student, false);
    network *few = vkd_teacher_load("teacher.cfg", "teacher.weights", LAYERS, student, false);
    vkd_teacher_forward(all, student->input);
    for (int i = 0; i < LAYERS; ++i)
        for (int j = i; j < LAYERS; ++j) {
            vkd_teacher_keep(few, (const int[]){i, j}, 2);
            const layer *l = few->layers;
            bool kept_above = i == FIRST - 1 || j == FIRST - 1;
            assert_int_equal(l[FIRST].output == l[FIRST - 1].output, !kept_above);
            kept_above = i == SECOND - 1 || j == SECOND - 1;
            assert_int_equal(l[SECOND].output == l[SECOND - 1].output, !kept_above);
            assert_true(l[OF_TWO_READERS].output != l[OF_TWO_READERS - 1].output);
            for (int k = 0; k < LAYERS; ++k) // what is not written is not a number
                memset(l[k].output, 0xff, (size_t)l[k].outputs * 3 * sizeof(float));
            vkd_teacher_forward(few, student->input);
            assert_memory_equal(l[i].output, all->layers[i].output, (size_t)l[i].outputs * 3 * sizeof(float));
            assert_memory_equal(l[j].output, all->layers[j].output, (size_t)l[j].outputs * 3 * sizeof(float));
        }
    vkd_teacher_free(all);
    vkd_teacher_free(few);
    free_network(student);
}

static void test_has_no_training_buffers(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16);
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", 9, student, false);
    for (int i = 0; i < teacher->n; ++i) {
        const layer *l = &teacher->layers[i];
        assert_null(l->delta);
        if (l->type != CONVOLUTIONAL) continue;
        assert_null(l->weight_updates);
        assert_null(l->bias_updates);
        assert_null(l->scale_updates);
        assert_null(l->x);
        assert_null(l->x_norm);
        assert_int_equal(l->batch_normalize, 0);
    }
    assert_null(teacher->input);
    vkd_teacher_free(teacher);
    free_network(student);
}

static void test_counts_layers_without_sections(void **state) {
    (void)state;
    write_text("count.cfg", TEACHER(16, 16) "[vkd_whiten]\nmode=none\n\n[vkd_projection]\nteacher_from=1\n");
    assert_int_equal(vkd_count_layers("count.cfg"), TEACHER_LAYERS);
}

// A teacher that was itself a student keeps its vkd sections in its cfg.
static void test_teacher_with_sections(void **state) {
    (void)state;
    make_this_teacher();
    network *student = student_at(16, 16);
    write_text("teacher.cfg", NET(1, 16, 16) "[vkd_projection]\nfrom=0\nteacher_from=1\n\n" TEACHER_BODY);
    check_at(student, 9);
    free_network(student);
}

// ---- errors ----

static network *the_student;

static void load_cut_at_9(void *arg) {
    (void)arg;
    vkd_teacher_load("teacher.cfg", "teacher.weights", 9, the_student, false);
}

static void shorten(size_t size) {
    size_t bytes;
    unsigned char *data = read_bytes("teacher.weights", &bytes);
    assert_non_null(data);
    assert_true(size < bytes);
    write_bytes("teacher.weights", data, size);
    free(data);
}

static void test_short_weights(void **state) {
    (void)state;
    make_this_teacher();
    the_student = student_at(16, 16);
    shorten(1500);
    child_result r = in_child(load_cut_at_9, NULL);
    const char *line = last_line(&r);
    assert_int_equal(r.status, 1);
    // The line of patch 160, which names the layer where the file ends.
    assert_non_null(strstr(line, "teacher.weights: "));
    assert_non_null(strstr(line, "layer "));
    // Even where it ends between two layers: a student may have fewer layers than its cfg, a teacher may not.
    make_this_teacher();
    network *whole = parse_network_cfg("teacher.cfg");
    size_t first = 20 + sizeof(float) * (size_t)(whole->layers[0].nweights + 4 * whole->layers[0].n);
    free_network(whole);
    shorten(first);
    r = in_child(load_cut_at_9, NULL);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(last_line(&r), "teacher.weights: "));
    free_network(the_student);
}

static void test_channels(void **state) {
    (void)state;
    make_this_teacher();
    the_student = student_at(16, 16);
    write_text("teacher.cfg", "[net]\nbatch=1\nwidth=16\nheight=16\nchannels=1\n\n" TEACHER_BODY);
    assert_dies(load_cut_at_9, NULL, "teacher.cfg:5: [net] channels: 1; expected the student's 3");
    free_network(the_student);
}

static void test_no_file(void **state) {
    (void)state;
    make_this_teacher();
    the_student = student_at(16, 16);
    unlink("teacher.weights");
    child_result r = in_child(load_cut_at_9, NULL);
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(last_line(&r), "teacher.weights"));
    free_network(the_student);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_are_darknets),
        cmocka_unit_test(test_cut_teacher),
        cmocka_unit_test(test_students_size),
        cmocka_unit_test(test_resized_teacher),
        cmocka_unit_test(test_shared_outputs),
        cmocka_unit_test(test_bytes_of_a_chain),
        cmocka_unit_test(test_dropout_in_the_teacher),
        cmocka_unit_test(test_shortcuts_in_the_teacher),
        cmocka_unit_test(test_has_no_training_buffers),
        cmocka_unit_test(test_counts_layers_without_sections),
        cmocka_unit_test(test_teacher_with_sections),
        cmocka_unit_test(test_short_weights),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
