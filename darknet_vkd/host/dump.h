#ifndef VKD_HOST_DUMP_H
#define VKD_HOST_DUMP_H

// darknet vkd dump DATA CFG [WEIGHTS] -out DIR [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]
// One training forward and backward on the first N pictures, without augmentation and without an update, as
// NumPy files in DIR. A mistake is one line on stderr and exit status 1, with nothing written.
void vkd_dump(int argc, char **argv);

#endif
