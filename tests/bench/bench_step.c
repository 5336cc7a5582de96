// Times a distillation step by its parts, so that scripts/bench_step.py can let ours and another's take
// turns.
//
//   bench_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE
//
// BATCH pictures of SIDE x SIDE (0: the cfg's own) at random. TEACHER_WEIGHTS is written first, at random,
// where it is missing: with untrained variances a teacher's features are not finite. Then every line of input
// runs so many steps, and is answered with a line a part: its name, the milliseconds of the fastest step's
// part, its GFLOP. The last line is `end`.
#define _POSIX_C_SOURCE 200809L
#include "host/hooks.h"
#include "host/plugin.h"
#include "host/run.h"
#include "numerics/rng.h"

#include "network.h"
#include "parser.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TEACHER, FORWARD, TAPS, BACKWARD, UPDATE, WHOLE, PARTS };
static const char *const names[] = {"teacher", "forward", "taps", "backward", "update", "step"};

// ---- random networks
// ----------------------------------------------------------------------------------------------

static void normal(vkd_rng *rng, float *x, size_t n, double mean, double scale) {
    for (size_t i = 0; x && i < n; ++i)
        x[i] = (float)(mean + scale * vkd_rng_normal(rng));
}

static void make_weights(char *cfg, char *path) {
    network *net = parse_network_cfg(cfg);
    vkd_rng rng;
    vkd_rng_seed(&rng, 1, 2, 3);
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type != CONVOLUTIONAL) continue;
        normal(&rng, l->weights, (size_t)l->nweights, 0, sqrt(2.0 / (l->size * l->size * l->c / l->groups)));
        for (int f = 0; f < l->n && l->batch_normalize; ++f)
            l->rolling_variance[f] = 1;
    }
    save_weights(net, path);
    free_network(net);
}

// cfg with another batch and size, one sub-batch, as PATH.
static char *derive_cfg(const char *cfg, int batch, int side) {
    static char path[] = "/tmp/bench_step_XXXXXX";
    FILE *in = fopen(cfg, "r"), *out = in ? fdopen(mkstemp(path), "w") : NULL;
    char line[4096];
    if (!out) vkd_fail("%s: cannot be read or copied", cfg);
    while (fgets(line, sizeof line, in)) {
        if (!strncmp(line, "batch=", 6))
            fprintf(out, "batch=%d\n", batch);
        else if (!strncmp(line, "subdivisions=", 13))
            fprintf(out, "subdivisions=1\n");
        else if (side && (!strncmp(line, "width=", 6) || !strncmp(line, "height=", 7)))
            fprintf(out, "%.*s=%d\n", (int)strcspn(line, "="), line, side);
        else
            fputs(line, out);
    }
    fclose(in);
    fclose(out);
    return path;
}

// Pictures and boxes.
static void fill(network *net) {
    vkd_rng rng;
    vkd_rng_seed(&rng, 4, 5, 6);
    normal(&rng, net->input, (size_t)net->inputs * (size_t)net->batch, 0.5, 0.2);
    for (int b = 0; b < net->batch; ++b)
        for (int i = 0; i < 4 && 5 * i + 4 < net->truths; ++i) {
            float *box = net->truth + (size_t)b * (size_t)net->truths + 5 * i;
            box[0] = 0.2f + 0.15f * (float)i, box[1] = 0.3f, box[2] = 0.2f, box[3] = 0.3f, box[4] = 0;
        }
}

// ---- what is counted
// ----------------------------------------------------------------------------------------------

// Multiplications and additions of the convolutions' products, forward, the whole batch: 1e9.
static double gflop(const network *net) {
    double sum = 0;
    for (int i = 0; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        if (l->type == CONVOLUTIONAL) sum += 2.0 * l->nweights * l->out_h * l->out_w * net->batch;
    }
    return sum / 1e9;
}

// Backward, the first layer's input needs no gradient.
static double backward_gflop(const network *net) {
    const layer *l = &net->layers[0];
    return 2 * gflop(net) - 2.0 * l->nweights * l->out_h * l->out_w * net->batch / 1e9;
}

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

// ---- steps
// --------------------------------------------------------------------------------------------------------

static void one_step(network *net, double *spent) {
    vkd_plugin *plugin = vkd_of(net);
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
    spent[TAPS] = plugin->tap_seconds - taps;
    spent[FORWARD] = forward - start;
    spent[BACKWARD] = backward - middle - (taps_backward - taps_forward);
    spent[UPDATE] = end - backward - (plugin->tap_seconds - taps_backward);
    spent[WHOLE] = end - start;
}

int main(int argc, char **argv) {
    if (argc != 6) vkd_fail("usage: bench_step CFG TEACHER_CFG TEACHER_WEIGHTS BATCH SIDE");
    gpu_index = -1;
    if (access(argv[3], R_OK)) make_weights(argv[2], argv[3]);
    char *flags[] = {"bench_step", "-teacher_cfg", argv[2], "-teacher_weights", argv[3], "-seed", "1", NULL};
    vkd_run_parse(7, flags);
    vkd_run_set_quiet(true);
    char *cfg = derive_cfg(argv[1], atoi(argv[4]), atoi(argv[5]));
    network *net = load_network(cfg, NULL, 0);
    fill(net);
    vkd_attach(net);
    remove(cfg);
    const double work[PARTS] = {gflop(vkd_of(net)->teacher), gflop(net), taps_gflop(vkd_of(net)),
                                backward_gflop(net)};
    printf("peak %.1f\n", sgemm_peak());
    fflush(stdout);
    char line[64];
    double spent[PARTS];
    one_step(net, spent); // touches its memory
    while (fgets(line, sizeof line, stdin)) {
        double best[PARTS];
        for (int s = 0; s < atoi(line); ++s) {
            one_step(net, spent);
            if (!s || spent[WHOLE] < best[WHOLE]) memcpy(best, spent, sizeof best);
        }
        double total = 0;
        for (int p = 0; p < PARTS; ++p) {
            total += work[p];
            printf("%s %.3f %.4f\n", names[p], 1000 * best[p], p == WHOLE ? total : work[p]);
        }
        struct rusage used;
        getrusage(RUSAGE_SELF, &used);
        printf("memory %.1f\nend\n", (double)used.ru_maxrss / 1024);
        fflush(stdout);
    }
    free_network(net);
    return 0;
}
