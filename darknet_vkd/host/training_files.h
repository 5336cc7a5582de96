// The checkpoints of a training run: their names, their rhythm, and what is looked at before one is replaced.
#ifndef VKD_HOST_TRAINING_FILES_H
#define VKD_HOST_TRAINING_FILES_H

#include "host/training_log.h"

#include "darknet.h"

typedef struct vkd_training_files {
    const char *folder; // backup= of the data file
    char *base;         // of the cfg's name
    network *net;
    vkd_training_log *log;
} vkd_training_files;

// Makes the folder where it is not there.
void vkd_training_folder(const char *path);

// FOLDER/BASE + suffix, with its sidecar; the log's rows so far are in their file first. Weights that are not
// finite replace nothing: one line and exit status 1.
void vkd_training_save(vkd_training_files *files, const char *suffix);

// After a batch: BASE.backup and BASE_last.weights every 100, BASE_N.weights in Darknet's own rhythm, and
// BASE_best.weights where the batch's AP is the best so far.
void vkd_training_save_when_due(vkd_training_files *files, size_t batch, bool best);

// Where WEIGHTS, which have seen all batches, are this run's own backup and its last file is not there:
// writes it, since a kill came in between. False: there was nothing to do.
bool vkd_training_finish(vkd_training_files *files, const char *weights);

#endif
