// Everything the patched Darknet calls. Nothing else of the plugin is known to it.
#ifndef VKD_HOST_HOOKS_H
#define VKD_HOST_HOOKS_H

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct network;
struct layer;
struct list;

// ---- the life of a network
// ---------------------------------------------------------------------------------

// Takes the vkd sections out of a cfg that was just read, so that the plain student remains; cuts a teacher's
// behind its last tap.
void vkd_divert_sections(struct list *sections);
// Before a section (Darknet's struct of parser.c) of `file` is parsed as layer `index`, or as [net], which is
// -1: ends the program with one line where Darknet would read or allocate what it cannot. *bytes += what the
// network needs at least; start with 0.
void vkd_check_section(const struct network *net, int index, const char *file, const void *section,
                       double *bytes);
// Of a text file's first line: takes the byte order mark away that some editors write.
void vkd_skip_mark(char *line);
// Right after [net] is parsed: a teacher takes the student's batch and size.
void vkd_net_parsed(struct network *net);
// Around load_network: the initial weights follow -seed; the taps are remembered until training starts.
void vkd_network_begin(void);
void vkd_network_loaded(struct network *net, const char *cfg, const char *weights, int clear);
// Before a network's arrays are made anew for another size, and after it.
void vkd_resizing(struct network *net);
void vkd_resized(struct network *net);
void vkd_free(struct network *net);
// Before a weights file is written, and after it is in its place: the sidecar beside it. Weights that are not
// finite are not written.
void vkd_saving(struct network *net, const char *filename, int cutoff);
void vkd_saved(struct network *net, const char *filename, int cutoff);
// True while a teacher's weights are read: its file is longer than its cut network, and may not be shorter.
int vkd_loads_teacher(void);

// ---- a training step
// ---------------------------------------------------------------------------------------

// Before a batch is taken in: numbers of each picture and of its truth. Others than the network's end the
// program.
void vkd_take_data(const struct network *net, int inputs, int truths);
// Before the student's forward pass; the first call loads the teacher and makes the taps.
void vkd_step_begin(struct network *net);
// Of a head's forward pass in training on a device, before its loss is computed on the host: where it is the
// last one, the device is given the teacher's forward pass to do meanwhile.
void vkd_look_ahead(const struct network *net);
// Between the student's forward and backward pass: the teacher's forward pass, unless it was made ahead, and
// the taps'. A loss that is not finite ends the program here.
void vkd_forward(struct network *net);
// Right before layer i's backward: adds the taps' gradient to its delta.
void vkd_backward(struct network *net, int i);
void vkd_update(struct network *net);
// After the weights of `count` networks, trained side by side on as many devices, have become one: so do
// their taps.
void vkd_synced(struct network **nets, int count);

// ---- convolutions on the CPU
// ---------------------------------------------------------------------------------------

// Bytes of workspace for what the next two do for this layer; 0: they leave it to Darknet.
size_t vkd_convolution_bytes(const struct layer *l);
// output = weights * input, without bias, the whole batch. False: nothing was done.
int vkd_convolve(const struct layer *l, const float *input, float *workspace, float *output);
// weight_updates and *input_delta += the gradients for l->delta. False: not done, or *input_delta alone,
// which is NULL then.
int vkd_convolve_backward(const struct layer *l, const float *input, float *workspace, float **input_delta);

// ---- batch norm that is left to the max pooling behind it, in training on the CPU
// ---------------------------------

// Whether layer i's batch norm and activation are: a 2x2 pooling alone reads its output. Nothing is in its
// output then, and its delta is written whole.
int vkd_is_pooled(const struct network *net, int i);
// The convolution's pass, its batch's statistics included; the pooling's; the pass back through both to the
// convolution's sums. False: nothing was done.
int vkd_convolve_for_pooling(const struct layer *l, const struct network *net);
int vkd_norm_and_pool(const struct layer *pool, const struct network *net);
int vkd_norm_and_pool_backward(const struct layer *l, const struct network *net);

// ---- random numbers
// --------------------------------------------------------------------------

// rand() without -seed. With it, the calling thread's own sequence, which the functions below start.
int vkd_rand(void);
// Another number for each start of the calling thread's sequence: what was drawn ahead before is not of it.
size_t vkd_sequence(void);
// `batch` itself, or the next batch to load where it is 0 (batches count from 1).
size_t vkd_next_load(size_t batch);
void vkd_loader_begin(size_t batch, int place);
void vkd_seed_choice(int i);
void vkd_seed_augmentation(int i);
// The i-th picture of this thread's, at `path`, cannot be read, `why` says why: tells it once, and returns
// the number of another of m pictures. Ends the program where more than one in ten cannot be read.
int vkd_another_picture(int i, int m, const char *path, const char *why);
// The i-th picture of this thread's lies at x, y, so many pixels wide and high, in a frame of frame_w x
// frame_h that may be flipped afterwards.
void vkd_loader_placed(int i, int x, int y, int w, int h, int frame_w, int frame_h, int flip);

// ---- files and errors
// ---------------------------------------------------------------------------------------

// The boxes of a label file, (*n) of Darknet's box_label, to be freed; none where there is no such file. Any
// other trouble is one line and exit status 1.
void *vkd_read_boxes(const char *path, int classes, int *n);
// Why the picture in a file is not whole, where its reader would complete it in silence: a JPEG without its
// end. NULL: it is, or its reader will tell.
const char *vkd_cut_picture(const char *path);
// One line on stderr, after what is on stdout, and exit status 1, from any thread. Of several threads that
// come here the first is heard.
__attribute__((noreturn, format(printf, 1, 0))) void vkd_vfail(const char *format, va_list args);

// ---- commands
// ----------------------------------------------------------------------------------------------

// Before anything else. No word at all is one line and exit status 1. Where GNU OpenMP's threads would spin
// for milliseconds whenever they wait, the program starts again with GOMP_SPINCOUNT set, unless the user has
// chosen; libgomp reads it when it is loaded.
void vkd_start(char **argv);
// True for `vkd ...`, which computes on the CPU in every build.
int vkd_is_of_the_cpu(int argc, char **argv);
// The first number behind -gpus, which stays in argv; 0 where there is none.
int vkd_first_gpu(int argc, char **argv);
// Runs `vkd ...`, `detector train` and `detector map`, and takes the plugin's flags out of argv for the other
// commands. True: the command was ours and is done.
int vkd_command(int argc, char **argv);
// Whether layers may print their statistics at every step.
int vkd_verbose(void);

#ifdef __cplusplus
}
#endif
#endif
