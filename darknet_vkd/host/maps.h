#ifndef VKD_HOST_MAPS_H
#define VKD_HOST_MAPS_H

// darknet vkd maps CFG WEIGHTS IMAGE -out DIR [-teacher_cfg F] [-teacher_weights F] [-seed N]
// Runs student and teacher on one picture, and writes for each tap DIR/tap<i>.png: where both are active and
// where they differ, before and after the projection. A user's mistake is one line and exit status 1.
void vkd_maps(int argc, char **argv);

#endif
