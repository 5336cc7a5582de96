// -map: average precision on valid= of the data file while a network is in training.
#ifndef VKD_HOST_TRAINING_MAP_H
#define VKD_HOST_TRAINING_MAP_H

#include "host/pictures.h"

#include "darknet.h"

#include <stdbool.h>

typedef struct vkd_training_map {
    vkd_picture_list pictures;
    int w, h;       // of the cfg: the size that is measured at
    size_t batches; // between two measurements
} vkd_training_map;

// images: of one epoch. What can be wrong with the pictures or their labels is said here, before training:
// one line and exit status 1.
void vkd_training_map_open(vkd_training_map *map, const network *net, const char *data, int images,
                           int epochs);

// Whether the batch that was just trained ends an epoch that is measured, or the run.
bool vkd_training_map_is_due(const vkd_training_map *map, const network *net, size_t batch);

// COCO's AP, or -1 where there is no object. Nothing that training depends on changes but the network's size,
// which is then the cfg's.
double vkd_training_map_measure(const vkd_training_map *map, network *net);

#endif
