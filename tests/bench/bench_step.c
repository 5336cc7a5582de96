// Times a distillation step by its parts, so that scripts/bench_step.py can let ours and another's take
// turns.
//
//   bench_step kernels      says what OpenBLAS runs on
//   bench_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE [DATA]
//
// BATCH pictures of SIDE x SIDE (0: the cfg's own) at random. TEACHER_WEIGHTS is written first, at random,
// where it is missing: with untrained variances a teacher's features are not finite. Two lines tell the
// machine and the least memory (see print_least). Then every line of input asks for one of these, and is
// answered with lines that end with `end`:
//
//   N          so many steps: a line a part: its name, the milliseconds of the fastest step's part, its
//              GFLOP. With DATA, a file as `detector train` takes it, one of them is a batch from its loader.
//   profile N  the means over so many steps: the parts, and a line a layer and pass: network, pass, number,
//              what it is, milliseconds, GFLOP.
#define _POSIX_C_SOURCE 200809L
#include "step_networks.h"

#include "host/hooks.h"
#include "host/training_data.h"
#include "numerics/blas_kernels.h"

#include "data.h"

#include <cblas.h>

enum { TEACHER, FORWARD, TAPS, BACKWARD, UPDATE, UPDATE_OF_P, WHOLE, DATA, PARTS };
static const char *const names[] = {"teacher", "forward",     "taps", "backward",
                                    "update",  "update_of_P", "step", "data"};

// ---- what is counted
// ----------------------------------------------------------------------------------------------

static double taps_gflop(const vkd_plugin *plugin) {
    double sum = 0;
    for (int i = 0; i < plugin->tap_count; ++i) {
        const vkd_tap *t = plugin->taps[i];
        sum += 4.0 * t->shape.n * t->shape.k * t->locations * t->shape.batch;
    }
    return sum / 1e9;
}

// The machine's own: C = A B with N = 2048, the best of several, in GFLOP/s.
static double sgemm_peak(void) {
    enum { N = 2048 };
    float *a = calloc(3 * (size_t)N * N, sizeof *a), *b = a + (size_t)N * N, *c = b + (size_t)N * N;
    if (!a) vkd_fail("no memory");
    for (size_t i = 0; i < 2 * (size_t)N * N; ++i)
        a[i] = (float)(i % 7);
    double best = 0;
    for (int i = 0; i < 5; ++i) {
        double start = what_time_is_it_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b, N, 0, c, N);
        double rate = 2e-9 * N * N * N / (what_time_is_it_now() - start);
        if (rate > best) best = rate;
    }
    free(a);
    return best;
}

// In MiB. getrusage() would tell no less than the program had that started this one.
static double peak_memory(void) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    double kib = NAN;
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmHWM:", 6)) kib = strtod(line + 6, NULL);
    if (status) fclose(status);
    return kib / 1024;
}

// ---- layers
// -------------------------------------------------------------------------------------------------------

enum { MOST_LAYERS = 1000 };
typedef void (*layer_pass)(layer, network);

// Of the student's layers, which call these in the places of their own.
static layer_pass own_forward[MOST_LAYERS], own_backward[MOST_LAYERS];
static double forward_seconds[MOST_LAYERS], backward_seconds[MOST_LAYERS], teacher_seconds[MOST_LAYERS];
static double taps_seconds[3]; // forward, backward, update

static void timed(layer_pass pass, double *seconds, layer l, network net) {
    double start = what_time_is_it_now();
    pass(l, net);
    *seconds += what_time_is_it_now() - start;
}

static void timed_forward(layer l, network net) {
    timed(own_forward[net.index], &forward_seconds[net.index], l, net);
}

static void timed_backward(layer l, network net) {
    timed(own_backward[net.index], &backward_seconds[net.index], l, net);
}

static void time_layers(network *net, bool on) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (on) own_forward[i] = l->forward, own_backward[i] = l->backward;
        l->forward = on ? timed_forward : own_forward[i];
        l->backward = on ? timed_backward : own_backward[i];
    }
}

static void time_teacher(network *teacher, float *input) {
    for (int i = 0; i < teacher->n; ++i) {
        double start = what_time_is_it_now();
        vkd_teacher_run(teacher, i, i + 1, input);
        teacher_seconds[i] += what_time_is_it_now() - start;
        input = teacher->layers[i].output;
    }
}

static void print_layers(const char *whose, const char *pass, const network *net, const double *seconds,
                         int steps, double works) {
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        char size[32] = "";
        if (l->type == CONVOLUTIONAL || l->type == MAXPOOL)
            snprintf(size, sizeof size, "_%dx%d/%d", l->size, l->size, l->stride);
        double work = i || works < 2 ? works : 1; // the first layer's input needs no gradient
        printf("layer %s %s %d %s%s %dx%dx%d %dx%dx%d %.4f %.5f\n", whose, pass, i, get_layer_string(l->type),
               size, l->w, l->h, l->c, l->out_w, l->out_h, l->out_c, 1000 * seconds[i] / steps,
               work * layer_gflop(l));
    }
}

// ---- steps
// --------------------------------------------------------------------------------------------------------

static void one_step(network *net, double *spent) {
    vkd_plugin *plugin = vkd_of(net);
    place_objects(net);
    double teacher = plugin->teacher_seconds, taps = plugin->tap_seconds, start = what_time_is_it_now();
    *net->seen += (size_t)net->batch;
    net->train = 1;
    vkd_step_begin(net);
    forward_network(net);
    double forward = what_time_is_it_now();
    vkd_forward(net);
    double middle = what_time_is_it_now(), taps_forward = plugin->tap_seconds;
    backward_network(net);
    double backward = what_time_is_it_now(), taps_backward = plugin->tap_seconds;
    update_network(net);
    double end = what_time_is_it_now();
    spent[TEACHER] = plugin->teacher_seconds - teacher;
    spent[TAPS] = taps_backward - taps;
    spent[FORWARD] = forward - start;
    spent[BACKWARD] = backward - middle - (taps_backward - taps_forward);
    spent[UPDATE_OF_P] = plugin->tap_seconds - taps_backward;
    spent[UPDATE] = end - backward - spent[UPDATE_OF_P];
    spent[WHOLE] = end - start;
    taps_seconds[0] += taps_forward - taps;
    taps_seconds[1] += taps_backward - taps_forward;
    taps_seconds[2] += plugin->tap_seconds - taps_backward;
}

// A batch from the loader's threads, with nothing beside them.
static double load_batch(network *net, const vkd_training_data *pictures) {
    data loaded;
    load_args args = vkd_detection_args(net, pictures);
    args.d = &loaded;
    double start = what_time_is_it_now();
    pthread_join(load_data(args), NULL);
    double seconds = what_time_is_it_now() - start;
    free_data(loaded);
    return seconds;
}

static void answer_steps(network *net, const vkd_training_data *pictures, int steps, double *best) {
    double spent[PARTS] = {0};
    for (int s = 0; s < steps; ++s) {
        one_step(net, spent);
        if (pictures) spent[DATA] = load_batch(net, pictures);
        if (s && best[DATA] < spent[DATA]) spent[DATA] = best[DATA];
        if (!s || spent[WHOLE] < best[WHOLE]) memcpy(best, spent, sizeof spent);
        best[DATA] = spent[DATA];
    }
}

static void answer_profile(network *net, int steps, double *mean) {
    double spent[PARTS] = {0};
    memset(mean, 0, sizeof spent);
    for (int i = 0; i < MOST_LAYERS; ++i)
        forward_seconds[i] = backward_seconds[i] = teacher_seconds[i] = 0;
    taps_seconds[0] = taps_seconds[1] = taps_seconds[2] = 0;
    time_layers(net, true);
    network *teacher = vkd_of(net)->teacher;
    for (int s = 0; s < steps; ++s) {
        one_step(net, spent);
        for (int p = 0; p < PARTS; ++p)
            mean[p] += spent[p] / steps;
        time_teacher(teacher, net->input);
    }
    time_layers(net, false);
    print_layers("teacher", "forward", teacher, teacher_seconds, steps, 1);
    print_layers("student", "forward", net, forward_seconds, steps, 1);
    print_layers("student", "backward", net, backward_seconds, steps, 2);
    static const char *const pass[] = {"forward", "backward", "update"};
    for (int p = 0; p < 3; ++p)
        printf("layer taps %s - all - - %.4f %.5f\n", pass[p], 1000 * taps_seconds[p] / steps,
               p ? 0 : taps_gflop(vkd_of(net)));
}

int main(int argc, char **argv) {
    vkd_blas_choose_kernels();
    if (argc == 2 && !strcmp(argv[1], "kernels")) return puts(vkd_blas_kernels()) < 0;
    if (argc != 6 && argc != 7)
        vkd_fail("usage: bench_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE [DATA]");
    gpu_index = -1;
    vkd_training_data pictures = {0};
    if (argc == 7) pictures = vkd_training_data_read(argv[6]);
    network *net = load_pair(argv[1], argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    const double work[WHOLE] = {gflop(vkd_of(net)->teacher), gflop(net), taps_gflop(vkd_of(net)),
                                backward_gflop(net)};
    if (net->n > MOST_LAYERS || vkd_of(net)->teacher->n > MOST_LAYERS) vkd_fail("more layers than expected");
    printf("machine %.1f %s\n", sgemm_peak(), vkd_blas_kernels());
    print_least(net, vkd_of(net)->teacher);
    fflush(stdout);
    char line[64];
    double spent[PARTS];
    one_step(net, spent); // touches its memory
    while (fgets(line, sizeof line, stdin)) {
        bool profile = !strncmp(line, "profile ", 8);
        if (profile)
            answer_profile(net, atoi(line + 8), spent);
        else
            answer_steps(net, argc == 7 ? &pictures : NULL, atoi(line), spent);
        double total = 0;
        for (int p = 0; p < WHOLE; ++p) {
            total += work[p];
            printf("%s %.3f %.4f\n", names[p], 1000 * spent[p], work[p]);
        }
        printf("%s %.3f %.4f\n", names[WHOLE], 1000 * spent[WHOLE], total);
        if (argc == 7 && !profile) printf("%s %.3f 0\n", names[DATA], 1000 * spent[DATA]);
        printf("memory %.1f\nend\n", peak_memory());
        fflush(stdout);
    }
    free_network(net);
    return 0;
}
