#define _POSIX_C_SOURCE 200809L
#include "host/hooks.h"

#include "core/schedule.h"
#include "core/tap_merge.h"
#include "host/calibrate.h"
#include "host/parameters.h"
#include "host/plugin.h"
#include "host/run.h"
#include "host/taps.h"
#include "numerics/finite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A tap that gives the student nothing for so long is a mistake the user wants to know of.
enum { idle_limit = 100 };

static size_t current_batch(const network *net) {
    // seen already counts the sub-batch that is under way.
    return (*net->seen - (size_t)net->batch) / ((size_t)net->batch * (size_t)net->subdivisions);
}

static bool is_over(const network *net, const vkd_plugin *plugin, size_t batch) {
    for (int i = 0; i < plugin->tap_count; ++i)
        if (!vkd_schedule_finished(&plugin->taps[i]->options, batch, (size_t)net->max_batches)) return false;
    return true;
}

void vkd_take_data(const network *net, int inputs, int truths) {
    if (inputs != net->inputs)
        vkd_fail("found %d numbers a picture, as it is loaded; the network takes %d (%d x %d x %d)", inputs,
                 net->inputs, net->w, net->h, net->c);
    if (truths > net->truths)
        vkd_fail(
            "found %d numbers of truth a picture, the network takes %d; do data and cfg agree on classes?",
            truths, net->truths);
}

void vkd_step_begin(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin) return;
    vkd_attach(net);
    plugin->looked = plugin->forwarded = false;
    plugin->net = net;
    vkd_pin(net);
    vkd_seed_thread(VKD_STREAM_STEP, *net->seen, 0);
}

// Of the loader's numbers, which start at 1, and the place of this sub-batch in it.
static void choose_locations_now(const network *net, size_t batch) {
    size_t sub_batch = (*net->seen - (size_t)net->batch) / (size_t)net->batch % (size_t)net->subdivisions;
    vkd_choose_locations(net, batch + 1, (int)sub_batch * net->batch, net->truth);
}

// A tap that has ended says so in the log.
static void rest(vkd_tap *tap) {
    tap->loss = tap->weight = tap->ratio = tap->projection.defect = 0;
}

// What comes before a line, so that it takes the progress line's place.
static const char *over_progress(void) {
    return isatty(STDERR_FILENO) ? "\r\033[K" : "";
}

// Batches count from 1, as in the log.
static void tell(size_t batch, int i, const vkd_tap *tap, const char *what) {
    fprintf(stderr, "%sbatch %zu: vkd tap %d (student layer %d): %s\n", over_progress(), batch + 1, i,
            tap->options.from, what);
}

// Before its gradient reaches the weights.
static void stop_at_a_broken_loss(const network *net) {
    for (int i = 0; i < net->n; ++i)
        if (net->layers[i].cost && !vkd_is_finite(*net->layers[i].cost))
            vkd_fail(
                "%sbatch %zu: the loss is not finite; earlier checkpoints stay: lower the learning rate or "
                "lengthen burn_in",
                over_progress(), current_batch(net) + 1);
}

static void look(const network *net, vkd_plugin *plugin) {
    double start = what_time_is_it_now();
    vkd_teacher_look(net, plugin, net->input);
    plugin->looked = true;
    plugin->teacher_seconds += what_time_is_it_now() - start;
}

static bool is_last_head(const network *net) {
    for (int i = net->index + 1; i < net->n; ++i)
        if (vkd_asks_the_host(&net->layers[i])) return false;
    return true;
}

void vkd_look_ahead(const network *net) {
    vkd_plugin *plugin = vkd_of(net);
    // `net` is the pass's own copy, whose input is the head's.
    if (!plugin || !plugin->teacher || plugin->looked || !is_last_head(net)) return;
    if (!is_over(plugin->net, plugin, current_batch(plugin->net))) look(plugin->net, plugin);
}

void vkd_forward(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin) return;
    stop_at_a_broken_loss(net);
    if (!plugin->tap_count) return;
    size_t batch = current_batch(net);
    if (is_over(net, plugin, batch)) {
        for (int i = 0; i < plugin->tap_count; ++i)
            rest(plugin->taps[i]);
        vkd_teacher_free(plugin->teacher);
        plugin->teacher = NULL;
        return;
    }
    if (!plugin->looked) look(net, plugin);
    double start = what_time_is_it_now();
    const vkd_taps *taps = vkd_taps_of(net);
    choose_locations_now(net, batch);
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        if (vkd_schedule_finished(&tap->options, batch, (size_t)net->max_batches)) {
            rest(tap);
            continue;
        }
        vkd_status status = taps->forward(net, i);
        if (status && status != VKD_NOT_FINITE)
            vkd_fail("batch %zu: vkd tap %d: %s", batch + 1, i,
                     status == VKD_SINGULAR ? "the whitening matrix cannot be computed" : "inner error");
    }
    plugin->forwarded = true;
    vkd_print_whitening(plugin);
    plugin->tap_seconds += what_time_is_it_now() - start;
}

static void stop_if_idle(const network *net, const vkd_tap *tap, size_t batch, int i) {
    if (tap->idle < idle_limit * net->subdivisions) return;
    vkd_fail(
        "batch %zu: vkd tap %d (student layer %d): its gradient was zero or not finite for %d batches in a "
        "row; check that the layer is alive and the teacher's weights belong to its cfg",
        batch + 1, i, tap->options.from, idle_limit);
}

// [dropout] works in place: behind it the output and the delta are the dropped ones, so that is where the tap
// sits.
static int gradient_layer(const network *net, int from) {
    while (from + 1 < net->n && net->layers[from + 1].type == DROPOUT)
        ++from;
    return from;
}

// As train_network_datum decides whether an update follows.
static bool is_last_part(const network *net) {
    return *net->seen / (size_t)net->batch % (size_t)net->subdivisions == 0;
}

void vkd_backward(network *net, int i) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || !plugin->forwarded) return;
    double start = what_time_is_it_now();
    size_t batch = current_batch(net), end = (size_t)net->max_batches;
    for (int t = 0; t < plugin->tap_count; ++t) {
        const vkd_tap_options *o = &plugin->taps[t]->options;
        if (gradient_layer(net, o->from) != i || vkd_schedule_finished(o, batch, end)) continue;
        vkd_taps_of(net)->backward(net, t, i, vkd_schedule(o, batch, end), is_last_part(net));
    }
    plugin->tap_seconds += what_time_is_it_now() - start;
}

void vkd_update(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || !plugin->forwarded) return;
    double start = what_time_is_it_now();
    double rate = net->learning_rate > 0 ? get_current_rate(net) / net->learning_rate : 0;
    size_t batch = current_batch(net);
    for (int i = 0; i < plugin->tap_count; ++i) {
        vkd_tap *tap = plugin->taps[i];
        if (vkd_schedule_finished(&tap->options, batch, (size_t)net->max_batches)) continue;
        vkd_taps_of(net)->collect(net, i);
        stop_if_idle(net, tap, batch, i);
        bool told = tap->refused > 0;
        if (told) tell(batch, i, tap, "its features or its loss are not finite; it skips the batch");
        vkd_status status = vkd_taps_of(net)->update(net, i, rate);
        if (status && status != VKD_NOT_FINITE)
            vkd_fail("batch %zu: vkd tap %d: the update of P failed", batch + 1, i);
        if (status && !told) tell(batch, i, tap, "the gradient of P is not finite; P stays");
    }
    double spent = what_time_is_it_now() - start;
    plugin->tap_seconds += spent;
    plugin->update_seconds += spent;
}

void vkd_synced(network **nets, int count) {
    const vkd_plugin *first = vkd_of(nets[0]);
    if (!first || !first->tap_count) return;
    vkd_tap **taps = calloc((size_t)count, sizeof(vkd_tap *));
    if (!taps) vkd_fail("no memory to merge the vkd taps");
    for (int j = 0; j < count; ++j)
        vkd_taps_of(nets[j])->pull(nets[j]);
    for (int i = 0; i < first->tap_count; ++i) {
        for (int j = 0; j < count; ++j)
            taps[j] = vkd_of(nets[j])->taps[i];
        if (vkd_tap_merge(taps, count))
            vkd_fail("vkd tap %d: the taps of %d GPUs cannot be merged", i, count);
    }
    for (int j = 0; j < count; ++j)
        vkd_taps_of(nets[j])->push(nets[j]);
    free(taps);
}

void vkd_resizing(network *net) {
    vkd_unpin(net);
}

void vkd_resized(network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || !plugin->teacher) return;
    if (!plugin->teacher_input) {
        vkd_teacher_resize(plugin->teacher, net->w, net->h);
        vkd_teacher_keep(plugin->teacher, plugin->teacher_layer, plugin->tap_count);
    }
    for (int i = 0; i < plugin->tap_count; ++i) {
        const layer *student = &net->layers[plugin->taps[i]->options.from];
        const layer *teacher = &plugin->teacher->layers[plugin->teacher_layer[i]];
        vkd_tap_shape shape = plugin->taps[i]->shape;
        shape.h = student->out_h;
        shape.w = student->out_w;
        shape.th = teacher->out_h;
        shape.tw = teacher->out_w;
        if (vkd_taps_of(net)->resize(net, i, shape))
            vkd_fail("vkd tap %d: no memory for %d x %d", i, net->w, net->h);
    }
}

// A loss is known one step before its gradient is in the weights, so these are looked at before they replace
// a good checkpoint.
void vkd_saving(network *net, const char *filename, int cutoff) {
    char found[256];
    vkd_parameters_pull(net);
    if (vkd_of(net) && vkd_of(net)->tap_count) vkd_taps_of(net)->pull(net);
    if (vkd_find_bad_parameter(net, found, sizeof found))
        vkd_fail("%s: batch %zu: %s; it is not written, earlier checkpoints stay: lower the learning rate or "
                 "lengthen burn_in",
                 filename, get_current_batch(net), found);
    if (cutoff >= net->n) vkd_sidecar_prepare(net, filename);
}

void vkd_saved(network *net, const char *filename, int cutoff) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || cutoff < net->n) return;
    if (vkd_has_sidecar(plugin))
        vkd_sidecar_save(filename);
    else
        vkd_sidecar_remove(filename);
}
