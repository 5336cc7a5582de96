// The cfg reader: what good cfgs come to.
#define _POSIX_C_SOURCE 200809L

#include "temporary_cfg.h"

static void a_plain_cfg_has_no_taps(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT, &cfg);
    assert_int_equal(cfg.layers, 2);
    assert_int_equal(cfg.tap_count, 0);
    assert_null(cfg.taps);
    assert_null(cfg.teacher_cfg);
    assert_null(cfg.teacher_weights);
    assert_int_equal(cfg.teacher_resize, 0);
    assert_int_equal(cfg.teacher_half, 0);
    assert_string_equal(cfg.path, written);
    vkd_cfg_free(&cfg);
    vkd_cfg_free(&cfg); // harmless twice
    vkd_cfg_free(NULL);
}

// The defaults of the design's tables.
static void a_tap_with_one_key(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=-2", &cfg); // no newline at the end
    assert_int_equal(cfg.tap_count, 1);
    const vkd_tap_options *t = &cfg.taps[0];
    assert_int_equal(t->from, 1);
    assert_int_equal(t->place, 2);
    assert_int_equal(t->teacher_from, -2);
    assert_int_equal(t->map, VKD_OPTION_MAP_PROCRUSTES);
    assert_int_equal(t->rebase, 1);
    assert_true(t->momentum == 0.9f);
    assert_int_equal(t->loss, VKD_OPTION_LOSS_L2);
    assert_true(t->ratio == 2);
    assert_false(t->has_weight);
    assert_true(t->weight == 0);
    assert_int_equal(t->student_norm, VKD_OPTION_STUDENT_STANDARDIZE);
    assert_int_equal(t->pool, VKD_OPTION_POOL_DENSE);
    assert_int_equal(t->warmup, 0);
    assert_int_equal(t->until, 0);
    assert_int_equal(t->ramp, VKD_OPTION_RAMP_LINEAR);
    assert_true(t->foreground == 1);
    assert_false(vkd_tap_sets(t, "foreground"));
    assert_true(vkd_tap_sets(t, "teacher_from"));
    assert_true(t->learning_rate == 1);
    assert_int_equal(t->line, 7);
    assert_int_equal(t->whiten.mode, VKD_OPTION_MODE_STANDARDIZE);
    assert_int_equal(t->whiten.statistics, VKD_OPTION_STATISTICS_RUNNING);
    assert_int_equal(t->whiten.images, 2000);
    assert_true(t->whiten.momentum == 0.99f);
    assert_int_equal(t->whiten.whitening, VKD_OPTION_WHITENING_ZCA);
    assert_true(t->whiten.shrinkage == 0.05f);
    assert_int_equal(t->whiten.rank, 0);
    assert_true(t->whiten.eps == 1e-5f);
    assert_int_equal(t->whiten.line, 0);
    vkd_cfg_free(&cfg);
}

// The closed form is l2's alone.
static void default_map_of_another_loss(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=-2\nloss=smooth_l1\nrebase=3", &cfg);
    assert_int_equal(cfg.taps[0].map, VKD_OPTION_MAP_MATRIX_EXP);
    vkd_cfg_free(&cfg);
}

// An image as a whole has none.
static void default_foreground_of_a_pool(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=-2\npool=global", &cfg);
    assert_true(cfg.taps[0].foreground == 0);
    vkd_cfg_free(&cfg);
}

static void every_key_arrives(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "[network]\nteacher_cfg=cfg/"
        "t.cfg\nteacher_weights=t.weights\nteacher_resize=1\nteacher_half=1\n[maxpool]\n[maxpool]\n"
        "[vkd_whiten]\nmode=whiten\nstatistics=running\nmomentum=0.5\nwhitening=cholesky\nshrinkage=1\nrank="
        "0\n"
        "eps=1e-3\n[vkd_projection]\nfrom=0\nteacher_from=79\nmap=cayley\nrebase=7\nmomentum=0.25\nloss="
        "l2\nweight=100\n"
        "student_norm=none\npool=global\nwarmup=10\nuntil=11\nramp=cosine\nlearning_rate=0\n",
        &cfg);
    assert_string_equal(cfg.teacher_cfg, "cfg/t.cfg");
    assert_string_equal(cfg.teacher_weights, "t.weights");
    assert_int_equal(cfg.teacher_resize, 1);
    assert_int_equal(cfg.teacher_half, 1);
    const vkd_tap_options *t = &cfg.taps[0];
    assert_int_equal(t->from, 0);
    assert_int_equal(t->teacher_from, 79);
    assert_int_equal(t->map, VKD_OPTION_MAP_CAYLEY);
    assert_int_equal(t->rebase, 7);
    assert_true(t->momentum == 0.25f);
    assert_true(t->has_weight);
    assert_true(t->weight == 100);
    assert_true(t->ratio == 2);
    assert_int_equal(t->student_norm, VKD_OPTION_STUDENT_NONE);
    assert_int_equal(t->pool, VKD_OPTION_POOL_GLOBAL);
    assert_int_equal(t->warmup, 10);
    assert_int_equal(t->until, 11);
    assert_int_equal(t->ramp, VKD_OPTION_RAMP_COSINE);
    assert_true(t->learning_rate == 0);
    assert_int_equal(t->line, 16);
    assert_int_equal(t->whiten.mode, VKD_OPTION_MODE_WHITEN);
    assert_true(t->whiten.momentum == 0.5f);
    assert_int_equal(t->whiten.whitening, VKD_OPTION_WHITENING_CHOLESKY);
    assert_true(t->whiten.shrinkage == 1);
    assert_true(t->whiten.eps == 1e-3f);
    assert_int_equal(t->whiten.line, 8);
    vkd_cfg_free(&cfg);
}

static void weight_zero_is_a_weight(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(STUDENT "[vkd_projection]\nteacher_from=0\nweight=0\n", &cfg);
    assert_true(cfg.taps[0].has_weight);
    assert_true(cfg.taps[0].weight == 0);
    vkd_cfg_free(&cfg);
}

// Darknet's habits: spaces and tabs anywhere, CRLF, '#' and ';' lines, upper floors of comments, no last
// newline.
static void the_writing_is_free(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "# a student\r\n; of mine\r\n\r\n [ net ]\r\n\tteacher_cfg = my teachers/v 3#1.cfg  # the big one\r\n"
        "batch=1 # not ours\r\n[convolutional]\r\nno equals here, and not ours to judge\r\n"
        "[\tvkd_whiten ]\r\n mo de =\tnone\t# raw\r\n\r\n; between\r\n[vkd_projection]\r\n"
        "  teacher_from  =  - 1 \r\n#ratio=7\r\n;ratio=8\r\nratio=0.4#tried\r\n\tmap=cayley\r",
        &cfg);
    assert_string_equal(cfg.teacher_cfg, "my teachers/v 3#1.cfg");
    assert_int_equal(cfg.layers, 1);
    assert_int_equal(cfg.tap_count, 1);
    assert_int_equal(cfg.taps[0].teacher_from, -1);
    assert_true(cfg.taps[0].ratio == 0.4f);
    assert_int_equal(cfg.taps[0].map, VKD_OPTION_MAP_CAYLEY);
    assert_int_equal(cfg.taps[0].whiten.mode, VKD_OPTION_MODE_NONE);
    assert_int_equal(cfg.taps[0].line, 13);
    vkd_cfg_free(&cfg);
}

// Sections may stand anywhere below [net]; a whiten section is its projection's alone; `from` goes by its
// place.
static void several_taps_between_the_layers(void **state) {
    (void)state;
    vkd_cfg cfg;
    read_good(
        "[net]\n[vkd_projection]\nfrom=2\nteacher_from=1\n[convolutional]\n[vkd_whiten]\nmode=layernorm\n"
        "[vkd_projection]\nteacher_from=2\n[convolutional]\n[unknown_to_us]\n[vkd_projection]\nfrom=-3\n"
        "teacher_from=3\n[vkd_projection]\nteacher_from=4\n[yolo]\n",
        &cfg);
    assert_int_equal(cfg.layers, 4);
    assert_int_equal(cfg.tap_count, 4);
    const int from[] = {2, 0, 0, 2}, place[] = {0, 1, 3, 3}, line[] = {2, 8, 12, 15};
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(cfg.taps[i].from, from[i]);
        assert_int_equal(cfg.taps[i].place, place[i]);
        assert_int_equal(cfg.taps[i].line, line[i]);
        assert_int_equal(cfg.taps[i].teacher_from, i + 1);
        assert_int_equal(cfg.taps[i].whiten.mode,
                         i == 1 ? VKD_OPTION_MODE_LAYERNORM : VKD_OPTION_MODE_STANDARDIZE);
        assert_int_equal(cfg.taps[i].whiten.line, i == 1 ? 6 : 0);
    }
    vkd_cfg_free(&cfg);
}

static void a_later_error_names_the_keys_line(void **state) {
    (void)state;
    vkd_cfg cfg;
    vkd_error err;
    char expected[256];
    read_good(STUDENT "[vkd_whiten]\neps=1\n[vkd_projection]\nteacher_from=99\n", &cfg);
    const struct {
        const char *key, *place;
    } cases[] = {{"teacher_from", ":10: [vkd_projection] teacher_from: 99 is too much"},
                 {"from", ":9: [vkd_projection] from: 99 is too much"}, // at its default: the section's line
                 {"eps", ":8: [vkd_whiten] eps: 99 is too much"},
                 {"rank", ":7: [vkd_whiten] rank: 99 is too much"}};
    for (int i = 0; i < 4; ++i) {
        snprintf(expected, sizeof(expected), "%s%s", cfg.path, cases[i].place);
        assert_int_equal(vkd_tap_error(&err, &cfg, 0, cases[i].key, "%d is too much", 99),
                         VKD_INVALID_ARGUMENT);
        assert_string_equal(err.text, expected);
    }
    vkd_cfg_free(&cfg);
    read_good(STUDENT "[vkd_projection]\nteacher_from=99\n", &cfg); // no whiten section to point at
    snprintf(expected, sizeof(expected), "%s:7: [vkd_projection] rank: no", cfg.path);
    vkd_tap_error(&err, &cfg, 0, "rank", "no");
    assert_string_equal(err.text, expected);
    vkd_cfg_free(&cfg);
    read_good("[net]\nbatch=1\nteacher_half=1\n[maxpool]\n", &cfg);
    snprintf(expected, sizeof(expected), "%s:3: [net] teacher_half: found 1", cfg.path);
    assert_int_equal(vkd_net_error(&err, &cfg, "teacher_half", "found %d", 1), VKD_INVALID_ARGUMENT);
    assert_string_equal(err.text, expected);
    snprintf(expected, sizeof(expected), "%s: [net] teacher_cfg: none", cfg.path); // not set: no line
    vkd_net_error(&err, &cfg, "teacher_cfg", "none");
    assert_string_equal(err.text, expected);
    vkd_cfg_free(&cfg);
}

static void words_of_values(void **state) {
    (void)state;
    assert_string_equal(vkd_option_word("map", VKD_OPTION_MAP_PROCRUSTES), "procrustes");
    assert_string_equal(vkd_option_word("mode", VKD_OPTION_MODE_WHITEN), "whiten");
    assert_string_equal(vkd_option_word("map", VKD_OPTION_MAP_IDENTITY + 1), "?");
    assert_string_equal(vkd_option_word("map", -1), "?");
    assert_string_equal(vkd_option_word("rank", 0), "?");
    assert_string_equal(vkd_option_word("nothing", 0), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_cfg_has_no_taps),
        cmocka_unit_test(a_tap_with_one_key),
        cmocka_unit_test(default_map_of_another_loss),
        cmocka_unit_test(default_foreground_of_a_pool),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(weight_zero_is_a_weight),
        cmocka_unit_test(the_writing_is_free),
        cmocka_unit_test(several_taps_between_the_layers),
        cmocka_unit_test(a_later_error_names_the_keys_line),
        cmocka_unit_test(words_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
