#define _POSIX_C_SOURCE 200809L
#include "host/labels.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "darknet.h"

enum { PATH_SIZE = 4096 }; // what Darknet's loader has for a label's path

// .../images/a.jpg -> .../labels/a.txt: the innermost folder of one of these names, and the extension.
static void label_path(const char *picture, char path[PATH_SIZE]) {
    static const char *const folders[] = {"images", "JPEGImages", "raw"};
    const char *name = strrchr(picture, '/');
    name = name ? name + 1 : picture;
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - picture) : strlen(picture);
    const char *end = name - (name != picture); // of the component looked at: its '/'
    while (end > picture) {
        const char *start = end;
        while (start > picture && start[-1] != '/')
            --start;
        for (int i = 0; i < 3; ++i) {
            if ((size_t)(end - start) != strlen(folders[i]) ||
                strncmp(start, folders[i], (size_t)(end - start)))
                continue;
            snprintf(path, PATH_SIZE, "%.*slabels%.*s.txt", (int)(start - picture), picture,
                     (int)(stem - (size_t)(end - picture)), end);
            return;
        }
        end = start > picture ? start - 1 : picture;
    }
    snprintf(path, PATH_SIZE, "%.*s.txt", (int)stem, picture);
}

// What fill_truth_detection in Darknet's src/data.c makes of a path.
static void darknet_label_path(const char *picture, char path[PATH_SIZE]) {
    static char *const pairs[][2] = {{"images", "labels"}, {"JPEGImages", "labels"}, {"raw", "labels"},
                                     {".jpg", ".txt"},     {".png", ".txt"},         {".JPG", ".txt"},
                                     {".JPEG", ".txt"}};
    char from[PATH_SIZE];
    snprintf(path, PATH_SIZE, "%s", picture);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; ++i) {
        memcpy(from, path, PATH_SIZE);
        find_replace(from, pairs[i][0], pairs[i][1], path);
    }
}

static FILE *open_label(const char *picture, char path[PATH_SIZE]) {
    char other[PATH_SIZE];
    label_path(picture, path);
    FILE *file = fopen(path, "r");
    if (file || errno != ENOENT) return file;
    darknet_label_path(picture, other);
    file = fopen(other, "r");
    if (file) memcpy(path, other, PATH_SIZE);
    return file;
}

static vkd_status append(vkd_labels *labels, const vkd_label *label) {
    if (labels->count == labels->capacity) {
        size_t capacity = labels->capacity ? 2 * labels->capacity : 1024;
        vkd_label *grown = realloc(labels->labels, capacity * sizeof *grown);
        if (!grown) return VKD_OUT_OF_MEMORY;
        labels->labels = grown;
        labels->capacity = capacity;
    }
    labels->labels[labels->count++] = *label;
    return VKD_OK;
}

// Reads one line into *label. Returns what is wrong with it, or NULL.
static const char *parse_line(char *line, int classes, vkd_label *label) {
    char *end;
    errno = 0;
    long class_id = strtol(line, &end, 10);
    if (end == line || !isspace((unsigned char)*end)) return "expected: class x y width height";
    if (errno || class_id < 0 || class_id >= classes) return "class out of range";
    label->class_id = (int)class_id;
    double *const numbers[] = {&label->x, &label->y, &label->w, &label->h};
    for (int i = 0; i < 4; ++i) {
        char *start = end;
        *numbers[i] = strtod(start, &end);
        if (end == start || (*end && !isspace((unsigned char)*end)))
            return "expected: class x y width height";
        if (!isfinite(*numbers[i]) || fabs(*numbers[i]) > 1e6)
            return "a number that cannot be a part of a picture";
    }
    while (isspace((unsigned char)*end))
        ++end;
    if (*end) return "expected no more than: class x y width height";
    if (label->w < 0 || label->h < 0) return "negative width or height";
    return NULL;
}

static int is_blank(const char *line) {
    return line[strspn(line, " \t\r\n\v\f")] == '\0';
}

static vkd_status read_file_labels(FILE *file, const char *path, int image, int classes, vkd_labels *out,
                                   vkd_error *err) {
    char *line = NULL;
    size_t size = 0;
    int number = 0;
    vkd_status status = VKD_OK;
    errno = 0;
    while (!status && getline(&line, &size, file) >= 0) {
        ++number;
        if (is_blank(line)) continue;
        vkd_label label = {.image = image};
        const char *fault = parse_line(line, classes, &label);
        line[strcspn(line, "\r\n")] = '\0';
        if (fault)
            status = vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL, "%s (%d classes): \"%.80s\"",
                                  fault, classes, line);
        else if (append(out, &label))
            status = vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: out of memory", path);
        errno = 0;
    }
    if (!status && ferror(file)) status = vkd_error_set(err, VKD_IO, "%s: %s", path, strerror(errno));
    free(line);
    return status;
}

vkd_status vkd_labels_read(char *const *pictures, int n, int classes, vkd_labels *out, vkd_error *err) {
    *out = (vkd_labels){0};
    vkd_status status = VKD_OK;
    char path[PATH_SIZE];
    for (int i = 0; i < n && !status; ++i) {
        // every replacement lengthens the path by at most one letter
        if (strlen(pictures[i]) > PATH_SIZE - 16)
            status = vkd_error_set(err, VKD_INVALID_ARGUMENT, "%.60s...: path too long", pictures[i]);
        if (status) break;
        FILE *file = open_label(pictures[i], path);
        if (file) {
            ++out->files;
            status = read_file_labels(file, path, i, classes, out, err);
            fclose(file);
        } else if (errno != ENOENT)
            status = vkd_error_set(err, VKD_IO, "%s: %s", path, strerror(errno));
    }
    if (!status && n > 0 && !out->files)
        status = vkd_error_set(err, VKD_IO,
                               "%s: no such file, and no label file for any other of %d pictures", path, n);
    if (status) vkd_labels_free(out);
    return status;
}

void vkd_labels_free(vkd_labels *labels) {
    free(labels->labels);
    *labels = (vkd_labels){0};
}
