// Darknet's own keys, as its parser reads them: one row a key, one table a type of layer. A key that stands
// in no table is left to Darknet, which says that it is unused.
#ifndef VKD_HOST_DARKNET_KEYS_H
#define VKD_HOST_DARKNET_KEYS_H

#include "core/option_table.h"

#include "darknet.h"

enum { VKD_DARKNET_WIDEST = 1000000 }; // a map either way: Darknet adds paddings to it and doubles it in int
enum { VKD_DARKNET_KEYS = 64 };        // no section has more
enum { VKD_DARKNET_STEPS = 4 };        // the policy with lists

// What decides sizes has a field of its own; all else is only looked at.
typedef struct vkd_darknet_keys {
    int batch, subdivisions, time_steps, width, height, channels, inputs, policy;
    int filters, size, stride, pad, padding, groups, reverse, extra, crop_width, crop_height;
    int output, output_filters, hidden_filters;
    int classes, num, coords, side, ids, max, from;
    int integer, word;
    float number;
} vkd_darknet_keys;

typedef struct vkd_darknet_section {
    vkd_option_section values; // record: vkd_darknet_keys
    vkd_option_section lists;  // numbers with commas between them; a row is one number's
} vkd_darknet_section;

// The tables of a type; NETWORK is [net]. values.name is NULL for what is no layer.
const vkd_darknet_section *vkd_darknet_section_of(LAYER_TYPE type);
// What every layer takes beside its own.
extern const vkd_option_section vkd_darknet_common;

#endif
