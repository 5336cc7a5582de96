#include "host/taps.h"

const layer *vkd_student_layer(const network *net, int tap) {
    return &net->layers[vkd_of(net)->taps[tap]->options.from];
}

const layer *vkd_teacher_layer(const network *net, int tap) {
    const vkd_plugin *plugin = vkd_of(net);
    return &plugin->teacher->layers[plugin->teacher_layer[tap]];
}

static void nothing(const network *net) {
    (void)net;
}

static void nothing_to_close(vkd_plugin *plugin) {
    (void)plugin;
}

static vkd_status forward(const network *net, int tap) {
    return vkd_tap_forward(vkd_of(net)->taps[tap], vkd_student_layer(net, tap)->output,
                           vkd_teacher_layer(net, tap)->output);
}

// Darknet's delta is minus the gradient: the sign is turned here, and nowhere else on the CPU.
static void backward(const network *net, int i, int at, double factor, bool last) {
    (void)last;
    vkd_tap *tap = vkd_of(net)->taps[i];
    float *delta = net->layers[at].delta;
    size_t size = (size_t)net->layers[at].outputs * (size_t)net->batch;
    double weight = vkd_tap_weigh(tap, delta, factor);
    if (weight == 0) return; // the plain run, bit for bit
    for (size_t j = 0; j < size; ++j)
        delta[j] -= (float)weight * tap->dx[j];
}

static void nothing_to_collect(const network *net, int tap) {
    (void)net;
    (void)tap;
}

static vkd_status update(const network *net, int tap, double rate) {
    return vkd_tap_update(vkd_of(net)->taps[tap], rate);
}

static vkd_status resize(const network *net, int tap, vkd_tap_shape shape) {
    return vkd_tap_resize(vkd_of(net)->taps[tap], shape);
}

static vkd_status calibrate(const network *net, int tap, int images) {
    return vkd_tap_calibrate(vkd_of(net)->taps[tap], vkd_teacher_layer(net, tap)->output, images);
}

static const vkd_taps on_cpu = {.open = nothing,
                                .close = nothing_to_close,
                                .forward = forward,
                                .backward = backward,
                                .collect = nothing_to_collect,
                                .update = update,
                                .resize = resize,
                                .calibrate = calibrate,
                                .pull = nothing,
                                .push = nothing};

const vkd_taps *vkd_taps_of(const network *net) {
#ifdef GPU
    if (net->gpu_index >= 0) return &vkd_taps_on_device;
#else
    (void)net;
#endif
    return &on_cpu;
}
