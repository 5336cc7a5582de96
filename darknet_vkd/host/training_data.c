#include "host/training_data.h"

#include "data.h"
#include "option_list.h"
#include "parser.h"

#include <string.h>

enum { loader_threads = 8 };

// backup/ is the folder backup: names in it are printed, with one slash.
static char *without_slashes(char *folder) {
    for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/'; --end)
        folder[end - 1] = '\0';
    return folder;
}

vkd_training_data vkd_training_data_read(char *path) {
    list *options = read_data_cfg(path);
    return (vkd_training_data){
        .backup = without_slashes(option_find_str(options, "backup", "backup")),
        .pictures = vkd_picture_list_read(path),
    };
}

int vkd_is_detector(const network *net) {
    LAYER_TYPE head = net->layers[net->n - 1].type;
    return head == YOLO || head == REGION;
}

load_args vkd_detection_args(network *net, const vkd_training_data *data) {
    layer head = net->layers[net->n - 1];
    load_args args = get_base_args(net);
    args.coords = head.coords;
    args.paths = data->pictures.paths;
    args.n = net->batch * net->subdivisions;
    args.m = data->pictures.count;
    args.classes = head.classes;
    args.jitter = head.jitter;
    args.num_boxes = head.max_boxes;
    args.type = DETECTION_DATA;
    args.threads = loader_threads;
    return args;
}
