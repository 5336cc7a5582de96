// The plugin's part of one network: its taps, and the teacher they look at. net->vkd points to it.
#ifndef VKD_HOST_PLUGIN_H
#define VKD_HOST_PLUGIN_H

#include "core/checkpoint.h"
#include "core/options.h"
#include "core/tap.h"
#include "numerics/convolution.h"
#include "numerics/half.h"

#include "darknet.h"

#include <stdbool.h>

typedef struct vkd_plugin {
    char *cfg_path, *weights_path; // as load_network got them; weights_path may be NULL
    bool clear;
    size_t seen;      // images the weights had seen when they were loaded
    bool attached;    // the cfg is read; taps and teacher exist if there are any
    bool only_looks;  // no training follows: what is missing is told by the command
    bool keeps_maps;  // every layer's output is looked at, also one that only a pooling reads
    bool only_shapes; // nor are there weights: neither the teacher's nor a sidecar are read
    vkd_cfg cfg;
    const char *teacher_cfg, *teacher_weights; // in force: flag or cfg; NULL: no teacher
    int tap_count;                             // 0 without a teacher
    vkd_tap **taps;                            // (tap_count)
    struct vkd_device *device;                 // of a network on one; NULL: the CPU
    struct vkd_device_tap **twins;             // (tap_count) of taps there; NULL: the CPU
    void **pinned;                             // (pinned_count) arrays of the host; NULL: none yet
    int pinned_count;
    int *teacher_layer;       // (tap_count) absolute
    float *teacher_input;     // (B,c,h,w) of the teacher, where teacher_resize=1; else NULL
    float *teacher_input_gpu; // its copy on the device
    network *teacher;         // NULL before the first step and after the last tap's end
    uint64_t cfg_hash, teacher_hash, weights_hash;
    bool keeps_momentum;                 // a run without taps leaves sidecars too (`detector train`)
    bool resumed;                        // a sidecar was read beside the weights
    bool looked;                         // this step's forward pass of the teacher has been made
    bool forwarded;                      // this step's forward has run: backward may add
    const network *net;                  // of this step
    double teacher_seconds, tap_seconds; // since the start, for the log
    double update_seconds;               // of tap_seconds: the updates of P
} vkd_plugin;

// The plugin's part of a network that was loaded by load_network; NULL for others (a teacher).
vkd_plugin *vkd_of(const network *net);

// Reads the cfg's taps, loads the teacher, reads the sidecar: once, before the first step. A user's mistake
// is one line and exit status 1.
void vkd_attach(network *net);

// True for layers whose output is a map of features: a head's, a loss's or a vector's is none.
bool vkd_has_feature_map(const layer *l);

// Sets mask and emphasis of every tap that has them, for the pictures from `first` on of the loader's
// `batch`. truth is as in net->truth, for those pictures; NULL: nobody knows where objects are, and every
// location may be one.
void vkd_choose_locations(const network *net, size_t batch, int first, const float *truth);

// ---- convolution.c ----

// Of numbers as they are: neither its weights nor its input are made binary.
bool vkd_is_plain_convolution(const layer *l);
vkd_convolution vkd_convolution_of(const layer *l);
// vkd_convolve(), and moments (batch,n,out_h,2) = those of the output's rows, or NULL.
bool vkd_convolve_measured(const layer *l, const float *input, float *workspace, float *output,
                           float *moments);

// ---- teacher.c ----

// Layers in a cfg, vkd sections left out.
int vkd_count_layers(const char *cfg_path);
// load_network for a look at `count` pictures at once: the batch is that many (0: the cfg's own sub-batch, at
// most `most`), subdivisions 1. net->seen stands for as many batches as the weights have seen of the cfg's.
network *vkd_load_for_pictures(char *cfg, char *weights, int count, int most);
// layers: how many to load; weights_path: NULL for a look at the shapes. The teacher takes the student's
// batch, and its size unless own_size.
network *vkd_teacher_load(const char *cfg_path, const char *weights_path, int layers, const network *student,
                          bool own_size);
// Of the network that is being loaded; 0: any will do.
int vkd_channels_wanted(void);
// Of a network that is not trained any more: the convolutions' batch norms go into weights and biases.
void vkd_fold_batch_norms(network *net);
// Floats that its forward pass needs of the network's workspace.
size_t vkd_teacher_workspace(const layer *l);
// Afterwards its layers hold what they saw: those that are kept, until the next one.
void vkd_teacher_forward(network *teacher, float *input);
// The layers from `first` on, before `end`, of such a pass; input is the first one's.
void vkd_teacher_run(network *teacher, int first, int end, float *input);
// Its forward pass on a batch of the student's (B,c,h,w), resized where the teacher has a size of its own.
// `input` lies on the host; where both are on a device and it is net->input, the student's pass has brought
// it there.
void vkd_teacher_look(const network *net, vkd_plugin *plugin, float *input);
// teacher_resize=1: the teacher keeps its own size, and sees the student's batch brought to it.
void vkd_teacher_input_make(vkd_plugin *plugin);
void vkd_teacher_input_free(vkd_plugin *plugin);
// All its outputs are kept again.
void vkd_teacher_resize(network *teacher, int w, int h);
void vkd_teacher_free(network *teacher);

// ---- teacher_device.c ----

// False in a build without GPU=1, and where only a teacher on a device has business below.
bool vkd_is_on_device(const network *net);
// Of a frozen teacher: its parameters there. One line for a layer that is not run there.
void vkd_teacher_to_device(network *teacher, const char *cfg_path);
// After its size has changed: what its convolutions need beside input and output.
void vkd_teacher_fit_workspace(network *teacher);
// input: on the device. Enqueues; nobody waits.
void vkd_teacher_forward_on_device(network *teacher, float *input);
// In a build with GPU=1. How kernels are launched: on Darknet's own stream.
extern const struct vkd_launch vkd_on_darknets_stream;
// The end of convolution net->index there, whose sums (batch,n,out_h,out_w) are halves, or where its output
// is going to be (NULL): bias, activation, and what a shortcut that is joined to it adds.
void vkd_teacher_end_on_device(const layer *l, const network *net, const vkd_half *sums);
// What the teacher looks at there, for vkd_teacher_look.
float *vkd_teacher_input_on_device(const network *net, const vkd_plugin *plugin, float *input);
// (floats) on the current device, a copy of x where that is not NULL; NULL without GPU=1.
float *vkd_device_copy_of(float *x, size_t floats);
void vkd_device_copy_free(float *x);

// ---- pinned.c ----

// Heads whose loss the host computes in training on a device: what comes to it and goes back is pinned, and
// vkd_look_ahead() is called meanwhile.
bool vkd_asks_the_host(const layer *l);
// Of a network on a device that is trained; once, until the next vkd_unpin().
void vkd_pin(const network *net);
// Before any of its arrays is freed.
void vkd_unpin(const network *net);

// ---- teacher_half.c ----

// teacher_half=1: what this network's program lacks for it, and what would have it. NULL: nothing.
const char *vkd_half_is_missing(const network *net);
// Its convolutions in half precision from here on, on the CPU as float32 that is rounded to halves; their
// input and output, and all other layers, stay float32. One line for weights that are too large for it.
// Afterwards vkd_teacher_keep() makes room for it. weights_path: NULL for a look at the shapes.
void vkd_teacher_to_half(network *teacher, const char *weights_path);
// The same of a whole network on the CPU that only looks from here on, with room for it.
void vkd_net_to_half(network *net, const char *weights_path);
// Whether a layer is such a convolution of the CPU, and the floats that it needs for it beside its own.
bool vkd_is_rounded(const layer *l);
size_t vkd_half_room(const layer *l);
// For vkd_teacher_fit_workspace. False: this layer is not in half precision.
bool vkd_half_fit_workspace(layer *l);

// ---- teacher_memory.c ----

// From here on only the outputs of the layers kept[0..count) last until the next forward pass; the others'
// memory is shared. kept = NULL: all of them last, as after load and resize.
void vkd_teacher_keep(network *teacher, const int *kept, int count);
// What it keeps in memory: weights, workspace and outputs.
size_t vkd_teacher_bytes(const network *teacher);
// Layers whose forward pass writes all of its output, from what other layers' outputs are at that time: it
// lies in the block that they share.
bool vkd_teacher_shares_output(const layer *l);
// For teacher_memory.c: whether layer i, a shortcut, can be the end of the convolution above it, if nothing
// else reads that one.
bool vkd_teacher_may_join(const network *teacher, int i);
// Whether it is: both have the same output then, and the convolution's pass writes it. i may be teacher->n.
bool vkd_teacher_is_joined(const network *teacher, int i);
// For teacher.c. Frees the buffers of a network as Darknet makes it that a frozen one does without, and what
// vkd_teacher_keep() then makes in their place.
void vkd_teacher_free_training(network *teacher);
// Frees what vkd_teacher_keep() made: Darknet must not see outputs that lie in one block.
void vkd_teacher_let_go(network *teacher);

// ---- sidecar.c ----

typedef struct vkd_block_list {
    vkd_block *blocks; // freed by the caller
    int count, capacity;
} vkd_block_list;

// Appends the block "OWNERINDEX.NAME"; nothing where data is NULL or bytes 0.
void vkd_blocks_add(vkd_block_list *list, const char *owner, int index, const char *name, void *data,
                    size_t bytes);

// Whether this network's weights files get sidecars: it has taps, or keeps its momentum.
bool vkd_has_sidecar(const vkd_plugin *plugin);
// Before FILENAME is written: its sidecar, complete, under a name of its own.
void vkd_sidecar_prepare(network *net, const char *filename);
// Afterwards: FILENAME.vkd is the prepared one.
void vkd_sidecar_save(const char *filename);
// Reads FILENAME.vkd if there is one, or the prepared one where that is of the weights' moment. False: there
// is none, or only one of a run without taps, which knows nothing of this network's. One that does not belong
// to the network ends the program; without taps it is told, and the momentum stays at zero.
bool vkd_sidecar_load(network *net, const char *filename);
// An earlier run's, where FILENAME is now a plain run's.
void vkd_sidecar_remove(const char *filename);

#endif
