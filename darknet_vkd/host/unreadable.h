// Training pictures that cannot be read: told by name, counted, and replaced by others.
#ifndef VKD_HOST_UNREADABLE_H
#define VKD_HOST_UNREADABLE_H

#include "host/pictures.h"

// Before training. Pictures that are not there are counted and the first few named, not to be named again;
// where they are more than one in ten, or no picture has a label file, that is one more line and exit
// status 1. Pictures without a label file, which have no objects, are counted.
void vkd_check_pictures(const vkd_picture_list *list);

// Entries of the list that were named as missing, or that the loader could not read so far.
int vkd_unreadable_count(void);

#endif
