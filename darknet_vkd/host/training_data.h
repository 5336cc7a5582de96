// What a data file names, and how Darknet's loader is asked for training batches of it.
#ifndef VKD_HOST_TRAINING_DATA_H
#define VKD_HOST_TRAINING_DATA_H

#include "host/pictures.h"

#include "darknet.h"

typedef struct vkd_training_data {
    const char *backup; // the folder of checkpoints
    vkd_picture_list pictures;
} vkd_training_data;

// A user's mistake is one line and exit status 1.
vkd_training_data vkd_training_data_read(char *path);

// Batches of batch * subdivisions pictures for a network that ends in [yolo] or [region].
load_args vkd_detection_args(network *net, const vkd_training_data *data);

// True where the network learns from boxes: it ends in [yolo] or [region].
int vkd_is_detector(const network *net);

#endif
