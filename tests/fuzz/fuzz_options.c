// The reader of the vkd sections, for libFuzzer: any bytes are a cfg, or one line says where they are none.
#define _GNU_SOURCE
#include "core/option_table.h"
#include "core/options.h"
#include "fuzz/mutate_cfg.h"
#include "fuzz/oracle.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const sections[] = {"net",           "vkd_projection", "vkd_whiten",
                                       "convolutional", "vkd_projecton",  "network"};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    const vkd_option_section *tables[] = {&vkd_projection_section, &vkd_whiten_section, &vkd_net_section};
    const char *keys[64];
    size_t count = 0;
    for (int t = 0; t < 3; ++t)
        for (int i = 0; i < tables[t]->count; ++i)
            keys[count++] = tables[t]->rows[i].key;
    return fuzz_mutate_cfg(data, size, most, seed, sections, sizeof sections / sizeof *sections, keys, count);
}

// The plain cfg of a good one has no taps, and stripping it again changes nothing.
static void check_strip(const char *path) {
    char *plain, *again;
    size_t length, length_again;
    vkd_error err;
    vkd_cfg cfg;
    if (vkd_cfg_strip(path, &plain, &length, &err)) fuzz_fault(err.text);
    const char *stripped = fuzz_file(1, plain, length);
    if (vkd_cfg_strip(stripped, &again, &length_again, &err)) fuzz_fault(err.text);
    if (length != length_again || memcmp(plain, again, length))
        fuzz_fault("stripped twice is something else");
    if (vkd_cfg_read(stripped, &cfg, &err)) fuzz_fault(err.text);
    if (cfg.tap_count) fuzz_fault("a stripped cfg has taps");
    vkd_cfg_free(&cfg);
    free(plain);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(0, data, size);
    vkd_cfg cfg;
    vkd_error err = {VKD_OK, ""};
    vkd_status status = vkd_cfg_read(path, &cfg, &err);
    vkd_cfg_free(&cfg);
    if (status)
        fuzz_refused(err.text, path);
    else
        check_strip(path);
    fuzz_count(!status);
    return 0;
}
