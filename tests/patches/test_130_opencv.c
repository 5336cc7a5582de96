/* Patch 130: Darknet's OpenCV code compiles with the OpenCV 4 that is installed; skipped where there is none.
 */
#include "child.h"

#include "darknet.h"

#define CHECK                                                                                                \
    "cd \"$VKD_DARKNET\" && g++ -fsyntax-only -DOPENCV $(pkg-config --cflags opencv4) -Iinclude -Isrc "      \
    "src/image_opencv.cpp"

static void test_compiles_with_opencv_4(void **state) {
    (void)state;
    if (system("pkg-config --exists opencv4 2>/dev/null") != 0) skip();
    assert_int_equal(system(CHECK), 0);
}

/* Every name of OpenCV 2's C interface that the removed code used; needs no OpenCV. */
static void test_no_removed_names(void **state) {
    (void)state;
    assert_int_not_equal(system("grep -q 'IplImage\\|CV_CAP_\\|CV_WND_\\|CV_WINDOW_\\|system(' "
                                "\"$VKD_DARKNET\"/src/image_opencv.cpp"),
                         0);
}

#ifdef OPENCV
#include "image.h"

static void load_picture(void *name) {
    load_image_cv(name, 3);
}

/* Regression: the name went through 256 bytes and a shell. */
static void test_unreadable_name_is_no_command(void **state) {
    (void)state;
    assert_dies(load_picture, "x.jpg; touch made", "x.jpg; touch made: the picture cannot be read");
    assert_int_not_equal(access("made", F_OK), 0);
    assert_int_not_equal(access("bad.list", F_OK), 0);
}

static void test_colours_in_order(void **state) {
    (void)state;
    write_picture("p.ppm", 4, 2);
    image im = load_image_cv("p.ppm", 3);
    assert_int_equal(im.c, 3);
    for (int i = 0; i < 8; i++) {
        assert_true(im.data[i] == (float)(i * 7 / 255.));
        assert_true(im.data[16 + i] == (float)(200 / 255.));
    }
    free_image(im);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compiles_with_opencv_4),
        cmocka_unit_test(test_no_removed_names),
#ifdef OPENCV
        cmocka_unit_test(test_unreadable_name_is_no_command),
        cmocka_unit_test(test_colours_in_order),
#endif
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
