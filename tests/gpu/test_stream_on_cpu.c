// What only the CPU under gpu/ can tell: that a GPU far behind the host gives the same, what a step waits for
// and copies, and what becomes of memory that runs out.
#include "tap_twins.h"

#include "device_on_cpu.h"

static const vkd_tap_shape shape = {3, 3, 4, 3, 7, 8, 6};
enum { parts_of_batch = 3, batches = 4 };

static vkd_tap_options options_of(int way) {
    vkd_tap_options o = twin_options(way & 1 ? VKD_OPTION_MAP_LINEAR : VKD_OPTION_MAP_MATRIX_EXP);
    o.whiten.mode = way & 2 ? VKD_OPTION_MODE_WHITEN : VKD_OPTION_MODE_STANDARDIZE;
    o.student_norm = way & 4 ? VKD_OPTION_STUDENT_GAIN : VKD_OPTION_STUDENT_LAYERNORM;
    o.foreground = 0.6f;
    o.mask_padding = 1;
    return o;
}

typedef struct outcome {
    float V[21], delta[108];
    double loss, weight, gain;
    long waits;
    size_t fetched;
} outcome;

static float *features(size_t size, int step) {
    return normal_floats(size, (uint64_t)step + 7);
}

// Every step's features stand on the device before, as layers would leave them there; each step has a delta.
static outcome train(const vkd_tap_options *o, bool lazy, bool backward) {
    enum { steps = parts_of_batch * batches };
    cpu_device = (cpu_device_options){.lazy = lazy, .backward = backward};
    vkd_device *device = open_device();
    twins w = make_twins(device, o, shape);
    float *x[steps], *t[steps], *delta[steps];
    for (int i = 0; i < steps; ++i) {
        float *a = features(student_size(&shape), i), *b = features(teacher_size(&shape), i + 50);
        x[i] = floats_on_device(device, a, student_size(&shape));
        t[i] = floats_on_device(device, b, teacher_size(&shape));
        delta[i] = floats_on_device(device, a, student_size(&shape));
        free(a);
        free(b);
    }
    outcome result;
    memset(&result, 0, sizeof result);
    cpu_waits = 0;
    cpu_bytes_fetched = 0;
    for (int batch = 0; batch < batches; ++batch) {
        for (int i = 0; i < parts_of_batch; ++i) {
            int step = parts_of_batch * batch + i;
            choose_locations(&w, step);
            assert_ok(vkd_device_tap_forward(w.gpu, x[step], t[step]));
            assert_ok(vkd_device_tap_backward(w.gpu, delta[step], -1, 1));
        }
        assert_ok(vkd_device_tap_fetch(w.gpu));
        assert_ok(vkd_device_tap_update(w.gpu, 1));
    }
    assert_ok(vkd_device_tap_settle(w.gpu));
    result.waits = cpu_waits;
    result.fetched = cpu_bytes_fetched;
    memcpy(result.V, w.host->projection.V, sizeof result.V);
    read_device(device, result.delta, delta[steps - 1], sizeof result.delta);
    result.loss = w.host->loss;
    result.weight = w.host->weight;
    result.gain = w.host->student.gain;
    for (int i = 0; i < steps; ++i) {
        vkd_device_free(device, x[i]);
        vkd_device_free(device, t[i]);
        vkd_device_free(device, delta[i]);
    }
    free_twins(&w);
    close_device(device);
    cpu_device = (cpu_device_options){0};
    return result;
}

// Nothing that the host stages is overwritten before its copy, and nothing is read before it is there; nor do
// threads of a block read what others of them write between the same barriers.
static void a_gpu_far_behind(void **state) {
    (void)state;
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = options_of(way);
        outcome prompt = train(&o, false, false);
        for (int i = 1; i < 4; ++i) {
            outcome other = train(&o, i & 1, i & 2);
            assert_memory_equal(prompt.V, other.V, sizeof prompt.V);
            assert_memory_equal(prompt.delta, other.delta, sizeof prompt.delta);
            assert_true(prompt.loss == other.loss && prompt.weight == other.weight &&
                        prompt.gain == other.gain);
        }
    }
}

// Once a batch for G and the scalars, beside the mask's staging and a whitening matrix; and no feature map.
static void waits_and_copies(void **state) {
    (void)state;
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = options_of(way);
        o.mask_padding = 0;
        o.foreground = 0;
        bool whiten = way & 2;
        outcome result = train(&o, true, false);
        assert_int_equal(result.waits, batches + (whiten ? batches * parts_of_batch : 0));
        size_t matrix = 7 * 3 * sizeof(float), moments = (7 + 7 * 7) * sizeof(double), scalars = 256;
        size_t most = batches * (matrix + scalars);
        if (whiten) most += batches * parts_of_batch * (moments + scalars);
        assert_true(result.fetched <= most && result.fetched >= batches * matrix);
    }
}

static void memory_runs_out(void **state) {
    (void)state;
    vkd_device *device = open_device();
    for (int way = 0; way < 8; ++way) {
        vkd_tap_options o = options_of(way);
        vkd_tap *tap;
        assert_ok(vkd_tap_create(&tap, &o, shape, 1, 0));
        long before = cpu_allocations, failures = 0;
        vkd_device_tap *d;
        vkd_status status;
        do {
            cpu_alloc_countdown = ++failures;
            status = vkd_device_tap_create(&d, device, tap);
            if (status) {
                assert_int_equal(status, VKD_OUT_OF_MEMORY);
                assert_null(d);
                assert_int_equal(cpu_allocations, before);
            }
        } while (status);
        assert_true(failures > 20);
        long held = cpu_allocations;
        size_t bytes = vkd_device_tap_bytes(d);
        vkd_tap_shape larger = {3, 3, 8, 6, 7, 8, 6};
        for (failures = 1;; ++failures) {
            cpu_alloc_countdown = failures;
            status = vkd_device_tap_resize(d, larger);
            if (!status) break;
            assert_int_equal(status, VKD_OUT_OF_MEMORY);
            assert_int_equal(cpu_allocations, held);
            assert_int_equal(vkd_device_tap_bytes(d), bytes);
            assert_int_equal(tap->shape.h, shape.h);
        }
        cpu_alloc_countdown = 0;
        assert_int_equal(cpu_allocations, held);
        assert_true(vkd_device_tap_bytes(d) > bytes);
        vkd_device_tap_free(d);
        assert_int_equal(cpu_allocations, before);
        vkd_tap_free(tap);
    }
    close_device(device);
}

static void failed_calls(void **state) {
    (void)state;
    vkd_device *device = open_device();
    vkd_tap_options o = options_of(0);
    twins w = make_twins(device, &o, shape);
    assert_string_equal(vkd_device_error(device), "");
    cpu_break(device, "cudaMemcpyAsync: an illegal memory access was encountered");
    assert_int_equal(vkd_device_tap_forward(w.gpu, w.x_there, w.t_there), VKD_DEVICE);
    assert_int_equal(vkd_device_tap_backward(w.gpu, w.delta_there, -1, 1), VKD_DEVICE);
    assert_int_equal(vkd_device_tap_fetch(w.gpu), VKD_DEVICE);
    assert_int_equal(vkd_device_tap_update(w.gpu, 1), VKD_DEVICE);
    assert_int_equal(vkd_device_tap_pull(w.gpu), VKD_DEVICE);
    assert_int_equal(vkd_device_tap_push(w.gpu), VKD_DEVICE);
    assert_string_equal(vkd_device_error(device),
                        "cudaMemcpyAsync: an illegal memory access was encountered");
    free_twins(&w);
    vkd_device_close(device);
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_far_behind),
        cmocka_unit_test(waits_and_copies),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(failed_calls),
    };
    return cmocka_run_group_tests_name("stream_on_cpu", tests, NULL, NULL);
}
