// One section of a cfg of Darknet's while it is checked. Private to darknet_cfg.c and darknet_layers.c.
#ifndef VKD_HOST_DARKNET_CHECK_H
#define VKD_HOST_DARKNET_CHECK_H

#include "host/cfg_section.h"
#include "host/darknet_keys.h"

#include "network.h"
#include "option_list.h"

#include <stdbool.h>

typedef struct vkd_checker {
    const char *file;
    const cfg_section *section;
    const vkd_darknet_section *tables;
    const char *name; // of the section as it is written: "conv"
    vkd_darknet_keys keys;
    const network *net;
    int index;              // of the layer; -1: [net]
    double w, h, c, inputs; // what comes from the layer before
    double *bytes;          // += what the layers need at least
} vkd_checker;

// The option that Darknet takes for this key: the first. NULL: not set.
const kvp *vkd_find(const vkd_checker *c, const char *key);
bool vkd_is_set(const vkd_checker *c, const char *key);

// One line with the key's place, and the end. key NULL: it is the section as a whole.
__attribute__((noreturn, format(printf, 3, 4))) void vkd_refuse(const vkd_checker *c, const char *key,
                                                                const char *format, ...);

// The next number of a list into the field of its row. Start with *at at the value; NULL is the end.
void vkd_next_number(vkd_checker *c, int row, const kvp *option, const char **at);
// How many there are; 0: not set.
int vkd_numbers_of(const vkd_checker *c, const char *key);

// Its keys are read and fit.
void vkd_check_layer(vkd_checker *c, LAYER_TYPE type);

#endif
