#define _POSIX_C_SOURCE 200809L
#include "host/labels.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cfg_text.h"
#include "host/hooks.h"
#include "host/run.h"
#include "numerics/finite.h"

#include "darknet.h"

enum { PATH_SIZE = 4096 }; // Darknet's loader has as much for a label's path

// Of a label's numbers from 0.5: the picture and as much around it on each side.
static const double furthest = 1.5;

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

// What is shown of a wrong line, which may be a megabyte of a picture: a piece, control characters as '?'.
enum { SHOWN = 60 };
static const char *shown(char text[SHOWN + 4], const char *from, const char *end) {
    size_t length = strcspn(from, end), n = length < SHOWN ? length : SHOWN;
    for (size_t i = 0; i < n; ++i)
        text[i] = (char)((unsigned char)from[i] < ' ' && from[i] != '\t' ? '?' : from[i]);
    strcpy(text + n, n < length ? "..." : "");
    return text;
}

// Reads one line of `length` characters into *label.
static vkd_status parse_line(char *line, size_t length, const char *path, int number, int classes,
                             vkd_label *label, vkd_error *err) {
    char *end, text[SHOWN + 4];
    if (strlen(line) != length)
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "found a NUL byte, expected five numbers: class x y width height");
    errno = 0;
    long class_id = strtol(line, &end, 10);
    if (end == line || !isspace((unsigned char)*end))
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "class: found \"%s\", expected an integer from 0 to %d",
                            shown(text, line + strspn(line, " \t"), " \t\r\n"), classes - 1);
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
        if (!vkd_is_finite(*values[i]) || (i >= 2 && *values[i] < 0))
            return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                                "%s: found %g, expected a number%s", names[i], *values[i],
                                i < 2 ? "" : " that is not negative");
        // A box may reach beyond the picture; what lies further out was written in pixels, and the loader
        // would drop it without a word.
        if (!(fabs(*values[i] - .5) <= furthest))
            return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                                "%s: found %g, expected a fraction of the picture's %s, not pixels", names[i],
                                *values[i], i % 2 ? "height" : "width");
    }
    if (i < 4 || !is_blank(end))
        return vkd_error_at(err, VKD_BAD_FILE, path, number, NULL, NULL,
                            "found \"%s\", expected five numbers: class x y width height",
                            shown(text, line, "\r\n"));
    return VKD_OK;
}

// Takes a byte order mark away; its bytes.
static size_t skip_mark(char *line, size_t length) {
    size_t mark = vkd_cfg_mark(line, length);
    memmove(line, line + mark, length - mark + 1);
    return mark;
}

static vkd_status read_lines(FILE *file, const char *path, int image, int classes, vkd_labels *out,
                             vkd_error *err) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    vkd_status status = VKD_OK;
    errno = 0;
    for (int number = 1; !status && (length = getline(&line, &size, file)) >= 0; ++number) {
        vkd_label label = {.image = image};
        if (number == 1) length -= (ssize_t)skip_mark(line, (size_t)length);
        if (is_blank(line) && strlen(line) == (size_t)length) continue;
        status = parse_line(line, (size_t)length, path, number, classes, &label, err);
        if (!status && append(out, &label))
            status = vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: out of memory", path);
        errno = 0;
    }
    if (!status && ferror(file))
        status = vkd_error_set(err, VKD_IO, "%s: cannot be read: %s", path, strerror(errno));
    free(line);
    return status;
}

// Adds the labels of one file to *out. A file that is not there has none.
static vkd_status read_labels(const char *path, int image, int classes, vkd_labels *out, vkd_error *err) {
    FILE *file = fopen(path, "r");
    if (!file && errno == ENOENT) return VKD_OK;
    if (!file) return vkd_error_set(err, VKD_IO, "%s: cannot be opened: %s", path, strerror(errno));
    ++out->files;
    vkd_status status = read_lines(file, path, image, classes, out, err);
    fclose(file);
    return status;
}

void *vkd_read_boxes(const char *path, int classes, int *n) {
    vkd_labels labels = {0};
    vkd_error err;
    if (read_labels(path, 0, classes, &labels, &err)) vkd_fail("%s", err.text);
    box_label *boxes = calloc(labels.count ? labels.count : 1, sizeof *boxes);
    if (!boxes) vkd_fail("%s: out of memory", path);
    for (size_t i = 0; i < labels.count; ++i) {
        const vkd_label *l = labels.labels + i;
        box_label *b = boxes + i;
        *b = (box_label){.id = l->class_id, (float)l->x, (float)l->y, (float)l->w, (float)l->h};
        b->left = b->x - b->w / 2;
        b->right = b->x + b->w / 2;
        b->top = b->y - b->h / 2;
        b->bottom = b->y + b->h / 2;
    }
    *n = (int)labels.count;
    vkd_labels_free(&labels);
    return boxes;
}

vkd_status vkd_labels_read(char *const *pictures, int n, int classes, vkd_labels *out, vkd_error *err) {
    *out = (vkd_labels){0};
    vkd_status status = VKD_OK;
    char path[PATH_SIZE];
    for (int i = 0; i < n && !status; ++i) {
        labels_of_image(pictures[i], path, sizeof path); // ends the program for a path too long
        status = read_labels(path, i, classes, out, err);
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
