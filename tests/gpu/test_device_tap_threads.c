// One thread for each device, as Darknet trains on several GPUs: each as if it were alone; then their taps
// become one, as sync_nets makes of its replicas.
#include "tap_twins.h"

#include "core/tap_merge.h"

#include <pthread.h>

static const vkd_tap_shape shape = {2, 4, 5, 3, 9, 5, 3};
enum { devices = 3, matrix = 9 * 4 };

typedef struct replica {
    int index, from, to; // batches
    vkd_device *device;
    twins taps;
} replica;

static vkd_tap_options options_of(int mode) {
    vkd_tap_options o = twin_options(VKD_OPTION_MAP_CAYLEY);
    o.whiten.mode = mode;
    return o;
}

// Without cmocka's assertions, which want the main thread.
static void *train(void *argument) {
    replica *r = argument;
    for (int batch = r->from; batch < r->to; ++batch) {
        draw(&r->taps, (uint64_t)(100 * r->index + batch));
        send_features(&r->taps);
        if (vkd_device_tap_forward(r->taps.gpu, r->taps.x_there, r->taps.t_there) ||
            vkd_device_tap_backward(r->taps.gpu, r->taps.delta_there, -1, 1) ||
            vkd_device_tap_update(r->taps.gpu, 1))
            return r;
    }
    return NULL;
}

static void train_all(replica *r, bool at_once) {
    pthread_t threads[devices];
    for (int i = 0; i < devices && at_once; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, train, &r[i]), 0);
    for (int i = 0; i < devices; ++i) {
        void *failed;
        if (at_once)
            pthread_join(threads[i], &failed);
        else
            failed = train(&r[i]);
        assert_null(failed);
    }
}

static void merge(replica *r) {
    vkd_tap *taps[devices];
    for (int i = 0; i < devices; ++i) {
        taps[i] = r[i].taps.host;
        assert_ok(vkd_device_tap_pull(r[i].taps.gpu));
    }
    assert_ok(vkd_tap_merge(taps, devices));
    for (int i = 0; i < devices; ++i)
        assert_ok(vkd_device_tap_push(r[i].taps.gpu));
}

// P of the first replica after some batches, a merge, and some more.
static void run(int mode, bool at_once, float *V) {
    replica r[devices];
    vkd_tap_options o = options_of(mode);
    for (int i = 0; i < devices; ++i) {
        r[i] = (replica){.index = i, .from = 0, .to = 3, .device = open_device()};
        r[i].taps = make_twins(r[i].device, &o, shape);
    }
    train_all(r, at_once);
    for (int i = 0; i < devices; ++i)
        assert_ok(vkd_device_tap_settle(r[i].taps.gpu));
    assert_true(relative_floats(r[0].taps.host->projection.V, r[1].taps.host->projection.V, matrix) > 1e-3);
    merge(r);
    for (int i = 1; i < devices; ++i)
        assert_memory_equal(r[0].taps.host->projection.V, r[i].taps.host->projection.V,
                            matrix * sizeof(float));
    for (int i = 0; i < devices; ++i) {
        r[i].index = 0; // the same pictures for all
        r[i].from = 3;
        r[i].to = 5;
    }
    train_all(r, at_once);
    for (int i = 0; i < devices; ++i)
        assert_ok(vkd_device_tap_settle(r[i].taps.gpu));
    for (int i = 1; i < devices; ++i)
        assert_near(r[i].taps.host->projection.V, r[0].taps.host->projection.V, matrix, 0, 1);
    memcpy(V, r[0].taps.host->projection.V, matrix * sizeof *V);
    for (int i = 0; i < devices; ++i) {
        free_twins(&r[i].taps);
        close_device(r[i].device);
    }
}

static void as_if_alone(void **state) {
    (void)state;
    for (int mode = VKD_OPTION_MODE_NONE; mode <= VKD_OPTION_MODE_WHITEN; ++mode) {
        float at_once[matrix], in_turn[matrix];
        run(mode, true, at_once);
        run(mode, false, in_turn);
        assert_memory_equal(at_once, in_turn, sizeof at_once);
    }
}

int main(void) {
    on_one_thread();
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_if_alone)};
    return cmocka_run_group_tests_name("device_tap_threads", tests, NULL, NULL);
}
