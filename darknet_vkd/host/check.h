#ifndef VKD_HOST_CHECK_H
#define VKD_HOST_CHECK_H

#include "darknet.h"

// Multiply-adds of a forward pass on one image: convolutions, connected and local layers.
double vkd_forward_work(const network *net);

// darknet vkd check CFG [-teacher_cfg F]
// The taps as a table, and what they cost in memory and work. Needs no weights. Mistakes as in training.
void vkd_check(int argc, char **argv);

#endif
