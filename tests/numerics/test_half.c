#include "support.h"

#include "numerics/half.h"

#include <float.h>
#include <stdio.h>

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// A finite half by its definition: (-1)^s 2^(e - 15) (1 + f / 1024), or 2^-14 f / 1024.
static double value_of(int h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -size : size;
}

static void every_half(void **state) {
    (void)state;
    for (int h = 0; h < 0x10000; ++h) {
        float x = vkd_float_of((vkd_half)h);
        bool finite = (h & 0x7c00) != 0x7c00;
        assert_int_equal(vkd_half_is_finite((vkd_half)h), finite);
        if (finite) {
            assert_true(x == value_of(h));
            assert_true(!!signbit(x) == !!(h & 0x8000));
            assert_int_equal(vkd_half_of(x), h);
        } else if (h & 0x3ff) {
            assert_true(x != x);
            assert_int_equal(vkd_half_of(x) & 0x7fff, 0x7e00);
        } else {
            assert_true(x == (h & 0x8000 ? -INFINITY : INFINITY));
            assert_int_equal(vkd_half_of(x), h);
        }
    }
}

// Between two neighbours: the middle goes to the even one, all else to the nearer.
static void to_the_nearest(void **state) {
    (void)state;
    for (int h = 0; h < 0x7bff; ++h)
        for (int sign = 0; sign < 2; ++sign) {
            float middle = (float)((value_of(h) + value_of(h + 1)) / 2);
            float below = nextafterf(middle, 0), above = nextafterf(middle, FLT_MAX);
            int bit = sign << 15;
            assert_int_equal(vkd_half_of(sign ? -middle : middle), bit | (h & 1 ? h + 1 : h));
            assert_int_equal(vkd_half_of(sign ? -below : below), bit | h);
            assert_int_equal(vkd_half_of(sign ? -above : above), bit | (h + 1));
        }
}

static void edges(void **state) {
    (void)state;
    assert_int_equal(vkd_half_of(VKD_HALF_LARGEST), 0x7bff);
    assert_int_equal(vkd_half_of(nextafterf(65520, 0)), 0x7bff);
    assert_int_equal(vkd_half_of(65520), 0x7c00);
    assert_int_equal(vkd_half_of(-65520), 0xfc00);
    assert_int_equal(vkd_half_of(FLT_MAX), 0x7c00);
    assert_int_equal(vkd_half_of(0x1p-25f), 0);
    assert_int_equal(vkd_half_of(-0x1p-25f), 0x8000);
    assert_int_equal(vkd_half_of(nextafterf(0x1p-25f, 1)), 1);
    assert_int_equal(vkd_half_of(FLT_TRUE_MIN), 0);
    assert_int_equal(vkd_half_of(-0.0f), 0x8000);
}

// Against the compiler's own conversion, over all exponents.
static void as_the_compiler(void **state) {
    (void)state;
#ifdef __FLT16_MAX__
    vkd_rng rng;
    vkd_rng_seed(&rng, 3, 0, 0);
    for (int i = 0; i < 2000000; ++i) {
        float x = (float)ldexp(vkd_rng_normal(&rng), (int)(60 * vkd_rng_uniform(&rng)) - 40);
        _Float16 y = (_Float16)x;
        uint16_t expected;
        memcpy(&expected, &y, sizeof expected);
        if (vkd_half_of(x) != expected)
            fail_msg("%a (%08x): found %04x, expected %04x", x, bits_of(x), vkd_half_of(x), expected);
    }
#else
    (void)bits_of;
    skip();
#endif
}

// The short way to the nearest half is the long one's: middles of halves end in 12 zeros, or lie among the
// subnormal ones.
static void the_short_way(void **state) {
    (void)state;
    for (uint64_t block = 0; block < UINT64_C(1) << 32; block += 4096)
        for (uint32_t i = 0; i < 4096; i += i < 2 || i >= 4092 ? 1 : 409) {
            const uint32_t bits = (uint32_t)block + i;
            float x;
            memcpy(&x, &bits, sizeof x);
            const float expected = vkd_float_of(vkd_half_of(x)), found = vkd_nearest_half(x);
            if (bits_of(found) != bits_of(expected) && (expected == expected || found == found))
                fail_msg("%a (%08x): found %a, expected %a", x, bits, found, expected);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half),      cmocka_unit_test(to_the_nearest), cmocka_unit_test(edges),
        cmocka_unit_test(as_the_compiler), cmocka_unit_test(the_short_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
