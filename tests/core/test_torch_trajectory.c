// 100 steps of plain SGD with momentum on |V - T|^2 / 2, rebase=0, against torch.optim.SGD on the parameters
// of torch.nn.utils.parametrizations.orthogonal. torch's parameter X and our D = B skc(X) (householder: 2 B
// skc(X)) then move together, momentum included, when our rate is torch's (householder: 4 times torch's); see
// scripts/make_reference.py.
#include "../numerics/support.h"

#include "core/projection.h"
#include "reference/trajectory.h"

typedef struct torch_case {
    vkd_option_map map;
    int n, k;
    const float *P, *T;
    const double *V10, *V100;
} torch_case;

#define CASE(value, map, n, k)                                                                               \
    { value, n, k, P_##map##_##n##_##k, T_##map##_##n##_##k, V10_##map##_##n##_##k, V100_##map##_##n##_##k }
#define CASES(value, map)                                                                                    \
    CASE(value, map, 9, 4), CASE(value, map, 7, 5), CASE(value, map, 6, 6), CASE(value, map, 4, 9)

static const torch_case cases[] = {CASES(VKD_OPTION_MAP_MATRIX_EXP, matrix_exp),
                                   CASES(VKD_OPTION_MAP_CAYLEY, cayley),
                                   CASES(VKD_OPTION_MAP_HOUSEHOLDER, householder)};
static const double rate = 0.02;

static void follows_torch(void **state) {
    (void)state;
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const torch_case *t = &cases[c];
        vkd_projection p;
        vkd_rng rng;
        vkd_rng_seed(&rng, 1, 1, 1);
        vkd_tap_options options = {.map = (int)t->map, .rebase = 0, .momentum = 0.9f};
        assert_ok(vkd_projection_create(&p, &options, t->n, t->k, &rng));
        const size_t size = (size_t)p.rows * (size_t)p.cols;
        memcpy(p.V, t->P, size * sizeof *p.V);
        memcpy(p.base, t->P, size * sizeof *p.base);
        for (int step = 1; step <= 100; ++step) {
            for (size_t i = 0; i < size; ++i)
                p.gradient[i] = p.V[i] - t->T[i];
            assert_ok(vkd_projection_gather(&p));
            assert_ok(vkd_projection_move(&p, rate * norm_floats(p.momentum, size)));
            if (step == 10) assert_below(relative_mixed(p.V, t->V10, size), 1e-5);
        }
        assert_below(relative_mixed(p.V, t->V100, size), 1e-4);
        assert_true(relative_floats(p.V, t->P, size) > 0.3); // far from the base
        assert_int_equal(p.since_rebase, 100);
        vkd_projection_free(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
