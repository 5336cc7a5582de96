// What a person sees of a training run, and the CSV it leaves.
#ifndef VKD_HOST_TRAINING_LOG_H
#define VKD_HOST_TRAINING_LOG_H

#include "host/plugin.h"

#include <stdio.h>

typedef struct vkd_training_log {
    FILE *csv;
    bool terminal, failed;
    double start, last_line; // seconds
    double measuring;        // seconds of this process that went into AP
    size_t first_batch;      // of this process
    double average;          // of the detection loss; < 0: none yet
    double last_ap, best_ap; // of the run, earlier processes included; < 0: none yet
} vkd_training_log;

// Opens DIRECTORY/BASE_log.csv. A run that starts at batch 0 begins the file; a resumed one keeps the rows up
// to its checkpoint, takes the APs from them, and goes on behind them.
void vkd_log_open(vkd_training_log *log, const char *directory, const char *base, const network *net);

// After a batch: one row, and the progress line (rewritten on a terminal and cut to its width; a plain line
// every few seconds otherwise). `loss` is Darknet's: per image, the detection loss alone. ap < 0: not
// measured.
void vkd_log_batch(vkd_training_log *log, network *net, double loss, double ap);

// Rows so far are in the file; where they cannot be, one line says so, once a run.
void vkd_log_flush(vkd_training_log *log);

// Ends the progress line, so that other output may follow.
void vkd_log_break(vkd_training_log *log);
void vkd_log_close(vkd_training_log *log);

#endif
