// The training loop of detectors: Darknet's steps, with numbered batches, checked names and a log.
#define _POSIX_C_SOURCE 200809L
#include "host/detector_train.h"

#include "host/hooks.h"
#include "host/plugin.h"
#include "host/run.h"
#include "host/training_data.h"
#include "host/training_log.h"
#include "numerics/finite.h"
#include "numerics/rng.h"

#include "data.h"
#include "parser.h"

#include "network.h"
#include <errno.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// random=1: another size every so many batches, within a factor of 1.4 around the cfg's, and the cfg's own
// for the last ones.
enum { size_batches = 10, steady_batches = 200, size_step = 32 };
static const double size_factor = 1.4;

typedef struct request {
    char *data, *cfg, *weights;
    const char *gpus;
    bool clear, verbose;
} request;

typedef struct training {
    request request;
    vkd_training_data data;
    char *base;
    network *net;
    load_args args;
    int cfg_w, cfg_h;
    bool random;
    vkd_training_log log;
} training;

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
        } else if (!strcmp(flag, "-dont_show")) {
            continue; // there is no window
        } else if (!strcmp(flag, "-gpus")) {
            if (i + 1 == argc || !argv[i + 1]) vkd_fail("detector train: -gpus needs a value");
            r.gpus = argv[++i];
        } else {
            vkd_fail(
                "detector train: unknown option %s; expected -teacher_cfg, -teacher_weights, -seed, -clear, "
                "-gpus or -verbose",
                flag);
        }
    }
    if (given < 2) vkd_fail("usage: darknet detector train DATA CFG [WEIGHTS] [-seed N] [-clear]");
    return r;
}

static void check_cfg(const char *path) {
    vkd_cfg cfg;
    vkd_error err;
    if (vkd_cfg_read(path, &cfg, &err)) vkd_fail("%s", err.text);
    vkd_cfg_free(&cfg);
}

static void make_directory(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) && errno != EEXIST)
        vkd_fail("%s: the backup folder cannot be made: %s", path, strerror(errno));
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        vkd_fail("%s: found a file; expected the backup folder", path);
}

static void load_student(training *t) {
    t->net = load_network(t->request.cfg, t->request.weights, t->request.clear);
    vkd_attach(t->net);
    network *net = t->net;
    layer head = net->layers[net->n - 1];
    if (!vkd_is_detector(net))
        vkd_fail("%s: the last layer is [%s]; expected [yolo] or [region]", t->request.cfg,
                 get_layer_string(head.type));
    if (net->max_batches < 1)
        vkd_fail("%s: [net] max_batches: missing; expected an integer >= 1", t->request.cfg);
    t->cfg_w = net->w;
    t->cfg_h = net->h;
    t->random = head.random != 0;
    t->args = vkd_detection_args(net, &t->data);
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

// A loss is known one step before its gradient is in the weights, so these are looked at before they replace
// a good checkpoint.
static void check_weights_are_finite(training *t) {
    const network *net = t->net;
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL || vkd_all_finite(l->weights, (size_t)l->nweights)) continue;
        vkd_log_break(&t->log);
        vkd_fail("batch %zu: the weights of layer %d are not finite; nothing is written, earlier checkpoints "
                 "stay: "
                 "lower the learning rate or lengthen burn_in",
                 get_current_batch(t->net), i);
    }
}

static void save(training *t, const char *suffix) {
    size_t size = strlen(t->data.backup) + strlen(t->base) + strlen(suffix) + 2;
    char *path = malloc(size);
    if (!path) vkd_fail("no memory for a checkpoint's name");
    snprintf(path, size, "%s/%s%s", t->data.backup, t->base, suffix);
    check_weights_are_finite(t);
    vkd_log_break(&t->log);
    save_weights(t->net, path);
    vkd_log_flush(&t->log);
    free(path);
}

// Darknet's own rhythm.
static void save_when_due(training *t, size_t batch) {
    char suffix[64];
    if (batch % 100 == 0) save(t, ".backup");
    if (batch % 10000 == 0 || (batch < 1000 && batch % 100 == 0)) {
        snprintf(suffix, sizeof suffix, "_%zu.weights", batch);
        save(t, suffix);
    }
}

// False: there was nothing to train.
static bool train_batches(training *t) {
    network *net = t->net;
    size_t batch = get_current_batch(net), end = (size_t)net->max_batches;
    if (batch >= end) {
        fprintf(stderr, "%s has seen %zu batches of %zu; nothing is left to train (-clear starts afresh)\n",
                t->request.weights ? t->request.weights : t->request.cfg, batch, end);
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
        if (!vkd_is_finite(loss)) {
            vkd_log_break(&t->log);
            vkd_fail("batch %zu: the loss is not finite; earlier checkpoints stay: lower the learning rate "
                     "or lengthen "
                     "burn_in",
                     batch);
        }
        vkd_log_batch(&t->log, net, loss);
        save_when_due(t, batch);
    }
    return true;
}

// What distillation costs, where there is any.
static void print_cost(const training *t, size_t batches) {
    const vkd_plugin *plugin = vkd_of(t->net);
    if (!plugin || !plugin->tap_count || !batches) return;
    double batch = (what_time_is_it_now() - t->log.start) / (double)batches;
    double teacher = plugin->teacher_seconds / (double)batches, taps = plugin->tap_seconds / (double)batches;
    double update = plugin->update_seconds / (double)batches;
    fprintf(
        stderr,
        "A batch took %.3f s: the teacher %.3f s (%.0f %%), the taps %.4f s (%.1f %%), of it the update of P "
        "%.5f s (%.2f %%)\n",
        batch, teacher, 100 * teacher / batch, taps, 100 * taps / batch, update, 100 * update / batch);
}

void vkd_detector_train(int argc, char **argv) {
    training t = {.request = read_arguments(argc, argv)};
#ifdef GPU
    if (t.request.gpus && strchr(t.request.gpus, ','))
        vkd_fail("detector train: -gpus: several GPUs are not available yet");
    if (t.request.gpus && gpu_index >= 0) gpu_index = atoi(t.request.gpus);
    if (gpu_index >= 0) cuda_set_device(gpu_index);
#else
    if (t.request.gpus)
        fprintf(stderr, "-gpus %s: this program is built without GPU=1; training on the CPU\n",
                t.request.gpus);
#endif
    check_cfg(t.request.cfg);
    t.data = vkd_training_data_read(t.request.data);
    make_directory(t.data.backup);
    vkd_run_always_seed();
    vkd_run_set_quiet(!t.request.verbose);
    load_student(&t);
    t.base = basecfg(t.request.cfg);
    vkd_log_open(&t.log, t.data.backup, t.base, t.net);
    fprintf(stderr, "Training %s on %d pictures, batches of %d, seed %llu\n", t.request.cfg,
            t.data.pictures.count, t.args.n, (unsigned long long)vkd_run_options()->seed);
    size_t first = get_current_batch(t.net);
    if (train_batches(&t)) {
        save(&t, "_final.weights");
        print_cost(&t, get_current_batch(t.net) - first);
    }
    vkd_log_close(&t.log);
    free_network(t.net);
}
