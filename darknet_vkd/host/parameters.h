// What a weights file keeps of a network's layers, and whether it can be what training left.
#ifndef VKD_HOST_PARAMETERS_H
#define VKD_HOST_PARAMETERS_H

#include "darknet.h"

#include <stdbool.h>

typedef struct vkd_parameters {
    const char *name; // "weights", "biases", "scales", "means" or "variances"
    const float *at;  // (count)
    size_t count;
} vkd_parameters;

enum { VKD_PARAMETERS = 5 };

// Of one layer, those it has; returns how many. None for layers of recurrent networks.
int vkd_layer_parameters(const layer *l, vkd_parameters parts[VKD_PARAMETERS]);

// The first parameter that no training leaves: one that is not finite, or a variance below 0, as another
// cfg's weights have it. False: there is none. text: what was found, "layer 3 (convolutional): found ...".
bool vkd_find_bad_parameter(const network *net, char *text, size_t size);

// Parameters and momentum of a network that is trained on a device, where the host's copies lag behind: pull
// brings them to the host, push sends them. Nothing for a network on the CPU.
void vkd_parameters_pull(const network *net);
void vkd_parameters_push(const network *net);

#endif
