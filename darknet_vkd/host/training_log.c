#define _POSIX_C_SOURCE 200809L
#include "host/training_log.h"

#include "core/file.h"
#include "host/run.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

// The last column of the kept rows.
static void take_earlier_ap(vkd_training_log *log, const char *rows) {
    for (const char *row = strchr(rows, '\n'); row && row[1]; row = strchr(row + 1, '\n')) {
        const char *end = strchr(row + 1, '\n'), *column = end;
        while (column > row && column[-1] != ',')
            --column;
        if (!end || column == end || column == row) continue;
        log->last_ap = strtod(column, NULL);
        if (log->last_ap > log->best_ap) log->best_ap = log->last_ap;
    }
}

void vkd_log_open(vkd_training_log *log, const char *directory, const char *base, const network *net) {
    *log = (vkd_training_log){.terminal = isatty(STDERR_FILENO), .average = -1, .last_ap = -1, .best_ap = -1};
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
    if (kept) take_earlier_ap(log, kept);
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

// The parts of the progress line, in order. Where the terminal is too narrow, the less important go first.
enum { COUNT, LOSS, TAPS, RATE, SPEED, LEFT, AP, PARTS };
static const int dispensable[] = {RATE, SPEED, TAPS, AP, LEFT};
enum { LONGEST = 512 };

static int columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col) return 80;
    return size.ws_col;
}

static void show(const vkd_training_log *log, char parts[PARTS][LONGEST]) {
    size_t length = 0, room = SIZE_MAX;
    for (int i = 0; i < PARTS; ++i)
        length += strlen(parts[i]);
    if (log->terminal) room = (size_t)columns() - 1; // a full line would wrap
    for (size_t i = 0; i < sizeof dispensable / sizeof *dispensable && length > room; ++i) {
        length -= strlen(parts[dispensable[i]]);
        parts[dispensable[i]][0] = '\0';
    }
    char line[PARTS * LONGEST] = "";
    for (int i = 0; i < PARTS; ++i)
        strcat(line, parts[i]);
    if (room < strlen(line)) line[room] = '\0';
    if (log->terminal)
        fprintf(stderr, "\r%s\033[K", line);
    else
        fprintf(stderr, "%s\n", line);
}

static void print_progress(vkd_training_log *log, network *net, size_t batch, double now) {
    const vkd_plugin *plugin = vkd_of(net);
    size_t done = batch - log->first_batch, end = (size_t)net->max_batches;
    double per_batch = (now - log->start) / (double)done;
    double training = (now - log->start - log->measuring) / (double)done;
    char parts[PARTS][LONGEST] = {""}, left[32];
    size_t used = 0;
    snprintf(parts[COUNT], LONGEST, "%zu/%zu", batch, end);
    snprintf(parts[LOSS], LONGEST, "  loss %.3f", log->average);
    for (int i = 0; plugin && plugin->teacher && i < plugin->tap_count && used < LONGEST; ++i)
        used += (size_t)snprintf(parts[TAPS] + used, LONGEST - used, "  vkd %.4f (ratio %.2f)",
                                 plugin->taps[i]->loss, plugin->taps[i]->ratio);
    snprintf(parts[RATE], LONGEST, "  rate %.5f", get_current_rate(net));
    snprintf(parts[SPEED], LONGEST, "  %.0f images/s",
             (double)(net->batch * net->subdivisions) / (training > 0 ? training : per_batch));
    format_time(end > batch ? per_batch * (double)(end - batch) : 0, left, sizeof left);
    snprintf(parts[LEFT], LONGEST, "  left %s", left);
    if (log->last_ap >= 0) snprintf(parts[AP], LONGEST, "  AP %.4f (best %.4f)", log->last_ap, log->best_ap);
    show(log, parts);
    log->last_line = now;
}

void vkd_log_batch(vkd_training_log *log, network *net, double loss, double ap) {
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
    if (ap >= 0)
        fprintf(log->csv, ",%.6f\n", ap);
    else
        fprintf(log->csv, ",\n");
    if (ap >= 0) log->last_ap = ap;
    if (ap > log->best_ap) log->best_ap = ap;
    bool last = batch >= (size_t)net->max_batches;
    double pause = log->terminal ? 0.2 : seconds_between_lines;
    if (last || ap >= 0 || batch == log->first_batch + 1 || now - log->last_line >= pause)
        print_progress(log, net, batch, now);
}

// Told once, and training goes on: without room for the weights, too, it ends where these fail.
static void tell_failure(vkd_training_log *log, bool failed) {
    if (!failed || log->failed) return;
    vkd_log_break(log);
    fprintf(stderr, "the log cannot be written to its end: %s\n", strerror(errno));
    log->failed = true;
}

void vkd_log_flush(vkd_training_log *log) {
    tell_failure(log, fflush(log->csv) || ferror(log->csv));
}

void vkd_log_break(vkd_training_log *log) {
    if (log->terminal) fputc('\n', stderr);
}

void vkd_log_close(vkd_training_log *log) {
    tell_failure(log, fclose(log->csv) != 0);
    log->csv = NULL;
}
