// Times a distillation step on a GPU, for scripts/bench_step.py --gpu.
//
//   bench_device_step kernels
//   bench_device_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE
//
// As bench_step, which it answers like: after a line of input N come lines of a part's name, milliseconds and
// GFLOP, then memory and `end`. Every figure is of N steps in a row, over N, the last one waited for.
// `forward`, `backward` and `update` are the student's and `teacher` the teacher's pass, each waited for and
// with nothing beside it; `alone` is the student's step, `with_teacher` one in which the teacher looks,
// `step` all of it, and `taps` what that takes longer. Memory is what the program takes on the device, if
// nobody else is there when it starts.
#define _POSIX_C_SOURCE 200809L
#ifdef GPU
#include "step_networks.h"

#include "host/hooks.h"
#include "host/taps.h"
#include "numerics/blas_kernels.h"

#include "cuda.h"

typedef enum { ALONE, LOOKS, DISTILS, MODES } mode;
enum { FORWARD, BACKWARD, UPDATE, PARTS };

static void wait_for_device(void) {
    check_error(cudaDeviceSynchronize());
}

static double device_mib(void) {
    size_t left = 0, all = 0;
    check_error(cudaMemGetInfo(&left, &all));
    return (double)(all - left) / 1048576;
}

// parts: NULL, or the seconds of each are added to it.
static void one_step(network *net, mode how, double *parts) {
    place_objects(net);
    *net->seen += (size_t)net->batch;
    net->train = 1;
    double start = what_time_is_it_now();
    vkd_step_begin(net);
    vkd_plugin *plugin = vkd_of(net);
    network *teacher = plugin->teacher;
    if (how == ALONE) plugin->teacher = NULL;
    forward_network(net); // at whose last head the teacher looks
    plugin->teacher = teacher;
    if (parts) wait_for_device();
    double forward = what_time_is_it_now();
    if (how == DISTILS) vkd_forward(net);
    backward_network(net);
    if (parts) wait_for_device();
    double backward = what_time_is_it_now();
    update_network(net);
    if (!parts) return;
    wait_for_device();
    parts[FORWARD] += forward - start;
    parts[BACKWARD] += backward - forward;
    parts[UPDATE] += what_time_is_it_now() - backward;
}

static double time_teacher(network *net, int steps) {
    wait_for_device();
    double start = what_time_is_it_now();
    for (int s = 0; s < steps; ++s)
        vkd_teacher_look(net, vkd_of(net), net->input);
    wait_for_device();
    return (what_time_is_it_now() - start) / steps;
}

// Seconds of a step.
static double time_steps(network *net, mode how, int steps, double *parts) {
    wait_for_device();
    double start = what_time_is_it_now();
    for (int s = 0; s < steps; ++s)
        one_step(net, how, parts);
    // P moves beside the next step; here there is none.
    if (how == DISTILS) vkd_taps_of(net)->pull(net);
    wait_for_device();
    return (what_time_is_it_now() - start) / steps;
}

static void tell(const char *part, double seconds, double work) {
    printf("%s %.4f %.4f\n", part, 1000 * seconds, work);
}

int main(int argc, char **argv) {
    vkd_blas_choose_kernels();
    if (argc == 2 && !strcmp(argv[1], "kernels")) return puts(vkd_blas_kernels()) < 0;
    if (argc != 6) vkd_fail("usage: bench_device_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE");
    gpu_index = 0;
    cuda_set_device(gpu_index);
    const double before = device_mib();
    network *net = load_pair(argv[1], argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    const double teacher = gflop(vkd_of(net)->teacher), forward = gflop(net), backward = backward_gflop(net);
    for (int s = 0; s < 3; ++s) // allocates what is allocated once
        one_step(net, DISTILS, NULL);
    wait_for_device();
    const double memory = device_mib() - before;
    struct cudaDeviceProp device;
    check_error(cudaGetDeviceProperties(&device, gpu_index));
    for (char *at = device.name; *at; ++at)
        if (*at == ' ') *at = '_';
    printf("machine 0 %s\n", device.name);
    print_least(net, vkd_of(net)->teacher);
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        int steps = atoi(line);
        if (steps < 1) vkd_fail("expected a number of steps; found %s", line);
        double parts[PARTS] = {0}, step[MODES];
        time_steps(net, ALONE, steps, parts);
        for (mode how = ALONE; how < MODES; ++how)
            step[how] = time_steps(net, how, steps, NULL);
        tell("forward", parts[FORWARD] / steps, forward);
        tell("backward", parts[BACKWARD] / steps, backward);
        tell("update", parts[UPDATE] / steps, 0);
        tell("teacher", time_teacher(net, steps), teacher);
        tell("alone", step[ALONE], forward + backward);
        tell("with_teacher", step[LOOKS], teacher + forward + backward);
        tell("taps", step[DISTILS] - step[LOOKS], 0);
        tell("step", step[DISTILS], teacher + forward + backward);
        printf("memory %.1f\nend\n", memory);
        fflush(stdout);
    }
    free_network(net);
    return 0;
}
#else
#include <stdio.h>

int main(void) {
    fprintf(stderr, "bench_device_step: a program that is made without GPU=1\n");
    return 1;
}
#endif
