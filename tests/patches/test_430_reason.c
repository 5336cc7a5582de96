/* What a thread's last picture suffered from is told to that thread alone. */
#include "patches/child.h"

#include <pthread.h>

const char *stbi_failure_reason(void);
unsigned char *stbi_load_from_memory(const unsigned char *bytes, int size, int *w, int *h, int *channels,
                                     int wanted);

static const char *reason_of(const char *bytes) {
    int w, h, channels;
    unsigned char *pixels =
        stbi_load_from_memory((const unsigned char *)bytes, (int)strlen(bytes), &w, &h, &channels, 0);
    assert_null(pixels);
    return stbi_failure_reason();
}

static void *in_a_thread(void *bytes) {
    return (void *)reason_of(bytes);
}

static void test_reasons_do_not_mix(void **state) {
    (void)state;
    pthread_t thread;
    void *other;
    const char *own = reason_of("no picture");
    assert_non_null(own);
    assert_int_equal(pthread_create(&thread, NULL, in_a_thread, "GIF89a"), 0);
    assert_int_equal(pthread_join(thread, &other), 0);
    assert_non_null(other);
    assert_string_not_equal(own, (const char *)other);
    assert_string_equal(stbi_failure_reason(), own);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reasons_do_not_mix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
