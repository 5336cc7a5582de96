#define _POSIX_C_SOURCE 200809L
#include "host/labels.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numerics/finite.h"

#include "darknet.h"

enum { PATH_SIZE = 4096 }; // Darknet's loader has as much for a label's path

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

static int is_blank(const char *line) {
    return line[strspn(line, " \t\r\n\v\f")] == '\0';
}

// Reads one line into *label. Its messages are those of Darknet's loader (patches/150-checked-labels.patch).
static vkd_status parse_line(char *line, const char *path, int number, int classes, vkd_label *label,
                             vkd_error *err) {
    char *end;
    int shown = (int)strcspn(line, "\r\n");
    errno = 0;
    long class_id = strtol(line, &end, 10);
    if (end == line || !isspace((unsigned char)*end)) {
        const char *word = line + strspn(line, " \t");
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "class: found \"%.*s\", expected an integer from 0 to %d",
                            (int)strcspn(word, " \t\r\n"), word, classes - 1);
    }
    if (errno || class_id < 0 || class_id >= classes)
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "class: found %ld, expected an integer from 0 to %d", class_id, classes - 1);
    label->class_id = (int)class_id;
    static const char *const names[] = {"x", "y", "width", "height"};
    double *const values[] = {&label->x, &label->y, &label->w, &label->h};
    int i = 0;
    for (; i < 4; ++i) {
        char *from = end;
        *values[i] = strtod(from, &end);
        if (end == from || (*end && !isspace((unsigned char)*end))) break;
        if (!vkd_is_finite(*values[i]) || !(fabs(*values[i]) <= 1e6) || (i >= 2 && *values[i] < 0))
            return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                                "%s: found %g, expected a number%s", names[i], *values[i],
                                i < 2 ? "" : " that is not negative");
    }
    if (i < 4 || !is_blank(end))
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "found \"%.*s\", expected five numbers: class x y width height", shown, line);
    return VKD_OK;
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
        status = parse_line(line, path, number, classes, &label, err);
        if (!status && append(out, &label))
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
        labels_of_image(pictures[i], path, sizeof path); // ends the program for a path too long
        FILE *file = fopen(path, "r");
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
