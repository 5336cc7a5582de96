// Darknet's own struct of parser.c, whose definition is private to it: a section of a cfg as read_cfg() left
// it.
#ifndef VKD_HOST_CFG_SECTION_H
#define VKD_HOST_CFG_SECTION_H

#include "list.h"

typedef struct cfg_section {
    char *type;    // "[convolutional]"
    list *options; // of kvp
    int line;
} cfg_section;

#endif
