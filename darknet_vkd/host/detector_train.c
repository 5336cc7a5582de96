// The training loop of detectors: Darknet's steps, with numbered batches, checked names and a log.
#define _POSIX_C_SOURCE 200809L
#include "host/detector_train.h"

#include "host/command_line.h"
#include "host/hooks.h"
#include "host/plugin.h"
#include "host/run.h"
#include "host/training_data.h"
#include "host/training_files.h"
#include "host/training_log.h"
#include "host/training_map.h"
#include "host/unreadable.h"
#include "numerics/rng.h"

#include "data.h"
#include "parser.h"

#include "network.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// random=1: another size every so many batches, within a factor of 1.4 around the cfg's, and the cfg's own
// for the last ones.
enum { size_batches = 10, steady_batches = 200, size_step = 32 };
static const double size_factor = 1.4;

typedef struct request {
    char *data, *cfg, *weights;
    const char *gpus;
    bool clear, verbose;
    int map_epochs; // 0: without -map
} request;

typedef struct training {
    request request;
    vkd_training_data data;
    network *net;
    load_args args;
    int cfg_w, cfg_h;
    bool random;
    vkd_training_map map;
    vkd_training_log log;
    vkd_training_files files;
} training;

static int epochs(const char *text) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < 1 || value > INT_MAX)
        vkd_fail("detector train: -mAP_epochs: found \"%s\"; expected an integer >= 1", text);
    return (int)value;
}

// False: no flag that takes a value.
static bool take_value(request *r, const char *flag, char *value) {
    bool gpus = !strcmp(flag, "-gpus");
    if (!gpus && strcmp(flag, "-mAP_epochs")) return false;
    if (!value) vkd_fail("detector train: %s needs a value", flag);
    if (gpus)
        r->gpus = value;
    else
        r->map_epochs = epochs(value);
    return true;
}

static request read_arguments(int argc, char **argv) {
    request r = {0};
    char **const files[] = {&r.data, &r.cfg, &r.weights};
    size_t given = 0;
    for (int i = 3; i < argc && argv[i]; ++i) {
        const char *flag = argv[i];
        if (flag[0] != '-') {
            if (given == 3) vkd_fail("detector train: unexpected \"%s\" after DATA CFG WEIGHTS", flag);
            *files[given++] = argv[i];
        } else if (!strcmp(flag, "-clear")) {
            r.clear = true;
        } else if (!strcmp(flag, "-verbose")) {
            r.verbose = true;
        } else if (!strcmp(flag, "-map")) {
            if (!r.map_epochs) r.map_epochs = 1;
        } else if (!strcmp(flag, "-dont_show")) {
            continue; // there is no window
        } else if (take_value(&r, flag, vkd_flag_lacks_value(argc, argv, i) ? NULL : argv[i + 1])) {
            ++i;
        } else {
            vkd_fail("detector train: unknown option %s; expected -teacher_cfg, -teacher_weights, "
                     "-calibration, -seed, -map, -mAP_epochs, -clear, -gpus, -dont_show or -verbose",
                     flag);
        }
    }
    if (given < 2)
        vkd_fail("usage: darknet detector train DATA CFG [WEIGHTS] [-teacher_cfg F -teacher_weights F] "
                 "[-seed N] [-map] [-clear]");
    return r;
}

static void check_cfg(const char *path) {
    vkd_cfg cfg;
    vkd_error err;
    if (vkd_cfg_read(path, &cfg, &err)) vkd_fail("%s", err.text);
    vkd_cfg_free(&cfg);
}

static void load_student(training *t) {
    t->net = load_network(t->request.cfg, t->request.weights, t->request.clear);
    vkd_of(t->net)->keeps_momentum = true;
    vkd_attach(t->net);
    network *net = t->net;
    layer head = net->layers[net->n - 1];
    if (!vkd_is_detector(net))
        vkd_fail("%s: the last layer is [%s]; expected [yolo] or [region]", t->request.cfg,
                 get_layer_string(head.type));
    if (net->c != 3) // the loader makes three of every picture
        vkd_fail("%s: [net] channels: %d; expected 3, as pictures have", t->request.cfg, net->c);
    if (net->max_batches < 1)
        vkd_fail("%s: [net] max_batches: missing; expected an integer >= 1", t->request.cfg);
    t->cfg_w = net->w;
    t->cfg_h = net->h;
    t->random = head.random != 0;
    t->args = vkd_detection_args(net, &t->data);
    // A checkpoint of another batch size may end within one of this size: begin with a whole one.
    *net->seen -= *net->seen % (size_t)t->args.n;
}

static int scaled_size(int size, double factor) {
    int rounded = (int)(size * factor / size_step + .5) * size_step;
    return rounded < size_step ? size_step : rounded;
}

// The input size at a batch: a function of the seed and the batch, so that a resumed run takes the same.
static void size_at(const training *t, size_t batch, int *w, int *h) {
    *w = t->cfg_w;
    *h = t->cfg_h;
    if (!t->random || batch + steady_batches > (size_t)t->net->max_batches) return;
    vkd_rng rng;
    vkd_rng_seed(&rng, vkd_run_options()->seed, VKD_STREAM_SIZE, batch / size_batches);
    double low = 1 / size_factor, factor = low + (size_factor - low) * vkd_rng_uniform(&rng);
    *w = scaled_size(t->cfg_w, factor);
    *h = scaled_size(t->cfg_h, factor);
}

static pthread_t start_loading(training *t, size_t batch, data *d) {
    size_at(t, batch, &t->args.w, &t->args.h);
    t->args.vkd_batch = batch + 1;
    t->args.d = d;
    return load_data(t->args);
}

// The AP after this batch, or less than 0 where it is not measured.
static double measure_when_due(training *t, size_t batch) {
    if (!vkd_training_map_is_due(&t->map, t->net, batch)) return -1;
    double start = what_time_is_it_now(), ap = vkd_training_map_measure(&t->map, t->net);
    t->log.measuring += what_time_is_it_now() - start;
    return round(ap * 1e6) / 1e6; // as in the log, which a resumed run takes the best one from
}

static void after_batch(training *t, size_t batch, double loss) {
    double ap = measure_when_due(t, batch);
    bool best = ap >= 0 && ap > t->log.best_ap;
    vkd_log_batch(&t->log, t->net, loss, ap);
    vkd_training_save_when_due(&t->files, batch, best);
}

// False: there was nothing to train.
static bool train_batches(training *t) {
    network *net = t->net;
    size_t batch = get_current_batch(net), end = (size_t)net->max_batches;
    if (batch >= end && vkd_training_finish(&t->files, t->request.weights)) return false;
    if (batch >= end) {
        fprintf(stderr,
                "%s has seen %zu batches of %zu; nothing is left to train (-clear starts afresh, a larger "
                "max_batches goes on)\n",
                t->request.weights, batch, end);
        return false;
    }
    data loaded, next;
    pthread_t loader = start_loading(t, batch, &next);
    while (batch < end) {
        pthread_join(loader, NULL);
        loaded = next;
        int w = t->args.w, h = t->args.h;
        if (batch + 1 < end) loader = start_loading(t, batch + 1, &next);
        if (w != net->w || h != net->h) resize_network(net, w, h);
        double loss = train_network(net, loaded);
        free_data(loaded);
        batch = get_current_batch(net);
        after_batch(t, batch, loss);
    }
    return true;
}

// What distillation costs, where there is any.
static void print_cost(const training *t, size_t batches) {
    const vkd_plugin *plugin = vkd_of(t->net);
    if (!plugin || !plugin->tap_count || !batches) return;
    double batch = (what_time_is_it_now() - t->log.start) / (double)batches;
    if (vkd_is_on_device(t->net)) { // where the host's clock sees what is enqueued, not what is done
        fprintf(stderr, "A batch took %.3f s\n", batch);
        return;
    }
    double teacher = plugin->teacher_seconds / (double)batches, taps = plugin->tap_seconds / (double)batches;
    double update = plugin->update_seconds / (double)batches;
    fprintf(
        stderr,
        "A batch took %.3f s: the teacher %.3f s (%.0f %%), the taps %.4f s (%.1f %%), of it the update of P "
        "%.5f s (%.2f %%)\n",
        batch, teacher, 100 * teacher / batch, taps, 100 * taps / batch, update, 100 * update / batch);
}

static void print_unreadable(const training *t) {
    int count = vkd_unreadable_count();
    if (count)
        fprintf(stderr, "%d of %d pictures could not be read; others took their places\n", count,
                t->data.pictures.count);
}

#ifdef GPU
// Its batches are numbered, its runs go on from a checkpoint to the same weights: not those of several
// networks.
static int one_gpu(const char *list) {
    char *end;
    long index = strtol(list, &end, 10);
    if (end == list || *end || index < 0 || index > INT_MAX)
        vkd_fail("detector train: -gpus %s: it trains on one GPU; expected its number", list);
    return (int)index;
}
#endif

void vkd_detector_train(int argc, char **argv) {
    training t = {.request = read_arguments(argc, argv)};
    vkd_run_set_quiet(!t.request.verbose);
#ifdef GPU
    if (gpu_index >= 0 && t.request.gpus) cuda_set_device(one_gpu(t.request.gpus));
#else
    if (t.request.gpus)
        fprintf(stderr, "-gpus %s: this program is built without GPU=1; training on the CPU\n",
                t.request.gpus);
#endif
    check_cfg(t.request.cfg);
    t.data = vkd_training_data_read(t.request.data);
    vkd_training_folder(t.data.backup);
    vkd_check_pictures(&t.data.pictures);
    vkd_run_always_seed();
    load_student(&t);
    if (t.request.map_epochs)
        vkd_training_map_open(&t.map, t.net, t.request.data, t.data.pictures.count, t.request.map_epochs);
    t.files = (vkd_training_files){t.data.backup, basecfg(t.request.cfg), t.net, &t.log};
    vkd_log_open(&t.log, t.data.backup, t.files.base, t.net);
    fprintf(stderr, "Training %s on %d pictures, batches of %d, seed %llu\n", t.request.cfg,
            t.data.pictures.count, t.args.n, (unsigned long long)vkd_run_options()->seed);
    size_t first = get_current_batch(t.net);
    if (train_batches(&t)) {
        vkd_training_save(&t.files, "_final.weights");
        print_cost(&t, get_current_batch(t.net) - first);
        print_unreadable(&t);
    }
    vkd_log_close(&t.log);
    free_network(t.net);
}
