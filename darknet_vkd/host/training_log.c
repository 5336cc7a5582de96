#define _POSIX_C_SOURCE 200809L
#include "host/training_log.h"

#include "core/file.h"
#include "host/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double seconds_between_lines = 5;

static void write_header(FILE *csv, const vkd_plugin *plugin) {
    fprintf(csv, "batch,images,seconds,rate,loss");
    for (int i = 0; plugin && i < plugin->tap_count; ++i)
        fprintf(csv, ",tap%d_loss,tap%d_weight,tap%d_ratio,tap%d_defect", i, i, i, i);
    fprintf(csv, ",AP\n");
}

// Rows of an earlier process up to `batch`, header included; NULL where there is no usable file.
static char *rows_until(const char *path, size_t batch) {
    FILE *old = fopen(path, "r");
    if (!old) return NULL;
    char *kept = NULL, *line = NULL;
    size_t length = 0, capacity = 0;
    ssize_t got;
    for (bool header = true; (got = getline(&line, &capacity, old)) > 0; header = false) {
        if (line[got - 1] != '\n') break; // cut by a kill
        if (!header && strtoull(line, NULL, 10) > batch) break;
        char *grown = realloc(kept, length + (size_t)got + 1);
        if (!grown) break;
        kept = grown;
        memcpy(kept + length, line, (size_t)got + 1);
        length += (size_t)got;
    }
    free(line);
    fclose(old);
    return kept;
}

void vkd_log_open(vkd_training_log *log, const char *directory, const char *base, const network *net) {
    *log = (vkd_training_log){.terminal = isatty(STDERR_FILENO), .average = -1};
    log->start = log->last_line = what_time_is_it_now();
    log->first_batch = get_current_batch((network *)net);
    size_t size = strlen(directory) + strlen(base) + sizeof "/_log.csv";
    char *path = malloc(size);
    if (!path) vkd_fail("no memory for the log's name");
    snprintf(path, size, "%s/%s_log.csv", directory, base);
    // The rows of a resumed run are cut in a file of their own, which then takes the log's place.
    char *kept = log->first_batch ? rows_until(path, log->first_batch) : NULL;
    vkd_error err;
    if (kept && vkd_file_write(path, kept, strlen(kept), &err)) vkd_fail("%s", err.text);
    log->csv = fopen(path, kept ? "a" : "w");
    if (!log->csv) vkd_fail("%s: cannot be written: %s", path, strerror(errno));
    if (!kept) write_header(log->csv, vkd_of(net));
    fflush(log->csv);
    free(kept);
    free(path);
}

static void format_time(double seconds, char *text, size_t size) {
    long s = seconds > 0 ? (long)(seconds + .5) : 0;
    if (s >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

static void print_progress(vkd_training_log *log, network *net, size_t batch, double now) {
    const vkd_plugin *plugin = vkd_of(net);
    size_t done = batch - log->first_batch;
    double per_batch = (now - log->start) / (double)done;
    char taps[256] = "", left[32] = "?";
    size_t used = 0;
    for (int i = 0; plugin && plugin->teacher && i < plugin->tap_count && used < sizeof taps; ++i)
        used += (size_t)snprintf(taps + used, sizeof taps - used, "  vkd %.4f (ratio %.2f)",
                                 plugin->taps[i]->loss, plugin->taps[i]->ratio);
    if ((size_t)net->max_batches > batch)
        format_time(per_batch * (double)((size_t)net->max_batches - batch), left, sizeof left);
    else
        format_time(0, left, sizeof left);
    fprintf(stderr, "%s%zu/%d  loss %.3f%s  rate %.5f  %.0f images/s  left %s%s", log->terminal ? "\r" : "",
            batch, net->max_batches, log->average, taps, get_current_rate(net),
            (double)(net->batch * net->subdivisions) / per_batch, left, log->terminal ? "\033[K" : "\n");
    log->last_line = now;
}

void vkd_log_batch(vkd_training_log *log, network *net, double loss) {
    const vkd_plugin *plugin = vkd_of(net);
    size_t batch = get_current_batch(net);
    double now = what_time_is_it_now();
    log->average = log->average < 0 ? loss : .9 * log->average + .1 * loss;
    fprintf(log->csv, "%zu,%zu,%.3f,%g,%.6g", batch, *net->seen, now - log->start, get_current_rate(net),
            loss);
    for (int i = 0; plugin && i < plugin->tap_count; ++i) {
        const vkd_tap *tap = plugin->taps[i];
        fprintf(log->csv, ",%.6g,%.6g,%.6g,%.3g", tap->loss, tap->weight, tap->ratio, tap->projection.defect);
    }
    fprintf(log->csv, ",\n");
    bool last = batch >= (size_t)net->max_batches;
    double pause = log->terminal ? 0.2 : seconds_between_lines;
    if (last || batch == log->first_batch + 1 || now - log->last_line >= pause)
        print_progress(log, net, batch, now);
}

void vkd_log_flush(vkd_training_log *log) {
    fflush(log->csv);
}

void vkd_log_break(vkd_training_log *log) {
    if (log->terminal) fputc('\n', stderr);
}

void vkd_log_close(vkd_training_log *log) {
    if (fclose(log->csv)) fprintf(stderr, "the log could not be written to its end: %s\n", strerror(errno));
    log->csv = NULL;
}
