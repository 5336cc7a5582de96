/* Patch 427: a network's workspace is large enough for the convolutions inside [crnn], and for [local]. */
#include "child.h"

#include "network.h"
#include "parser.h"

#define NET "[net]\nbatch=2\ntime_steps=2\nwidth=9\nheight=8\nchannels=3\n"

static network *parse(const char *layer) {
    char cfg[1000];
    snprintf(cfg, sizeof(cfg), NET "%s[avgpool]\n[softmax]\n[cost]\n", layer);
    write_text("t.cfg", cfg);
    return parse_network_cfg("t.cfg");
}

/* The address sanitizer sees what is written behind the workspace. */
static void one_step(network *net) {
    for (int i = 0; i < net->inputs * net->batch; i++)
        net->input[i] = (float)(i % 7);
    net->train = 1;
    forward_network(net);
    backward_network(net);
}

static void test_crnn(void **state) {
    (void)state;
    network *net = parse("[crnn]\nhidden_filters=5\noutput_filters=4\nactivation=leaky\n");
    const layer *l = &net->layers[0];
    assert_true(l->input_layer->workspace_size > 0);
    assert_true(l->workspace_size >= l->input_layer->workspace_size);
    assert_true(l->workspace_size >= l->self_layer->workspace_size);
    assert_true(l->workspace_size >= l->output_layer->workspace_size);
    assert_non_null(net->workspace);
    one_step(net);
    free_network(net);
}

static void test_local(void **state) {
    (void)state;
    network *net = parse("[local]\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n");
    const layer *l = &net->layers[0];
    size_t patches = (size_t)(l->out_w * l->out_h * l->size * l->size * l->c);
    assert_int_equal(l->workspace_size, patches * sizeof(float));
    one_step(net);
    free_network(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crnn), cmocka_unit_test(test_local)};
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
