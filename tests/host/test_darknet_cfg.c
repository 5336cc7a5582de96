/* Darknet's own sections: a bad one for every key of the tables and for every rule, with the exact line. */
#include "patches/child.h"

#include "core/option_table.h"
#include "host/darknet_keys.h"
#include "host/hooks.h"
#include "host/machine_memory.h"
#include "host/plugin.h"
#include "host/run.h"

#include "darknet.h"

#include <float.h>
#include <limits.h>

#define NET  "[net]\nbatch=1\nwidth=16\nheight=16\nchannels=3\n"                        /* lines 1 to 5 */
#define CONV "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=linear\n" /* 6 to 11 */
#define CROP "[crop]\ncrop_height=8\ncrop_width=8\n"

/* A gigabyte, whatever the machine: the messages name it. */
double vkd_machine_memory(void) {
    return 1e9;
}

static void parse(void *text) {
    write_text("t.cfg", text);
    free_network(parse_network_cfg("t.cfg"));
}

/* ---- every key of the tables */

static void assert_row(const char *section, const vkd_option_row *row, const char *value, const char *what) {
    char text[512], expected[256], line[1024];
    bool net = !strcmp(section, "net");
    if (!net) snprintf(text, sizeof text, NET "[%s]\n%s=%s\n", section, row->key, value);
    if (net) snprintf(text, sizeof text, "[net]\n%s=%s\n" CONV, row->key, value);
    vkd_option_expected(row, expected, sizeof expected);
    snprintf(line, sizeof line, "t.cfg:%d: [%s] %s: %s; expected %s", net ? 2 : 7, section, row->key, what,
             expected);
    assert_dies(parse, text, line);
}

static int assert_rows(const char *section, const vkd_option_section *table) {
    for (int i = 0; i < table->count; ++i) {
        const vkd_option_row *row = &table->rows[i];
        const bool word = row->type == VKD_ROW_WORD, is_int = row->type == VKD_ROW_INT;
        assert_row(section, row, "abc",
                   word     ? "unknown value \"abc\""
                   : is_int ? "\"abc\" is not an integer"
                            : "\"abc\" is not a number");
        char value[64], what[96];
        if (!word && row->min > (is_int ? (double)INT_MIN : (double)-FLT_MAX)) {
            snprintf(value, sizeof value, "%.0f", row->min - 1);
            snprintf(what, sizeof what, "%s is out of range", value);
            assert_row(section, row, value, what);
        }
        if (!word) {
            const double beyond = row->max < INT_MAX ? row->max + 1 : row->max * 2;
            snprintf(value, sizeof value, "%.0f", beyond);
            snprintf(what, sizeof what,
                     strlen(value) > 64 ? "%.64s... is out of range" : "%s is out of range", value);
            if (strlen(value) < 60) assert_row(section, row, value, what);
        }
    }
    return table->count;
}

static void test_every_key(void **state) {
    (void)state;
    int rows = 0;
    for (int type = 0; type < BLANK; ++type) {
        const vkd_darknet_section *s = vkd_darknet_section_of((LAYER_TYPE)type);
        if (!s->values.name) continue;
        rows += assert_rows(s->values.name, &s->values);
        rows += assert_rows(s->lists.name, &s->lists);
    }
    rows += assert_rows("maxpool", &vkd_darknet_common);
    assert_true(rows > 150);
}

/* ---- every rule */

static char *const bad[][2] = {
    /* keys and lists */
    {NET CONV "[yolo]\nmask=0,\n", "t.cfg:13: [yolo] mask: no value; expected an integer >= 0"},
    {NET CONV "[route]\nlayers=-1,\n", "t.cfg:13: [route] layers: no value; expected an integer"},
    {NET CONV "[route]\nlayers=-1,0000000000000000000000000000000000000000000000000000000000000001\n",
     "t.cfg:13: [route] layers: a number of 64 characters; expected at most 63"},
    {NET "[conv]\nfilters=abc\n",
     "t.cfg:7: [conv] filters: \"abc\" is not an integer; expected an integer >= 1"},
    {NET "[convolutional]\nfilters=#4\n",
     "t.cfg:7: [convolutional] filters: no value; expected an integer >= 1"},
    {NET "[convolutional]\nactivation=linaer # the head\n",
     "t.cfg:7: [convolutional] activation: unknown value \"linaer\"; expected linear, leaky, relu, logistic, "
     "tanh, "
     "elu, selu, relie, ramp, loggy, plse, stair, hardtan or lhtan"},
    /* sections */
    {NET "[convolutionall]\nfilters=1\n", "t.cfg:6: unknown section [convolutionall]"},
    {NET "[\x1b]\n", "t.cfg:6: unknown section [?]"},
    {NET CONV "[net]\n", "t.cfg:12: unknown section [net]"},
    /* [net] */
    {NET "subdivisions=2\n" CONV, "t.cfg:6: [net] subdivisions: 2 with batch=1; expected at most that"},
    {"[net]\nwidth=16\n" CONV,
     "t.cfg:2: [net] width: width=16 height=0 channels=0; expected numbers above 0, or inputs="},
    {NET "inputs=5\n" CONV, "t.cfg:6: [net] inputs: 5; expected width*height*channels = 768"},
    {"[net]\nwidth=65536\nheight=65536\nchannels=3\n" CONV,
     "t.cfg:2: [net] width: 1.288e+10 numbers of input; Darknet counts up to 2147483647"},
    {"[net]\ninputs=16\nbatch=2147483647\n" CONV,
     "t.cfg:3: [net] batch: 3.436e+10 numbers of input; Darknet counts up to 2147483647"},
    {NET "policy=steps\nsteps=1,2\nscales=.1\n" CONV,
     "t.cfg:8: [net] scales: 2 steps and 1 scales; expected as many of each, and one at least"},
    {NET "policy=steps\n" CONV,
     "t.cfg:1: [net] steps: 0 steps and 0 scales; expected as many of each, and one at least"},
    /* what the layer before gives */
    {"[net]\ninputs=16\n[convolutional]\n",
     "t.cfg:3: [convolutional]: the layer before has no width, height and channels; expected a feature map"},
    {NET CONV "[maxpool]\nstride=3\n[upsample]\nstride=3\n[route]\nlayers=-1,0\n" CONV,
     "t.cfg:18: [convolutional]: the [route] before joins layer 2, 18 x 18, and layer 0, 16 x 16; expected "
     "grids alike: are width and height in [net] multiples of every stride?"},
    {"[net]\nwidth=1000000\nheight=1\nchannels=1\n[upsample]\nstride=2\n[maxpool]\n",
     "t.cfg:7: [maxpool]: the layer before is 2e+06 x 2; expected at most 1000000 either way"},
    {NET "[maxpool]\nsize=20\npadding=0\n",
     "t.cfg:7: [maxpool] size: nothing is left of the layer before, 16 x 16"},
    {NET "[convolutional]\nsize=17\n",
     "t.cfg:7: [convolutional] size: nothing is left of the layer before, 16 x 16"},
    {NET "[local]\nsize=17\n", "t.cfg:7: [local] size: nothing is left of the layer before, 16 x 16"},
    {NET "[deconvolutional]\npadding=8\n",
     "t.cfg:7: [deconvolutional] padding: nothing is left of the layer before, 16 x 16"},
    {NET "[dropout]\nprobability=.5\n", "t.cfg:6: [dropout]: found first; expected a layer before it"},
    {NET "[cost]\n", "t.cfg:6: [cost]: found first; expected a layer before it"},
    {NET CROP "[dropout]\n",
     "t.cfg:9: [dropout]: the layer before is [crop], which takes no gradient; expected another"},
    /* sizes */
    {NET "[convolutional]\nfilters=2147483647\n",
     "t.cfg:7: [convolutional] filters: 6.442e+09 weights; Darknet counts up to 2147483647"},
    {NET "[convolutional]\nfilters=100000000\n", "t.cfg:7: [convolutional] filters: 3e+08 weights; with them "
                                                 "the network needs at least 2400 MB, and the machine "
                                                 "has 1000 MB"},
    {NET "[convolutional]\nfilters=4\ngroups=3\n",
     "t.cfg:8: [convolutional] groups: 3 groups, 4 filters on 3 channels; expected a divisor of both"},
    {NET "[maxpool]\nsize=2\npadding=3\n",
     "t.cfg:8: [maxpool] padding: 3; expected at most twice size - 1, 2, or a window sees nothing"},
    {NET "[reorg]\nstride=2\n", "t.cfg:7: [reorg] stride: 2 on 16 x 16 x 3; expected its square to divide "
                                "the channels, and itself width and "
                                "height"},
    {NET "[reorg]\nstride=2\nreverse=1\n",
     "t.cfg:7: [reorg] stride: 2 on 16 x 16 x 3; expected its square to divide the channels"},
    {NET "[upsample]\nstride=0\n",
     "t.cfg:7: [upsample] stride: 0; expected how many times wider, or below 0 how many times narrower"},
    {NET "[upsample]\nstride=-3\n", "t.cfg:7: [upsample] stride: -3 on 16 x 16; expected a divisor of both"},
    {NET "[crop]\ncrop_width=17\n", "t.cfg:7: [crop] crop_width: 17; expected at most the width before, 16"},
    {NET "[crop]\ncrop_height=17\n",
     "t.cfg:7: [crop] crop_height: 17; expected at most the height before, 16"},
    {NET "[normalization]\nsize=8\n",
     "t.cfg:7: [normalization] size: 8 on 3 channels; expected at most twice as many"},
    {NET "[softmax]\nspatial=2147483647\n",
     "t.cfg:7: [softmax] spatial: 2147483647 is out of range; expected a number from 0 to 1"},
    {NET "[softmax]\ngroups=7\n", "t.cfg:7: [softmax] groups: 7 on 768 inputs; expected a divisor"},
    {NET "[convolutional]\nsize=65536\npad=1\n",
     "t.cfg:7: [convolutional] size: 1.288e+10 values under a filter; Darknet counts up to 2147483647"},
    {NET "[convolutional]\nsize=601\npad=1\n",
     "t.cfg:7: [convolutional] size: 2.774e+08 values of workspace; with them the network needs at least "
     "1118 MB, and the "
     "machine has 1000 MB"},
    {"[net]\nwidth=5000\nheight=5000\nchannels=3\n[maxpool]\nsize=1\n[dropout]\n",
     "t.cfg:7: [dropout]: 7.5e+07 random numbers; with them the network needs at least 1200 MB, and the "
     "machine has "
     "1000 MB"},
    {NET CONV "[yolo]\nclasses=3\nmax=2147483647\n",
     "t.cfg:14: [yolo] max: 1.074e+10 numbers of truth; Darknet counts up to 2147483647"},
    /* looking back */
    {NET CONV "[route]\n", "t.cfg:12: [route] layers: missing; expected one layer or more"},
    {NET "[route]\nlayers=0\n", "t.cfg:7: [route] layers: found 0, and this is the first layer"},
    {NET CONV "[route]\nlayers=1\n",
     "t.cfg:13: [route] layers: found 1, expected a layer before this one, 0 to 0 or -1 to -1"},
    {NET CONV "[route]\nlayers=-1,-2\n",
     "t.cfg:13: [route] layers: found -2, expected a layer before this one, 0 to 0 or -1 to -1"},
    {NET CROP "[route]\nlayers=0\n",
     "t.cfg:10: [route] layers: layer 0 is [crop], which takes no gradient; expected "
     "another"},
    {NET CONV "[shortcut]\nactivation=linear\n", "t.cfg:12: [shortcut] from: missing; expected a layer"},
    {NET CONV "[shortcut]\nfrom=-7\n",
     "t.cfg:13: [shortcut] from: found -7, expected a layer before this one, 0 to 0 or -1 to -1"},
    {NET CONV
     "[upsample]\nstride=3\n[crop]\ncrop_width=40\ncrop_height=16\n[convolutional]\n[shortcut]\nfrom=0\n",
     "t.cfg:19: [shortcut] from: layer 0 is 16 x 16 and the layer before this one 40 x 16; expected grids "
     "alike"},
    /* heads */
    {NET CONV "[yolo]\nmask=0\nanchors=8,8,16,16\nnum=1\nclasses=3\n",
     "t.cfg:14: [yolo] anchors: 4 numbers; expected 2*num = 2"},
    {NET CONV "[yolo]\nmask=1\nanchors=8,8\nnum=1\nclasses=3\n",
     "t.cfg:13: [yolo] mask: found 1; expected 0 to num-1 = 0"},
    {NET CONV "[yolo]\nmask=-1\nnum=1\nclasses=3\n",
     "t.cfg:13: [yolo] mask: -1 is out of range; expected an integer >= 0"},
    {NET CONV "[yolo]\nmask=0\nnum=1\nclasses=4\n",
     "t.cfg:12: [yolo]: needs 9 channels, found 8; set filters=9 in the layer before"},
    {NET CONV "[yolo]\nclasses=3\nmap=none\n", "t.cfg:14: [yolo] map: none: No such file or directory"},
    {NET CONV "[yolo]\nclasses=3\nmap=/\n", "t.cfg:14: [yolo] map: /: no plain file"},
    {NET CONV "[region]\nanchors=1,1,2,2\nnum=1\nclasses=3\n",
     "t.cfg:13: [region] anchors: 4 numbers; expected 2*num = 2"},
    {NET CONV "[iseg]\nclasses=3\n",
     "t.cfg:12: [iseg]: needs 35 channels, found 8; set filters=35 in the layer before"},
    {NET CONV "[detection]\n", "t.cfg:12: [detection] coords: missing; expected 4"},
    {NET CONV "[detection]\ncoords=4\n",
     "t.cfg:12: [detection]: needs 294 inputs = side*side*((1 + coords)*num + classes), found 2048"},
};

static void test_every_rule(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        assert_dies(parse, bad[i][0], bad[i][1]);
}

/* A teacher takes the student's batch, whatever its own time_steps. */
static void parse_with_one_picture(void *text) {
    write_text("t.cfg", text);
    free_network(vkd_load_for_pictures("t.cfg", NULL, 1, 0));
}

static void test_batch_of_another(void **state) {
    (void)state;
    assert_dies(parse_with_one_picture, "[net]\ninputs=4\ntime_steps=2\n[rnn]\n",
                "t.cfg:4: [rnn]: a batch of 1; expected a multiple of time_steps=2");
    assert_dies(parse_with_one_picture, NET "time_steps=2\n[crnn]\n",
                "t.cfg:7: [crnn]: a batch of 1; expected a multiple of time_steps=2");
}

static void check_with_itself(void *text) {
    char *argv[] = {"darknet", "vkd", "check", "t.cfg", "-teacher_cfg", "t.cfg", NULL};
    write_text("t.cfg", text);
    vkd_command(6, argv);
}

static void test_a_projection_too_large(void **state) {
    (void)state;
    assert_dies(check_with_itself,
                NET "[convolutional]\nfilters=8000\nstride=16\n[vkd_projection]\nteacher_from=0\n",
                "t.cfg:10: [vkd_projection] teacher_from: a projection of 8000 x 8000 needs at least 1024 "
                "MB, and the "
                "machine has 1000 MB");
    assert_dies(check_with_itself,
                NET "[convolutional]\nfilters=7000\nstride=16\n[vkd_whiten]\nmode=whiten\n"
                    "[vkd_projection]\nteacher_from=0\n",
                "t.cfg:12: [vkd_projection] teacher_from: a projection of 7000 x 7000 needs at least 1176 "
                "MB, and the "
                "machine has 1000 MB");
}

/* ---- what is no mistake */

static network *parse_text(const char *text) {
    write_text("t.cfg", text);
    return parse_network_cfg("t.cfg");
}

static void test_comments_behind_values(void **state) {
    (void)state;
    network *net = parse_text("[net]\nbatch=1\nwidth=16 # was 32\nheight=16#\nchannels=3\n"
                              "[convolutional]\nfilters=4 # few\nactivation=leaky # but not linear\n"
                              "[route]\nlayers=-1,0 # twice\n");
    assert_int_equal(net->w, 16);
    assert_int_equal(net->layers[0].n, 4);
    assert_int_equal(net->layers[0].activation, LEAKY);
    assert_int_equal(net->layers[1].out_c, 8);
    free_network(net);
}

/* Layers that no detector has, at the sizes they ask for. */
static void test_rare_layers(void **state) {
    (void)state;
    static char *const good[] = {NET "[convolutional]\nfilters=35\n[iseg]\nclasses=3\n",
                                 NET "[connected]\noutput=294\n[detection]\ncoords=4\n",
                                 NET CONV "[reorg]\nstride=2\n", NET CONV "[reorg]\nextra=5\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        child_result r = in_child(parse, good[i]);
        if (r.status) print_error("%s%s\n", good[i], r.err);
        assert_int_equal(r.status, 0);
    }
}

/* Darknet reads the first of two, and so the second may be anything. */
static void test_first_of_two(void **state) {
    (void)state;
    network *net = parse_text(NET "[convolutional]\nfilters=4\nfilters=abc\n");
    assert_int_equal(net->layers[0].n, 4);
    free_network(net);
}

static void test_byte_order_mark(void **state) {
    (void)state;
    child_result r = in_child(parse, "\xEF\xBB\xBF" NET CONV);
    assert_int_equal(r.status, 0);
    assert_null(strstr(r.err, "not understood"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),        cmocka_unit_test(test_every_rule),
        cmocka_unit_test(test_batch_of_another), cmocka_unit_test(test_a_projection_too_large),
        cmocka_unit_test(test_first_of_two),     cmocka_unit_test(test_comments_behind_values),
        cmocka_unit_test(test_byte_order_mark),  cmocka_unit_test(test_rare_layers),
    };
    vkd_run_set_quiet(true);
    gpu_index = -1;
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
