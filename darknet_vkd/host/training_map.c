#define _POSIX_C_SOURCE 200809L
#include "host/training_map.h"

#include "host/evaluate.h"
#include "host/labels.h"
#include "host/run.h"

#include "network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int classes_of(const network *net) {
    return net->layers[net->n - 1].classes;
}

void vkd_training_map_open(vkd_training_map *map, const network *net, const char *data, int images,
                           int epochs) {
    *map = (vkd_training_map){.w = net->w, .h = net->h};
    map->pictures = vkd_picture_list_of(data, "valid", "pictures to evaluate on");
    for (int i = 0; i < map->pictures.count; ++i)
        if (access(map->pictures.paths[i], R_OK))
            vkd_fail("%s: %s: %s", map->pictures.file, map->pictures.paths[i], strerror(errno));
    vkd_labels labels;
    vkd_error err;
    if (vkd_labels_read(map->pictures.paths, map->pictures.count, classes_of(net), &labels, &err))
        vkd_fail("%s", err.text);
    vkd_labels_free(&labels);
    int batch = net->batch * net->subdivisions;
    map->batches = (size_t)epochs * (size_t)((images + batch - 1) / batch);
    fprintf(stderr, "AP on %d pictures of %s every %zu batches\n", map->pictures.count, map->pictures.file,
            map->batches);
}

bool vkd_training_map_is_due(const vkd_training_map *map, const network *net, size_t batch) {
    return map->batches && (batch % map->batches == 0 || batch == (size_t)net->max_batches);
}

double vkd_training_map_measure(const vkd_training_map *map, network *net) {
    vkd_ap_result result;
    if (net->w != map->w || net->h != map->h) resize_network(net, map->w, map->h);
    if (vkd_evaluate(net, map->pictures.paths, map->pictures.count, classes_of(net), NULL, &result))
        exit(EXIT_FAILURE); // it has said why
    double ap = result.ap;
    vkd_ap_result_free(&result);
    return ap;
}
