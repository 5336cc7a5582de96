#include "host/training_data.h"

#include "host/run.h"

#include "data.h"
#include "option_list.h"
#include "parser.h"

enum { loader_threads = 8 };

vkd_training_data vkd_training_data_read(char *path) {
    vkd_training_data data = {.path = path};
    list *options = read_data_cfg(path);
    char *train = option_find_str(options, "train", NULL);
    if (!train) vkd_fail("%s: train: missing; expected the list of training pictures", path);
    data.backup = option_find_str(options, "backup", "backup");
    list *names = get_paths(train);
    data.pictures = (char **)list_to_array(names);
    // A list's last, empty line is no picture.
    for (int i = 0; i < names->size; ++i)
        if (data.pictures[i][0]) data.pictures[data.count++] = data.pictures[i];
    if (!data.count) vkd_fail("%s: no pictures", train);
    return data;
}

int vkd_is_detector(const network *net) {
    LAYER_TYPE head = net->layers[net->n - 1].type;
    return head == YOLO || head == REGION;
}

load_args vkd_detection_args(network *net, const vkd_training_data *data) {
    layer head = net->layers[net->n - 1];
    load_args args = get_base_args(net);
    args.coords = head.coords;
    args.paths = data->pictures;
    args.n = net->batch * net->subdivisions;
    args.m = data->count;
    args.classes = head.classes;
    args.jitter = head.jitter;
    args.num_boxes = head.max_boxes;
    args.type = DETECTION_DATA;
    args.threads = loader_threads;
    return args;
}
