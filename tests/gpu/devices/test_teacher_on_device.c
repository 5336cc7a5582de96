// A frozen teacher on a device has the CPU's outputs, whichever of them are kept: convolutions with their
// bias, activation and residual, shortcuts of every kind; after another size, and in half precision, too.
#define _POSIX_C_SOURCE 200809L
#include "host/small_nets.h"

#include "cuda.h"

#ifdef GPU
#include <cuda_runtime_api.h>

#define SHORTCUT(from, activation) "[shortcut]\nfrom=" #from "\nactivation=" #activation "\n\n"
#define WEIGHTED(from)             "[shortcut]\nfrom=" #from "\nactivation=linear\nalpha=.5\nbeta=-.75\n\n"
#define GROUPED                    "[convolutional]\nfilters=12\ngroups=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n\n"

// Shortcuts that end the convolutions above them.
#define JOINED                                                                                               \
    CONV(4, 1, 1, leaky)                                                                                     \
    CONV(8, 3, 1, leaky)                                                                                     \
    SHORTCUT(-3, linear)                                                                                     \
    CONV_BN(8, 3, 1, linear)                                                                                 \
    SHORTCUT(-2, linear)
// Ones with passes of their own: for the activation, for the one above, for the weights;
#define APART                                                                                                \
    CONV(8, 3, 1, leaky)                                                                                     \
    SHORTCUT(-2, leaky)                                                                                      \
    CONV(8, 1, 1, logistic)                                                                                  \
    SHORTCUT(-2, linear)                                                                                     \
    CONV(8, 1, 1, leaky)                                                                                     \
    WEIGHTED(-2)
// since no convolution is above, since it doubles the one above, for the channels.
#define STILL_APART                                                                                          \
    SHORTCUT(-3, linear)                                                                                     \
    CONV(8, 1, 1, leaky)                                                                                     \
    SHORTCUT(-1, linear)                                                                                     \
    GROUPED                                                                                                  \
    CONV(10, 3, 1, leaky)                                                                                    \
    SHORTCUT(-2, linear)
#define TEACHER                                                                                              \
    NET(1, 18, 14) CONV_BN(8, 3, 1, leaky) JOINED APART STILL_APART CONV(5, 1, 1, leaky) CONV(1, 3, 2, linear)
enum { LAYERS = 20, BATCH = 3 };
static const int joined[] = {3, 5};

static network *teacher_at(int device, const network *student) {
    gpu_index = device;
    network *teacher = vkd_teacher_load("teacher.cfg", "teacher.weights", LAYERS, student, false);
    assert_int_equal(teacher->gpu_index, device);
    return teacher;
}

static size_t size_of(const layer *l) {
    return (size_t)l->outputs * BATCH;
}

static void assert_output(const network *there, const network *here, int i, double tolerance) {
    const layer *l = &there->layers[i], *r = &here->layers[i];
    const size_t n = size_of(l);
    float *found = calloc(n, sizeof *found);
    double largest = 0, error = 0;
    assert_int_equal(n, size_of(r));
    cuda_pull_array(l->output_gpu, found, n);
    for (size_t j = 0; j < n; ++j) {
        const double apart = fabs((double)found[j] - r->output[j]);
        largest = fmax(largest, fabs(r->output[j]));
        if (!(apart <= error)) error = apart;
    }
    if (!(largest > 0) || !(error <= tolerance * (i + 1) * largest))
        fail_msg("layer %d: %g of %g apart", i, error, largest);
    free(found);
}

static void forward_on_device(network *teacher, float *input) {
    for (int i = 0; i < LAYERS; ++i) // what nobody writes is not a number
        assert_false(cudaMemsetAsync(teacher->layers[i].output_gpu, 0xff,
                                     size_of(&teacher->layers[i]) * sizeof(float), NULL));
    vkd_teacher_forward(teacher, input);
}

static void check_kept(network *there, const network *here, float *input, int i, int j, double tolerance) {
    vkd_teacher_keep(there, (const int[]){i, j}, 2);
    const layer *l = there->layers;
    for (int k = 0, s = 0; k < LAYERS; ++k) {
        const bool may_be = s < 2 && joined[s] == k, kept_above = i == k - 1 || j == k - 1;
        if (l[k].type == SHORTCUT) assert_int_equal(vkd_teacher_is_joined(there, k), may_be && !kept_above);
        s += may_be;
    }
    forward_on_device(there, input);
    assert_output(there, here, i, tolerance);
    assert_output(there, here, j, tolerance);
}

static void check_all_kept(network *there, const network *here, float *input, double tolerance) {
    vkd_teacher_keep(there, NULL, 0);
    forward_on_device(there, input);
    for (int i = 0; i < LAYERS; ++i)
        assert_output(there, here, i, tolerance);
}

// A few roundings of float32 a layer, over products of about a hundred terms; those to halves may tip.
static void compare(network *there, network *here, float *input, bool in_half) {
    const double tolerance = in_half ? 0x1p-10 : 30 * 0x1p-23;
    float *input_there = cuda_make_array(input, (size_t)here->inputs * BATCH);
    vkd_teacher_forward(here, input);
    check_all_kept(there, here, input_there, tolerance);
    for (int i = 0; i < LAYERS; ++i)
        for (int j = i; j < LAYERS; ++j)
            check_kept(there, here, input_there, i, j, tolerance);
    cuda_free(input_there);
}

static void check_teacher(bool in_half) {
    make_teacher(TEACHER);
    network *student =
        make_student("[net]\nbatch=3\nwidth=18\nheight=14\nchannels=3\n\n" CONV(5, 3, 1, leaky));
    network *here = teacher_at(-1, student), *there = teacher_at(0, student);
    if (in_half && vkd_half_is_missing(there)) skip();
    if (in_half) {
        vkd_teacher_to_half(here, "teacher.weights");
        vkd_teacher_to_half(there, "teacher.weights");
        vkd_teacher_keep(here, NULL, 0);
    }
    compare(there, here, student->input, in_half);
    vkd_teacher_resize(there, 12, 20);
    gpu_index = -1;
    vkd_teacher_resize(here, 12, 20);
    gpu_index = 0;
    compare(there, here, student->input, in_half); // of which there is enough
    vkd_teacher_free(there);
    gpu_index = -1;
    vkd_teacher_free(here);
    free_network(student);
}

static void test_float32(void **state) {
    (void)state;
    check_teacher(false);
}

static void test_half(void **state) {
    (void)state;
    check_teacher(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float32),
        cmocka_unit_test(test_half),
    };
    setenv("NVIDIA_TF32_OVERRIDE", "0", 1); // float32 throughout
    vkd_run_always_seed();
    return cmocka_run_group_tests_name("teacher_on_device", tests, enter_folder, leave_folder);
}
#else
#error "this is a test of a build with GPU=1"
#endif
