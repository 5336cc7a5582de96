// darknet vkd advise: which taps are promising, by the similarity of the layers' features.
#define _POSIX_C_SOURCE 200809L
#include "host/advise.h"

#include "host/arguments.h"
#include "host/hooks.h"
#include "host/pictures.h"
#include "host/run.h"
#include "host/similarity.h"

#include "layer.h"
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { pictures_default = 256, pictures_at_once = 16, locations = 256, columns_in_a_line = 12 };
// Another layer of the teacher is named where it is more alike by so much.
static const double clearly = 0.05;

// ---- the two networks
// --------------------------------------------------------------------------------------

static void load_teacher(network *net, const char *path, const vkd_cfg *cfg) {
    const vkd_run *run = vkd_run_options();
    const char *teacher_cfg = run->teacher_cfg ? run->teacher_cfg : cfg->teacher_cfg;
    const char *weights = run->teacher_weights ? run->teacher_weights : cfg->teacher_weights;
    if (!teacher_cfg != !weights)
        vkd_fail("%s: a teacher's %s is named but not its %s; give both, in [net] or as flags", path,
                 teacher_cfg ? "cfg" : "weights",
                 teacher_cfg ? "weights (teacher_weights)" : "cfg (teacher_cfg)");
    if (!teacher_cfg)
        vkd_fail("%s: no teacher is named; expected teacher_cfg and teacher_weights in [net], or as flags",
                 path);
    const char *const files[] = {teacher_cfg, weights};
    for (int i = 0; i < 2; ++i) {
        FILE *file = fopen(files[i], "rb");
        if (!file) vkd_fail("%s: %s", files[i], strerror(errno));
        fclose(file);
    }
    vkd_plugin *plugin = vkd_of(net);
    plugin->teacher =
        vkd_teacher_load(teacher_cfg, weights, vkd_count_layers(teacher_cfg), net, cfg->teacher_resize != 0);
    if (!cfg->teacher_resize) return;
    vkd_teacher_input_make(plugin);
}

// The layers up to the heads. Fresh weights have no statistics for batch norm yet: it takes the batch's.
static void run_student(network *student, bool fresh) {
    network net = *student;
    net.train = fresh;
    net.truth = NULL;
    for (int i = 0; i < net.n; ++i) {
        layer l = net.layers[i];
        if (!vkd_has_feature_map(&l)) continue;
        net.index = i;
        l.forward(l, net);
        net.input = l.output;
    }
}

// Pictures spread evenly over the list.
static void look(network *net, vkd_alike_list *tables, const vkd_picture_list *list, int images, bool fresh) {
    char **paths = calloc((size_t)net->batch, sizeof *paths);
    vkd_frame *frames = calloc((size_t)net->batch, sizeof *frames);
    if (!paths || !frames) vkd_fail("no memory for %d pictures", net->batch);
    for (int done = 0, batch = 1; done + net->batch <= images; done += net->batch, ++batch) {
        for (int i = 0; i < net->batch; ++i)
            paths[i] = list->paths[(long long)(done + i) * list->count / images];
        vkd_pictures_load(net, paths, net->batch, net->input, NULL, frames);
        for (int i = 0; i < net->batch; ++i)
            vkd_padding_set((size_t)batch, i, frames[i]);
        run_student(net, fresh);
        vkd_teacher_look(net, vkd_of(net), net->input);
        if (!vkd_alike_add(tables, net, vkd_of(net)->teacher, locations, vkd_run_options()->seed,
                           (size_t)batch))
            vkd_fail("vkd advise: too few locations to compare; expected at least 4 in %d pictures",
                     net->batch);
    }
    free(paths);
    free(frames);
}

// ---- the table
// -----------------------------------------------------------------------------------------------

static void best_of(const vkd_alike *a, int *row, int *column) {
    *row = *column = 0;
    for (int i = 0; i < a->rows; ++i)
        for (int j = 0; j < a->columns; ++j)
            if (vkd_alike_value(a, i, j) > vkd_alike_value(a, *row, *column)) *row = i, *column = j;
}

static void print_part(const network *net, const vkd_alike *a, int first, int last) {
    const network *teacher = vkd_of(net)->teacher;
    int best_row, best_column;
    best_of(a, &best_row, &best_column);
    printf("%-34s", "  student             teacher");
    for (int j = first; j < last; ++j)
        printf(" %7d ", a->column[j]);
    printf("\n%-34s", "");
    for (int j = first; j < last; ++j) {
        char grid[32];
        const layer *l = &teacher->layers[a->column[j]];
        snprintf(grid, sizeof grid, "%dx%d", l->out_w, l->out_h);
        printf(" %7s ", grid);
    }
    printf("\n");
    for (int i = 0; i < a->rows; ++i) {
        const layer *l = &net->layers[a->row[i]];
        printf("  %3d %-15s x %-11d", a->row[i], get_layer_string(l->type), l->out_c);
        for (int j = first; j < last; ++j)
            printf(" %7.2f%c", vkd_alike_value(a, i, j), i == best_row && j == best_column ? '*' : ' ');
        printf("\n");
    }
}

static void print_table(const network *net, const vkd_alike *a) {
    printf("\nstride %.3g, %d x %d\n", (double)net->w / a->w, a->w, a->h);
    for (int j = 0; j < a->columns; j += columns_in_a_line)
        print_part(net, a, j, j + columns_in_a_line < a->columns ? j + columns_in_a_line : a->columns);
}

// ---- the advice
// ----------------------------------------------------------------------------------------------

static int place_of(const int *list, int count, int layer) {
    for (int i = 0; i < count; ++i)
        if (list[i] == layer) return i;
    return -1;
}

// The place in `list` of the last layer before a head of this network; -1: none of them is one.
static int last_before_a_head(const network *net, const int *list, int count) {
    int found = -1;
    for (int i = 2; i < net->n; ++i) {
        int place = vkd_is_head(&net->layers[i]) ? place_of(list, count, i - 2) : -1;
        if (place >= 0) found = place;
    }
    return found;
}

static bool has_head(const network *net) {
    for (int i = 0; i < net->n; ++i)
        if (vkd_is_head(&net->layers[i])) return true;
    return false;
}

// The student's last layer before a head and the teacher's; where the teacher has none on such a grid, the
// most alike. Likeness alone is a bad guide: see the README. False: nothing to advise for this grid.
static bool choose(const network *net, const vkd_alike *a, bool last_table, int *row, int *column,
                   int *best) {
    *row = last_before_a_head(net, a->row, a->rows);
    if (*row < 0 && (has_head(net) || !last_table)) return false;
    if (*row < 0) *row = a->rows - 1; // a classifier: its last map
    *best = 0;
    for (int j = 1; j < a->columns; ++j)
        if (vkd_alike_value(a, *row, j) > vkd_alike_value(a, *row, *best)) *best = j;
    *column = last_before_a_head(vkd_of(net)->teacher, a->column, a->columns);
    if (*column < 0) *column = *best;
    return true;
}

static void print_advice(const network *net, const vkd_alike_list *tables) {
    printf("\nThe most promising taps, to paste below the student:\n");
    for (int t = 0; t < tables->count; ++t) {
        const vkd_alike *a = &tables->tables[t];
        int row, column, best;
        if (!choose(net, a, t + 1 == tables->count, &row, &column, &best)) continue;
        printf("\n# stride %.3g: CKA %.2f", (double)net->w / a->w, vkd_alike_value(a, row, column));
        if (vkd_alike_value(a, row, best) > vkd_alike_value(a, row, column) + clearly)
            printf("; layer %d of the teacher is more alike, %.2f", a->column[best],
                   vkd_alike_value(a, row, best));
        printf("\n[vkd_projection]\nfrom=%d\nteacher_from=%d\n", a->row[row], a->column[column]);
    }
}

// ---- the command
// -----------------------------------------------------------------------------------------------

static int count_images(int asked, const vkd_picture_list *list) {
    if (asked > list->count)
        vkd_fail("vkd advise: -images: found %d; %s has %d pictures", asked, list->file, list->count);
    if (asked) return asked;
    return list->count < pictures_default ? list->count : pictures_default;
}

void vkd_advise(int argc, char **argv) {
    int images = 0;
    const vkd_flag flags[] = {{"-images", NULL, &images}};
    const vkd_arguments expected = {
        .command = "vkd advise",
        .usage = "DATA CFG [WEIGHTS] [-images N] [-seed N] [-teacher_cfg F] [-teacher_weights F]",
        .known = "-images, -seed, -teacher_cfg or -teacher_weights",
        .least = 2,
        .most = 3,
        .flags = flags,
        .flag_count = 1};
    char *files[3];
    vkd_cfg cfg;
    vkd_error err;
    vkd_read_arguments(&expected, argc, argv, files);
    if (vkd_cfg_read(files[1], &cfg, &err)) vkd_fail("%s", err.text);
    vkd_picture_list list = vkd_picture_list_read(files[0]);
    images = count_images(images, &list);
    vkd_run_always_seed();
    vkd_run_set_quiet(true);
    int at_once = images < pictures_at_once ? images : pictures_at_once;
    network *net = vkd_load_for_pictures(files[1], files[2], at_once, at_once);
    vkd_of(net)->keeps_maps = true;
    load_teacher(net, files[1], &cfg);
    vkd_alike_list tables = vkd_alike_create(net, vkd_of(net)->teacher);
    if (!tables.count) vkd_fail("%s: no layer has a grid that one of the teacher's matches", files[1]);
    look(net, &tables, &list, images, !files[2]);
    printf("Linear CKA of the student's layers and the teacher's, over %d pictures of %s\n",
           images / at_once * at_once, list.file);
    if (!files[2])
        printf("The student's weights are fresh: this is what its architecture brings, at best.\n");
    for (int t = 0; t < tables.count; ++t)
        print_table(net, &tables.tables[t]);
    print_advice(net, &tables);
    if (fflush(stdout)) vkd_fail("standard output: %s", strerror(errno));
    vkd_alike_free(&tables);
    vkd_picture_list_free(&list);
    vkd_cfg_free(&cfg);
    free_network(net);
}
