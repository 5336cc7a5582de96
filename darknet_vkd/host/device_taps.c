// The taps of a network on a device. CUDA and cuBLAS refusing a call ends the run, as it does in Darknet's
// own.
#include "host/taps.h"

#ifdef GPU
#include "gpu/device_tap.h"
#include "host/run.h"

#include <stdlib.h>

static vkd_device_tap *twin(const network *net, int tap) {
    return vkd_of(net)->twins[tap];
}

static vkd_status checked(const network *net, vkd_status status) {
    if (status == VKD_DEVICE) vkd_fail("GPU %d: %s", net->gpu_index, vkd_device_error(vkd_of(net)->device));
    return status;
}

// Of what has no other answer but success.
static void must(const network *net, vkd_status status) {
    if (checked(net, status)) vkd_fail("GPU %d: inner error %d of a vkd tap", net->gpu_index, (int)status);
}

static void open_taps(const network *net) {
    vkd_plugin *plugin = vkd_of(net);
    plugin->twins = calloc((size_t)plugin->tap_count, sizeof *plugin->twins);
    if (!plugin->twins) vkd_fail("no memory for the vkd taps");
    // On Darknet's own stream its kernels and these need no synchronisation.
    vkd_status status = vkd_device_open(&plugin->device, net->gpu_index, NULL);
    for (int i = 0; i < plugin->tap_count && !status; ++i)
        status = vkd_device_tap_create(&plugin->twins[i], plugin->device, plugin->taps[i]);
    if (status == VKD_OUT_OF_MEMORY) vkd_fail("GPU %d: no memory for the vkd taps", net->gpu_index);
    must(net, status);
}

static void close_taps(vkd_plugin *plugin) {
    for (int i = 0; plugin->twins && i < plugin->tap_count; ++i)
        vkd_device_tap_free(plugin->twins[i]);
    free(plugin->twins);
    plugin->twins = NULL;
    if (plugin->device) vkd_device_close(plugin->device);
    plugin->device = NULL;
}

static vkd_status forward(const network *net, int tap) {
    return checked(net, vkd_device_tap_forward(twin(net, tap), vkd_student_layer(net, tap)->output_gpu,
                                               vkd_teacher_layer(net, tap)->output_gpu));
}

// Darknet's delta is minus the gradient: hence the sign.
static void backward(const network *net, int tap, int at, double factor, bool last) {
    must(net, vkd_device_tap_backward(twin(net, tap), net->layers[at].delta_gpu, -1, factor));
    if (last) must(net, vkd_device_tap_fetch(twin(net, tap)));
}

static void collect(const network *net, int tap) {
    must(net, vkd_device_tap_collect(twin(net, tap)));
}

static vkd_status update(const network *net, int tap, double rate) {
    return checked(net, vkd_device_tap_update(twin(net, tap), rate));
}

static vkd_status resize(const network *net, int tap, vkd_tap_shape shape) {
    return checked(net, vkd_device_tap_resize(twin(net, tap), shape));
}

static vkd_status calibrate(const network *net, int tap, int images) {
    return checked(net,
                   vkd_device_tap_calibrate(twin(net, tap), vkd_teacher_layer(net, tap)->output_gpu, images));
}

static void pull(const network *net) {
    for (int i = 0; i < vkd_of(net)->tap_count; ++i)
        must(net, vkd_device_tap_pull(twin(net, i)));
}

static void push(const network *net) {
    for (int i = 0; i < vkd_of(net)->tap_count; ++i)
        must(net, vkd_device_tap_push(twin(net, i)));
}

const vkd_taps vkd_taps_on_device = {.open = open_taps,
                                     .close = close_taps,
                                     .forward = forward,
                                     .backward = backward,
                                     .collect = collect,
                                     .update = update,
                                     .resize = resize,
                                     .calibrate = calibrate,
                                     .pull = pull,
                                     .push = push};
#else
typedef int vkd_without_a_device; // C wants a file to declare something
#endif
