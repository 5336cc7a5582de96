#ifndef VKD_HOST_ADVISE_H
#define VKD_HOST_ADVISE_H

// darknet vkd advise DATA CFG [WEIGHTS] [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]
// How alike student's and teacher's layers are, as a table, and the sections for the most promising taps. A
// user's mistake is one line and exit status 1.
void vkd_advise(int argc, char **argv);

#endif
