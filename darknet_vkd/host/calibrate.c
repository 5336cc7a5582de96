#define _POSIX_C_SOURCE 200809L
#include "host/calibrate.h"

#include "core/schedule.h"
#include "host/arguments.h"
#include "host/hooks.h"
#include "host/padding.h"
#include "host/run.h"
#include "host/taps.h"
#include "host/training_data.h"

#include "data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Far beyond the batches of a training run, so that both draw their pictures independently.
static const size_t first_batch = (size_t)1 << 40;

static bool waits(const vkd_tap *tap) {
    return vkd_target_needs_calibration(&tap->target);
}

void vkd_refuse_unused_calibration(const vkd_plugin *plugin) {
    const char *file = vkd_run_options()->calibration;
    for (int i = 0; i < plugin->tap_count; ++i)
        if (plugin->taps[i]->options.whiten.statistics == VKD_OPTION_STATISTICS_CALIBRATED) return;
    if (file)
        vkd_fail("-calibration %s: found no tap with a teacher and [vkd_whiten] statistics=calibrated in %s",
                 file, plugin->cfg.path);
}

bool vkd_needs_calibration(const network *net) {
    const vkd_plugin *plugin = vkd_of(net);
    size_t batch = get_current_batch((network *)net);
    for (int i = 0; i < plugin->tap_count; ++i)
        if (waits(plugin->taps[i]) &&
            !vkd_schedule_finished(&plugin->taps[i]->options, batch, (size_t)net->max_batches))
            return true;
    return false;
}

// ---- pictures
// ----------------------------------------------------------------------------------------------------

// As train_classifier loads them, without their labels.
static data load_for_classifier(network *net, const vkd_training_data *training, size_t batch) {
    int n = net->batch * net->subdivisions;
    char **paths = calloc((size_t)n, sizeof *paths);
    if (!paths) vkd_fail("no memory for %d paths", n);
    vkd_loader_begin(batch, 0);
    for (int i = 0; i < n; ++i) {
        vkd_seed_choice(i);
        paths[i] = training->pictures.paths[vkd_rand() % training->pictures.count];
    }
    data d = {0};
    d.X = load_image_augment_paths(paths, n, (int)(net->min_ratio * (float)net->w),
                                   (int)(net->max_ratio * (float)net->w), net->w, net->angle, net->aspect,
                                   net->hue, net->saturation, net->exposure, net->center);
    d.y = make_matrix(n, net->truths);
    free(paths);
    return d;
}

static data load_batch(network *net, const vkd_training_data *training, size_t batch) {
    if (!vkd_is_detector(net)) return load_for_classifier(net, training, batch);
    data d;
    load_args args = vkd_detection_args(net, training);
    args.vkd_batch = batch;
    args.d = &d;
    pthread_join(load_data(args), NULL);
    return d;
}

// ---- calibrating
// ------------------------------------------------------------------------------------------------

static void show_progress(int done, int images) {
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\rCalibrating on %d of %d pictures\033[K", done, images);
}

// One sub-batch: its first pictures, as many as each tap still wants.
static void take_in(network *net, vkd_plugin *plugin, float *input, int done) {
    vkd_teacher_look(net, plugin, input);
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        int wanted = tap->options.whiten.images - done;
        if (tap->options.whiten.statistics != VKD_OPTION_STATISTICS_CALIBRATED || wanted <= 0) continue;
        vkd_status status = vkd_taps_of(net)->calibrate(net, i, wanted < net->batch ? wanted : net->batch);
        if (status)
            vkd_fail(
                "%s:%d: [vkd_projection]: calibrating tap %d: the teacher's features are not finite; do its "
                "weights belong to its cfg?",
                plugin->cfg.path, tap->options.line, i);
    }
}

static void refuse_pictures_without_objects(const vkd_plugin *plugin, const char *data_path) {
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_tap *tap = plugin->taps[i];
        if (waits(tap))
            vkd_fail(
                "%s:%d: [vkd_projection]: calibrating tap %d: found no object in %d draws from the pictures "
                "of %s; raise images, or set foreground below 1",
                plugin->cfg.path, tap->options.line, i, tap->options.whiten.images, data_path);
    }
}

// A covariance of fewer samples than channels is made up by the shrinkage in the directions it has not seen.
static void tell_of_few_samples(const vkd_plugin *plugin) {
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_target *t = &plugin->taps[i]->target;
        if (t->W && t->options->statistics == VKD_OPTION_STATISTICS_CALIBRATED && t->samples <= t->n)
            fprintf(stderr, "  vkd tap %d  whitened from %ld samples%s for %d channels: raise images\n", i,
                    t->samples, plugin->taps[i]->options.foreground >= 1 ? " of objects" : "", t->n);
    }
}

static void refresh(vkd_plugin *plugin) {
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        if (tap->options.whiten.statistics != VKD_OPTION_STATISTICS_CALIBRATED) continue;
        if (vkd_target_refresh(&tap->target))
            vkd_fail(
                "%s:%d: [vkd_projection]: tap %d: the whitening matrix cannot be computed; raise shrinkage",
                plugin->cfg.path, tap->options.line, i);
    }
}

void vkd_calibrate(network *net, char *data_path) {
    vkd_plugin *plugin = vkd_of(net);
    int images = 0, done = 0;
    for (int i = 0; i < plugin->tap_count; ++i)
        if (waits(plugin->taps[i]) && plugin->taps[i]->options.whiten.images > images)
            images = plugin->taps[i]->options.whiten.images;
    if (!data_path)
        vkd_fail("%s: [vkd_whiten] statistics: \"calibrated\" looks at the pictures of `detector train` or "
                 "`classifier train`; hand it a file of `darknet vkd calibrate` with -calibration FILE",
                 plugin->cfg.path);
    vkd_training_data training = vkd_training_data_read(data_path);
    float *input = malloc((size_t)net->inputs * (size_t)net->batch * sizeof *input);
    float *truth = malloc((size_t)net->truths * (size_t)net->batch * sizeof *truth);
    if (!input || !truth) vkd_fail("no memory to calibrate with");
    for (size_t batch = first_batch; done < images; ++batch) {
        data d = load_batch(net, &training, batch);
        for (int s = 0; s < net->subdivisions && done < images; ++s, done += net->batch) {
            show_progress(done, images);
            get_next_batch(d, net->batch, s * net->batch, input, truth);
            vkd_choose_locations(net, batch, s * net->batch, truth);
            take_in(net, plugin, input, done);
        }
        free_data(d);
    }
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
    refuse_pictures_without_objects(plugin, data_path);
    refresh(plugin);
    fprintf(stderr, "Calibrated the teacher's statistics on %d draws from the %d pictures of %s\n", images,
            training.pictures.count, data_path);
    tell_of_few_samples(plugin);
    free(input);
    free(truth);
    vkd_picture_list_free(&training.pictures);
}

void vkd_print_whitening(const vkd_plugin *plugin) {
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        const vkd_target *t = &tap->target;
        // Not yet: running statistics that have seen nothing, where there was no object so far.
        if (t->options->mode != VKD_OPTION_MODE_WHITEN || !(t->condition > 0) || tap->told) continue;
        fprintf(stderr, "  vkd tap %d  whitened: %d of %d directions kept, condition number %.3g\n", i,
                t->kept, t->n, t->condition);
        tap->told = true;
    }
}

// ---- the file
// ----------------------------------------------------------------------------------------------------

// Of what decides the statistics but the pictures and their augmentation.
static uint64_t hash_of_taps(const network *net, const vkd_plugin *plugin) {
    vkd_error err;
    uint64_t hash;
    if (vkd_hash_file(plugin->teacher_cfg, &hash, &err)) vkd_fail("%s", err.text);
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_tap *tap = plugin->taps[i];
        const vkd_whiten_options *w = &tap->options.whiten;
        const int facts[] = {i,
                             net->w,
                             net->h,
                             plugin->teacher->w,
                             plugin->teacher->h,
                             tap->shape.h,
                             tap->shape.w,
                             tap->shape.n,
                             tap->shape.th,
                             tap->shape.tw,
                             w->mode,
                             w->images,
                             tap->options.pool,
                             tap->options.mask_padding,
                             tap->options.foreground >= 1,
                             plugin->teacher_layer[i]};
        if (w->statistics == VKD_OPTION_STATISTICS_CALIBRATED) hash = vkd_hash(hash, facts, sizeof facts);
    }
    return hash;
}

static vkd_block_list list_blocks(const vkd_plugin *plugin) {
    vkd_block_list list = {0};
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_target *t = &plugin->taps[i]->target;
        if (t->options->statistics != VKD_OPTION_STATISTICS_CALIBRATED) continue;
        vkd_blocks_add(&list, "tap", i, "samples", &t->samples, sizeof t->samples);
        vkd_blocks_add(&list, "tap", i, "mean", t->mean, (size_t)t->n * sizeof *t->mean);
        vkd_blocks_add(&list, "tap", i, "second", t->second, vkd_target_second_size(t) * sizeof *t->second);
    }
    return list;
}

void vkd_calibration_write(network *net, const char *path) {
    vkd_plugin *plugin = vkd_of(net);
    vkd_block_list list = list_blocks(plugin);
    vkd_checkpoint_key key = {0, hash_of_taps(net, plugin), plugin->teacher_hash};
    vkd_error err;
    if (vkd_checkpoint_write(path, &key, list.blocks, list.count, &err)) vkd_fail("%s", err.text);
    free(list.blocks);
}

void vkd_calibration_read(network *net, const char *path) {
    vkd_plugin *plugin = vkd_of(net);
    vkd_block_list list = list_blocks(plugin);
    vkd_checkpoint_key key = {0, hash_of_taps(net, plugin), plugin->teacher_hash};
    vkd_error err;
    if (vkd_checkpoint_read(path, &key, list.blocks, list.count, "calibrate with the one in use", &err))
        vkd_fail("-calibration: %s", err.text);
    free(list.blocks);
    refresh(plugin);
    fprintf(stderr, "Loading the teacher's statistics from %s...Done!\n", path);
}

void vkd_calibrate_command(int argc, char **argv) {
    const char *out = NULL;
    const vkd_flag flags[] = {{"-out", &out, NULL}};
    const vkd_arguments expected = {.command = "vkd calibrate",
                                    .usage =
                                        "DATA CFG -out FILE [-teacher_cfg F -teacher_weights F] [-seed N]",
                                    .known = "-out, -seed, -teacher_cfg or -teacher_weights",
                                    .least = 2,
                                    .most = 2,
                                    .flags = flags,
                                    .flag_count = 1};
    char *files[2];
    vkd_read_arguments(&expected, argc, argv, files);
    if (!out) vkd_fail("usage: darknet %s %s", expected.command, expected.usage);
    if (vkd_run_options()->calibration)
        vkd_fail("vkd calibrate: found -calibration %s; expected to make such a file, not to take one",
                 vkd_run_options()->calibration);
    vkd_run_always_seed();
    vkd_run_set_data(files[0]);
    network *net = load_network(files[1], NULL, 0);
    vkd_attach(net);
    bool calibrated = false;
    for (int i = 0; i < vkd_of(net)->tap_count; ++i)
        calibrated = calibrated || vkd_of(net)->taps[i]->target.samples > 0;
    if (!calibrated)
        vkd_fail("%s: found no tap with a teacher and [vkd_whiten] statistics=calibrated; nothing to write",
                 files[1]);
    vkd_calibration_write(net, out);
    printf("%s\n", out);
    free_network(net);
}
