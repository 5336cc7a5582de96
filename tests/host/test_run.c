// The run's flags leave argv as Darknet expects it, and a seed fixes every sequence of the loader.
#include "host/small_nets.h"

#include <pthread.h>

static void parse(int argc, const char *const *words, char **argv) {
    for (int i = 0; i < argc; ++i)
        argv[i] = (char *)words[i];
    argv[argc] = NULL;
    vkd_run_parse(argc, argv);
}

static void test_flags_are_taken_out(void **state) {
    (void)state;
    const char *words[] = {
        "darknet", "-teacher_weights", "t.w",          "classifier", "-seed", "18446744073709551615",
        "train",   "a.data",           "-teacher_cfg", "t.cfg",      "b.cfg"};
    char *argv[12];
    parse(11, words, argv);
    const char *left[] = {"darknet", "classifier", "train", "a.data", "b.cfg"};
    for (int i = 0; i < 5; ++i)
        assert_string_equal(argv[i], left[i]);
    for (int i = 5; i < 11; ++i)
        assert_null(argv[i]);
    assert_string_equal(vkd_run_options()->teacher_cfg, "t.cfg");
    assert_string_equal(vkd_run_options()->teacher_weights, "t.w");
    assert_true(vkd_run_options()->seeded);
    assert_true(vkd_run_options()->seed == UINT64_MAX);
}

typedef struct place {
    size_t batch;
    int place, index;
    int choice[4], augmentation[4];
} place;

// What a loader's thread draws for one picture.
static void *draw(void *arg) {
    place *p = arg;
    vkd_loader_begin(p->batch, p->place);
    vkd_seed_choice(p->index);
    for (int i = 0; i < 4; ++i)
        p->choice[i] = vkd_rand();
    vkd_seed_augmentation(p->index);
    for (int i = 0; i < 4; ++i)
        p->augmentation[i] = vkd_rand();
    return NULL;
}

static void test_seed_is_of_the_place(void **state) {
    (void)state;
    const char *words[] = {"darknet", "-seed", "7"};
    char *argv[4];
    parse(3, words, argv);
    place here = {.batch = 5, .place = 2, .index = 1}, split = {.batch = 5, .place = 3, .index = 0},
          thread = here;
    draw(&here);
    // Another thread, and another share of the batch for it: the picture's place is the same.
    draw(&split);
    assert_memory_equal(here.choice, split.choice, sizeof here.choice);
    assert_memory_equal(here.augmentation, split.augmentation, sizeof here.augmentation);
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, draw, &thread), 0);
    pthread_join(id, NULL);
    assert_memory_equal(here.choice, thread.choice, sizeof here.choice);
    assert_memory_equal(here.augmentation, thread.augmentation, sizeof here.augmentation);
    // Choice and augmentation, other places, other batches and other seeds are other sequences.
    assert_memory_not_equal(here.choice, here.augmentation, sizeof here.choice);
    place other = {.batch = 5, .place = 2, .index = 2}, next = {.batch = 6, .place = 2, .index = 1};
    draw(&other);
    draw(&next);
    assert_memory_not_equal(here.choice, other.choice, sizeof here.choice);
    assert_memory_not_equal(here.choice, next.choice, sizeof here.choice);
    words[2] = "8";
    parse(3, words, argv);
    place seed = {.batch = 5, .place = 2, .index = 1};
    draw(&seed);
    assert_memory_not_equal(here.choice, seed.choice, sizeof here.choice);
}

static void test_numbers_are_in_range(void **state) {
    (void)state;
    const char *words[] = {"darknet", "-seed", "3"};
    char *argv[4];
    parse(3, words, argv);
    vkd_seed_thread(VKD_STREAM_STEP, 1, 0);
    double sum = 0;
    enum { draws = 20000 };
    for (int i = 0; i < draws; ++i) {
        int r = vkd_rand();
        assert_true(r >= 0 && r <= RAND_MAX);
        sum += (double)r / RAND_MAX;
    }
    // Five deviations of the mean of uniform numbers.
    assert_true(fabs(sum / draws - 0.5) < 5 * sqrt(1.0 / 12 / draws));
}

static void draw_unseeded(void *arg) {
    (void)arg;
    // In a process of its own, which no test has seeded: Darknet's rand().
    srand(4);
    int expected = rand();
    srand(4);
    vkd_seed_thread(VKD_STREAM_STEP, 1, 0);
    _exit(vkd_rand() == expected ? 0 : 9);
}

static void test_without_a_seed_it_is_rand(void **state) {
    (void)state;
    child_result r = in_child(draw_unseeded, NULL);
    assert_int_equal(r.status, 0);
}

static void test_batches_are_counted(void **state) {
    (void)state;
    vkd_set_next_load(41);
    assert_int_equal(vkd_next_load(0), 41);
    assert_int_equal(vkd_next_load(7), 7);
    assert_int_equal(vkd_next_load(0), 42);
}

static void parse_words(void *arg) {
    const char *const *words = arg;
    char *argv[8];
    int argc = 0;
    while (words[argc])
        ++argc;
    parse(argc, words, argv);
}

static void test_bad_flags(void **state) {
    (void)state;
    const char *word[] = {"darknet", "-seed", "x", NULL}, *none[] = {"darknet", "-seed", NULL},
               *minus[] = {"darknet", "-seed", "-1", NULL}, *cut[] = {"darknet", "-seed", "1e3", NULL},
               *cfg[] = {"darknet", "-teacher_cfg", "-seed", "1", NULL};
    assert_dies(parse_words, word, "-seed: found \"x\"; expected an integer >= 0");
    assert_dies(parse_words, cut, "-seed: found \"1e3\"; expected an integer >= 0");
    assert_dies(parse_words, none, "-seed needs a value");
    assert_dies(parse_words, minus, "-seed: found \"-1\"; expected an integer >= 0");
    assert_dies(parse_words, cfg, "-teacher_cfg needs a value");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_seed_it_is_rand), // first: nothing has seeded yet
        cmocka_unit_test(test_flags_are_taken_out),
        cmocka_unit_test(test_seed_is_of_the_place),
        cmocka_unit_test(test_numbers_are_in_range),
        cmocka_unit_test(test_batches_are_counted),
        cmocka_unit_test(test_bad_flags),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
