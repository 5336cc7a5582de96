// What the loader of detectors says of a picture's frame, against the pixels it puts there.
#include "host/small_nets.h"

#include "host/padding.h"
#include "host/run.h"

#include "data.h"

#include <math.h>

enum { SIDE = 48, PICTURES = 24 };

// Pictures of several shapes without the padding's grey in them.
static void write_pictures(char **paths) {
    const int shapes[][2] = {{40, 40}, {60, 20}, {20, 70}, {90, 31}};
    for (int i = 0; i < 4; ++i) {
        char name[32];
        snprintf(name, sizeof name, "p%d.ppm", i);
        FILE *file = fopen(name, "wb");
        fprintf(file, "P6\n%d %d\n255\n", shapes[i][0], shapes[i][1]);
        for (int j = 0; j < 3 * shapes[i][0] * shapes[i][1]; ++j)
            fputc(200 + j % 50, file);
        fclose(file);
        snprintf(name, sizeof name, "p%d.txt", i);
        write_text(name, "0 0.5 0.5 0.2 0.2\n");
        paths[i] = strdup(i == 0 ? "p0.ppm" : i == 1 ? "p1.ppm" : i == 2 ? "p2.ppm" : "p3.ppm");
    }
}

static void frames_are_where_the_pixels_are(void **state) {
    (void)state;
    char *paths[4];
    write_pictures(paths);
    load_args args = {0};
    data d;
    char *argv[] = {"darknet", "-seed", "1", NULL};
    vkd_run_parse(3, argv);
    args.paths = paths;
    args.n = PICTURES;
    args.m = 4;
    args.w = args.h = SIDE;
    args.num_boxes = 5;
    args.classes = 1;
    args.jitter = .3f;
    args.threads = 3;
    args.type = DETECTION_DATA;
    args.d = &d;
    int padding = 0;
    static float mask[PICTURES * SIDE * SIDE];
    for (size_t batch = 5; batch < 9; ++batch) {
        args.vkd_batch = batch;
        pthread_join(load_data(args), NULL);
        vkd_padding_mask(batch, 0, PICTURES, SIDE, SIDE, mask);
        for (int p = 0; p < PICTURES; ++p)
            for (int i = 0; i < SIDE * SIDE; ++i) {
                // Padding is .5. The picture's last row and column may be anything: Darknet blends them with
                // 0.
                bool inside = fabsf(d.X.vals[p][i] - .5f) > 1e-6f;
                assert_int_equal(mask[p * SIDE * SIDE + i], inside);
                padding += !inside;
            }
        // The same from the middle of the batch on.
        static float part[SIDE * SIDE];
        vkd_padding_mask(batch, 7, 1, SIDE, SIDE, part);
        assert_memory_equal(part, mask + 7 * SIDE * SIDE, sizeof part);
        free_data(d);
    }
    assert_true(padding > 4 * PICTURES * SIDE * SIDE / 10);
    // The batches before the last few are forgotten: nothing is known to be padding.
    args.vkd_batch = 9;
    pthread_join(load_data(args), NULL);
    free_data(d);
    vkd_padding_mask(5, 0, PICTURES, SIDE, SIDE, mask);
    for (int i = 0; i < PICTURES * SIDE * SIDE; ++i)
        assert_true(mask[i] == 1);
    for (int i = 0; i < 4; ++i)
        free(paths[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames_are_where_the_pixels_are)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
