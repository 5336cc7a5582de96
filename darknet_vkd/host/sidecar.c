#define _POSIX_C_SOURCE 200809L
#include "host/hooks.h"
#include "host/parameters.h"
#include "host/plugin.h"
#include "host/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void vkd_blocks_add(vkd_block_list *list, const char *owner, int index, const char *name, void *data,
                    size_t bytes) {
    if (!data || !bytes) return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        vkd_block *grown = realloc(list->blocks, (size_t)list->capacity * sizeof *grown);
        if (!grown) vkd_fail("no memory for the sidecar");
        list->blocks = grown;
    }
    vkd_block *block = &list->blocks[list->count++];
    memset(block, 0, sizeof *block);
    snprintf(block->name, sizeof block->name, "%s%d.%s", owner, index, name);
    block->data = data;
    block->bytes = bytes;
}

static void add_tap(vkd_block_list *list, vkd_tap *tap, int i) {
    vkd_projection *p = &tap->projection;
    vkd_target *t = &tap->target;
    p->is_kept = false; // the list is to read into as well
    size_t matrix = (size_t)p->rows * (size_t)p->cols * sizeof(float);
    size_t second = vkd_target_second_size(t);
    vkd_blocks_add(list, "tap", i, "P", p->V, matrix);
    vkd_blocks_add(list, "tap", i, p->is_square ? "momentum_of_S" : "momentum", p->momentum, matrix);
    vkd_blocks_add(list, "tap", i, "base", p->base, matrix);
    vkd_blocks_add(list, "tap", i, p->is_square ? "S" : "D", p->D, matrix);
    if (p->D) vkd_blocks_add(list, "tap", i, "since_rebase", &p->since_rebase, sizeof p->since_rebase);
    if (p->cross) {
        vkd_blocks_add(list, "tap", i, "cross", p->cross,
                       (size_t)p->rows * (size_t)p->cols * sizeof *p->cross);
        vkd_blocks_add(list, "tap", i, "count", &p->count, sizeof p->count);
    }
    vkd_blocks_add(list, "tap", i, "task_norm", &tap->task_norm, sizeof tap->task_norm);
    vkd_blocks_add(list, "tap", i, "loss_norm", &tap->loss_norm, sizeof tap->loss_norm);
    vkd_blocks_add(list, "tap", i, "norm_steps", &tap->norm_steps, sizeof tap->norm_steps);
    vkd_blocks_add(list, "tap", i, "idle", &tap->idle, sizeof tap->idle);
    vkd_blocks_add(list, "tap", i, "gain", &tap->student.gain, sizeof tap->student.gain);
    if (!second) return;
    vkd_blocks_add(list, "tap", i, "samples", &t->samples, sizeof t->samples);
    vkd_blocks_add(list, "tap", i, "kept", &t->kept, sizeof t->kept);
    vkd_blocks_add(list, "tap", i, "condition", &t->condition, sizeof t->condition);
    vkd_blocks_add(list, "tap", i, "batches", &t->batches, sizeof t->batches);
    vkd_blocks_add(list, "tap", i, "mean", t->mean, (size_t)t->n * sizeof *t->mean);
    vkd_blocks_add(list, "tap", i, "second", t->second, second * sizeof *t->second);
    // What is applied may lag behind the averages (whitening is not refreshed at every batch).
    vkd_blocks_add(list, "tap", i, "offset", t->offset, (size_t)t->n * sizeof *t->offset);
    if (t->W)
        vkd_blocks_add(list, "tap", i, "W", t->W, second * sizeof *t->W);
    else
        vkd_blocks_add(list, "tap", i, "inv_std", t->inv_std, (size_t)t->n * sizeof *t->inv_std);
}

// The student's own momentum, which Darknet's weights files leave out.
static void add_student(vkd_block_list *list, const network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        size_t filters = (size_t)(l->type == CONNECTED ? l->outputs : l->type == BATCHNORM ? l->c : l->n);
        if (l->type != CONVOLUTIONAL && l->type != CONNECTED && l->type != BATCHNORM) continue;
        size_t weights = l->type == CONNECTED ? (size_t)l->outputs * (size_t)l->inputs : (size_t)l->nweights;
        vkd_blocks_add(list, "layer", i, "weight_updates", l->weight_updates, weights * sizeof(float));
        vkd_blocks_add(list, "layer", i, "bias_updates", l->bias_updates, filters * sizeof(float));
        vkd_blocks_add(list, "layer", i, "scale_updates", l->scale_updates, filters * sizeof(float));
    }
}

// Of the parameters in memory: ties a sidecar to its weights file, and to no other run's of the same name.
// With `some`, of weights and biases alone, as sidecars had it before normalisation was hashed, too.
static uint64_t hash_weights(const network *net, bool some) {
    uint64_t hash = VKD_HASH_START;
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        vkd_parameters parts[VKD_PARAMETERS];
        int n = vkd_layer_parameters(l, parts);
        if (some && l->type != CONVOLUTIONAL && l->type != CONNECTED) continue;
        for (int p = 0; p < n && !(some && p == 2); ++p)
            hash = vkd_hash(hash, parts[p].at, parts[p].count * sizeof(float));
    }
    return hash;
}

static bool is_of_these_weights(const vkd_plugin *plugin, const network *net) {
    return plugin->weights_hash == hash_weights(net, false) ||
           plugin->weights_hash == hash_weights(net, true);
}

static vkd_block_list list_blocks(network *net) {
    vkd_block_list list = {0};
    vkd_plugin *plugin = vkd_of(net);
    vkd_blocks_add(&list, "student", 0, "weights_hash", &plugin->weights_hash, sizeof plugin->weights_hash);
    for (int i = 0; i < plugin->tap_count; ++i)
        add_tap(&list, plugin->taps[i], i);
    add_student(&list, net);
    return list;
}

bool vkd_has_sidecar(const vkd_plugin *plugin) {
    return plugin->tap_count || plugin->keeps_momentum;
}

static char *sidecar_name(const char *filename, const char *suffix) {
    size_t size = strlen(filename) + strlen(suffix) + 1;
    char *path = malloc(size);
    if (!path) vkd_fail("%s: no memory for its name", filename);
    snprintf(path, size, "%s%s", filename, suffix);
    return path;
}

static void write_sidecar(network *net, const char *path) {
    vkd_plugin *plugin = vkd_of(net);
    plugin->weights_hash = hash_weights(net, false);
    vkd_block_list list = list_blocks(net);
    vkd_checkpoint_key key = {*net->seen, plugin->cfg_hash, plugin->teacher_hash};
    vkd_error err;
    if (vkd_checkpoint_write(path, &key, list.blocks, list.count, &err)) vkd_fail("%s", err.text);
    free(list.blocks);
}

/*
 * Weights and sidecar are two files, which no rename replaces at once. The new sidecar is therefore complete
 * beside the old one before the weights change, and takes the old one's name afterwards:
 *
 *     F old, F.vkd old  ->  + F.vkd.next new  ->  F new  ->  F.vkd new
 *
 * Whenever a kill comes, one of the two sidecars is of the moment of F.
 */
void vkd_sidecar_prepare(network *net, const char *filename) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || !vkd_has_sidecar(plugin)) return;
    char *next = sidecar_name(filename, ".vkd.next");
    write_sidecar(net, next);
    free(next);
}

void vkd_sidecar_save(const char *filename) {
    char *path = sidecar_name(filename, ".vkd"), *next = sidecar_name(filename, ".vkd.next");
    if (rename(next, path)) vkd_fail("%s: cannot be renamed to %s: %s", next, path, strerror(errno));
    free(path);
    free(next);
}

static const char from_zero[] = "the momentum starts at zero";

// False: there is none, or it is refused; err then says why, and is empty where the file is not there.
static bool read_sidecar(network *net, const char *path, vkd_error *err) {
    err->text[0] = 0;
    vkd_plugin *plugin = vkd_of(net);
    vkd_checkpoint_key key;
    if (access(path, F_OK) && errno == ENOENT) return false;
    if (plugin->tap_count && !vkd_checkpoint_read_key(path, &key) && !key.teacher_hash) return false;
    const char *remedy =
        plugin->tap_count ? "train with the one it was made with, or start afresh with -clear" : from_zero;
    const char *afresh = plugin->tap_count ? "remove it to start the projections afresh" : from_zero;
    vkd_block_list list = list_blocks(net);
    key = (vkd_checkpoint_key){0, plugin->cfg_hash, plugin->teacher_hash};
    bool whole = vkd_checkpoint_read(path, &key, list.blocks, list.count, remedy, err) == VKD_OK;
    free(list.blocks);
    // Of the loading: the first step, which attaches the taps, has counted its own images already.
    if (whole && key.seen != plugin->seen)
        vkd_error_set(err, VKD_BAD_FILE,
                      "%s: of another moment: it has seen %llu images, the weights %zu; %s", path,
                      (unsigned long long)key.seen, plugin->seen, afresh);
    else if (whole && !is_of_these_weights(plugin, net))
        vkd_error_set(err, VKD_BAD_FILE, "%s: of other weights than those beside it; %s", path, afresh);
    return !err->text[0];
}

static void clear_momentum(network *net) {
    vkd_block_list list = {0};
    add_student(&list, net);
    for (int i = 0; i < list.count; ++i)
        memset(list.blocks[i].data, 0, list.blocks[i].bytes);
    free(list.blocks);
}

bool vkd_sidecar_load(network *net, const char *filename) {
    char *path = sidecar_name(filename, ".vkd"), *next = sidecar_name(filename, ".vkd.next");
    const char *used = NULL;
    vkd_error err, next_err;
    if (read_sidecar(net, path, &err))
        used = path;
    else if (read_sidecar(net, next, &next_err))
        used = next; // a kill came between the weights' new name and the sidecar's
    bool taps = vkd_of(net)->tap_count > 0;
    if (!used && err.text[0] && taps) vkd_fail("%s", err.text);
    if (!used && !taps) clear_momentum(net); // a sidecar of other weights has been read to its end
    if (!used && err.text[0])
        fprintf(stderr, "%s%s%s\n", err.text, strstr(err.text, from_zero) ? "" : "; ",
                strstr(err.text, from_zero) ? "" : from_zero);
    if (used) fprintf(stderr, "Loading %s from %s...Done!\n", taps ? "taps" : "momentum", used);
    // What the kill left undone, so that whoever copies the checkpoint copies a pair; not vital, and not a
    // matter of commands that only look.
    if (used == next && vkd_of(net)->keeps_momentum) (void)!rename(next, path);
    free(path);
    free(next);
    return used != NULL;
}

void vkd_sidecar_remove(const char *filename) {
    char *path = sidecar_name(filename, ".vkd"), *next = sidecar_name(filename, ".vkd.next");
    remove(path);
    remove(next);
    free(path);
    free(next);
}
