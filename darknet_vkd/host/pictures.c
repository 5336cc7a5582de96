#define _POSIX_C_SOURCE 200809L
#include "host/pictures.h"

#include "host/labels.h"
#include "host/run.h"

#include "data.h"
#include "option_list.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// As Darknet's loader: a box that is smaller teaches nothing.
static const double smallest_box = 0.001;

vkd_picture_list vkd_picture_list_read(const char *data) {
    return vkd_picture_list_of(data, "train", "training pictures");
}

// Without a look into it, which a pipe would not show a second time.
void vkd_need_file(const char *path) {
    struct stat info;
    bool there = !stat(path, &info);
    if (there && !S_ISDIR(info.st_mode) && !access(path, R_OK)) return;
    vkd_fail("%s: cannot be opened: %s", path, strerror(there && S_ISDIR(info.st_mode) ? EISDIR : errno));
}

char **vkd_lines_read(const char *path, int *n) {
    vkd_need_file(path);
    list *all = get_paths((char *)path);
    char **lines = (char **)list_to_array(all);
    *n = 0;
    for (int i = 0; i < all->size; ++i) {
        size_t length = strlen(lines[i]);
        while (length && isspace((unsigned char)lines[i][length - 1]))
            lines[i][--length] = '\0';
        if (length)
            lines[(*n)++] = lines[i];
        else
            free(lines[i]);
    }
    free_list(all); // its nodes; the lines are the array's
    return lines;
}

vkd_picture_list vkd_picture_list_of(const char *data, char *key, const char *what) {
    vkd_need_file(data);
    list *options = read_data_cfg((char *)data);
    const char *file = option_find_str(options, key, NULL);
    if (!file) vkd_fail("%s: %s: missing; expected the list of %s", data, key, what);
    char *name = strdup(file);
    if (!name) vkd_fail("%s: no memory", data);
    int count;
    char **paths = vkd_lines_read(name, &count);
    if (!count) vkd_fail("%s: no pictures", name);
    return (vkd_picture_list){.file = name, .paths = paths, .count = count};
}

void vkd_picture_list_free(vkd_picture_list *list) {
    for (int i = 0; i < list->count; ++i)
        free(list->paths[i]);
    free(list->paths);
    free(list->file);
    *list = (vkd_picture_list){0};
}

// Where letterbox_image of Darknet's src/image.c puts a picture of im_w x im_h.
static vkd_frame letterbox_place(int im_w, int im_h, int w, int h) {
    int new_w = w, new_h = h;
    if ((float)w / (float)im_w < (float)h / (float)im_h)
        new_h = (im_h * w) / im_w;
    else
        new_w = (im_w * h) / im_h;
    int left = (w - new_w) / 2, top = (h - new_h) / 2;
    return (vkd_frame){(float)left / (float)w, (float)top / (float)h, (float)(left + new_w) / (float)w,
                       (float)(top + new_h) / (float)h};
}

static vkd_frame load_picture(const network *net, const char *path, float *input) {
    if (access(path, R_OK)) vkd_fail("%s: %s", path, strerror(errno));
    image original = load_image((char *)path, 0, 0, net->c); // ends the program where it is no picture
    image fitted = letterbox_image(original, net->w, net->h);
    memcpy(input, fitted.data, (size_t)net->inputs * sizeof *input);
    vkd_frame place = letterbox_place(original.w, original.h, net->w, net->h);
    free_image(fitted);
    free_image(original);
    return place;
}

static double clamp(double x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

// The label's box in the input's frame, cut at its edges. False: nothing is left of it.
static bool place_box(const vkd_label *l, vkd_frame r, float *box) {
    if (l->x == 0 && l->y == 0) return false; // Darknet's mark for a box without a place
    double sx = (double)r.right - r.left, sy = (double)r.bottom - r.top;
    double left = clamp(r.left + (l->x - l->w / 2) * sx), right = clamp(r.left + (l->x + l->w / 2) * sx);
    double top = clamp(r.top + (l->y - l->h / 2) * sy), bottom = clamp(r.top + (l->y + l->h / 2) * sy);
    if (right - left < smallest_box || bottom - top < smallest_box) return false;
    box[0] = (float)((left + right) / 2);
    box[1] = (float)((top + bottom) / 2);
    box[2] = (float)(right - left);
    box[3] = (float)(bottom - top);
    box[4] = (float)l->class_id;
    return true;
}

static void load_truth(const network *net, char *const *paths, int count, const vkd_frame *places,
                       float *truth) {
    const layer *head = &net->layers[net->n - 1];
    size_t truths = (size_t)net->truths;
    memset(truth, 0, (size_t)count * truths * sizeof *truth);
    if (head->type != YOLO && head->type != REGION) return;
    vkd_labels labels;
    vkd_error err;
    if (vkd_labels_read(paths, count, head->classes, &labels, &err)) vkd_fail("%s", err.text);
    size_t used = 0; // floats of the present picture
    for (size_t i = 0; i < labels.count; ++i) {
        const vkd_label *l = labels.labels + i;
        if (i && l->image != labels.labels[i - 1].image) used = 0;
        if (used + 5 > truths) continue; // the loader, too, leaves out what is beyond `max`
        if (place_box(l, places[l->image], truth + (size_t)l->image * truths + used)) used += 5;
    }
    vkd_labels_free(&labels);
}

void vkd_pictures_load(const network *net, char *const *paths, int count, float *input, float *truth,
                       vkd_frame *places) {
    if (net->c != 1 && net->c != 3)
        vkd_fail("the network takes %d channels; expected 1 or 3, as pictures have", net->c);
    vkd_frame *all = places ? places : calloc((size_t)count, sizeof *all);
    if (!all) vkd_fail("no memory for %d pictures", count);
    for (int i = 0; i < count; ++i)
        all[i] = load_picture(net, paths[i], input + (size_t)i * (size_t)net->inputs);
    if (truth) load_truth(net, paths, count, all, truth);
    if (!places) free(all);
}
