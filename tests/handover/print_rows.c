/* What this program's Darknet finds in a picture, raw, for another program to compare with:
 *   print_rows CFG WEIGHTS PICTURE INPUT ROWS
 * INPUT gets the network's input, so that neither decoding nor resizing is a source of difference: three
 * int32 (channels, height, width), then the floats. ROWS gets a row for each anchor of each cell of each
 * [yolo] layer: two int32 (rows, columns), then floats: centre x, y, width, height as fractions of the input,
 * objectness, and for each class objectness times probability. No threshold, no suppression.
 */
#include "darknet.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOX = 5 }; // x, y, w, h, objectness

static void write_all(const char *path, const int32_t *head, size_t heads, const float *values,
                      size_t count) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(head, sizeof *head, heads, file) != heads ||
        fwrite(values, sizeof *values, count, file) != count || fclose(file)) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(EXIT_FAILURE);
    }
}

static void write_rows(const char *path, const detection *found, int count) {
    int classes = count ? found[0].classes : 0;
    int32_t size[] = {count, BOX + classes};
    size_t columns = (size_t)size[1];
    float *rows = malloc(((size_t)count * columns + 1) * sizeof *rows);
    if (!rows) exit(EXIT_FAILURE);
    for (int i = 0; i < count; ++i) {
        float *row = rows + (size_t)i * columns;
        memcpy(row, &found[i].bbox, 4 * sizeof *row);
        row[4] = found[i].objectness;
        memcpy(row + BOX, found[i].prob, (size_t)classes * sizeof *row);
    }
    write_all(path, size, 2, rows, (size_t)count * columns);
    free(rows);
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: print_rows CFG WEIGHTS PICTURE INPUT ROWS\n");
        return EXIT_FAILURE;
    }
    gpu_index = -1; // as main() does in a build without a GPU
    network *net = load_network(argv[1], argv[2], 0);
    set_batch_network(net, 1);
    image picture = load_image_color(argv[3], 0, 0);
    image input = letterbox_image(picture, net->w, net->h);
    network_predict(net, input.data);
    int count = 0;
    // A threshold below every score lets all rows pass; the input's own size leaves boxes as they are.
    detection *found = get_network_boxes(net, net->w, net->h, -1, .5, NULL, 1, &count);
    write_all(argv[4], (int32_t[]){net->c, net->h, net->w}, 3, input.data, (size_t)net->inputs);
    write_rows(argv[5], found, count);
    free_detections(found, count);
    free_image(input);
    free_image(picture);
    free_network(net);
    return 0;
}
