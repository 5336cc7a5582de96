// The taps of a network where they are trained: on the CPU they are core/tap.h, on a device gpu/device_tap.h,
// whose master on the host plugin->taps stays. One table of functions for either; `tap` is an index into
// plugin->taps.
#ifndef VKD_HOST_TAPS_H
#define VKD_HOST_TAPS_H

#include "host/plugin.h"

typedef struct vkd_taps {
    // After plugin->taps are made; before they are freed.
    void (*open)(const network *net);
    void (*close)(vkd_plugin *plugin);
    // One sub-batch: loss and gradient, of the features as the student's and the teacher's last passes left
    // them.
    vkd_status (*forward)(const network *net, int tap);
    // The tap's weighted gradient comes to the delta of `layer`: minus it, as Darknet counts. `factor`: the
    // schedule's. `last`: of the batch, so that its sums may be brought to the host meanwhile.
    void (*backward)(const network *net, int tap, int layer, double factor, bool last);
    // Once a batch, before the update: what plugin->taps tell of the batch (loss, weight, idle, refused) is
    // there.
    void (*collect)(const network *net, int tap);
    vkd_status (*update)(const network *net, int tap, double rate);
    vkd_status (*resize)(const network *net, int tap, vkd_tap_shape shape);
    // statistics=calibrated: the teacher's features of the first `images` pictures.
    vkd_status (*calibrate)(const network *net, int tap, int images);
    // plugin->taps as the device has them, before they are written; and the other way, after they were read
    // or set.
    void (*pull)(const network *net);
    void (*push)(const network *net);
} vkd_taps;

// Of this network: the CPU's, or the device's where it is on one.
const vkd_taps *vkd_taps_of(const network *net);
#ifdef GPU
extern const vkd_taps vkd_taps_on_device;
#endif

const layer *vkd_student_layer(const network *net, int tap);
const layer *vkd_teacher_layer(const network *net, int tap);

#endif
