#ifndef VKD_HOST_DETECTOR_TRAIN_H
#define VKD_HOST_DETECTOR_TRAIN_H

// darknet detector train DATA CFG [WEIGHTS] [-map] [-mAP_epochs N] [-clear] [-gpus LIST] [-verbose]
// [-dont_show]
// -seed, -teacher_cfg and -teacher_weights are already taken. Exits with 1 after one line on stderr.
void vkd_detector_train(int argc, char **argv);

#endif
