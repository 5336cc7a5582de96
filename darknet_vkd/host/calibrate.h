// statistics=calibrated: the teacher's features over many training pictures, before the first step.
#ifndef VKD_HOST_CALIBRATE_H
#define VKD_HOST_CALIBRATE_H

#include "host/plugin.h"

// True where a tap that still has batches before it waits for its statistics.
bool vkd_needs_calibration(const network *net);

// -calibration with a cfg that has no use for it is a mistake: one line and exit status 1.
void vkd_refuse_unused_calibration(const vkd_plugin *plugin);

// Shows the teacher so many of the data file's training pictures, loaded and augmented as for training, as
// its taps ask for (images=). A function of -seed. A user's mistake is one line and exit status 1.
void vkd_calibrate(network *net, char *data_path);

// The statistics as a file, for later runs with the same teacher, taps and input size.
void vkd_calibration_write(network *net, const char *path);
void vkd_calibration_read(network *net, const char *path);

// Condition number and kept directions of every whitened tap, once, when its statistics are there.
void vkd_print_whitening(const vkd_plugin *plugin);

// darknet vkd calibrate DATA CFG -out FILE
void vkd_calibrate_command(int argc, char **argv);

#endif
