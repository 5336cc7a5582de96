#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
//
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checkpoint.h"
#include "core/file.h"

#define REMEDY "train with the one it was made with"

static char folder[] = "/tmp/test_checkpoint_XXXXXX";
static char path[64];

static int make_folder(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.vkd", folder);
    return 0;
}

static int remove_folder(void **unused) {
    (void)unused;
    unlink(path);
    return rmdir(folder); // fails where a test left a temporary file
}

enum { HEADER = 40, BLOCK = 40, FIRST = 3, SECOND = 8, SIZE = HEADER + 2 * BLOCK + FIRST + SECOND + 8 };

// Live objects of two blocks and their key, as a run holds them.
typedef struct run {
    unsigned char first[FIRST];
    double second;
    vkd_block blocks[2];
    vkd_checkpoint_key key;
} run;

static void set_up(run *r) {
    memset(r, 0, sizeof *r);
    memcpy(r->first, "abc", 3);
    r->second = -1.5;
    r->blocks[0] = (vkd_block){"tap0.P", r->first, sizeof r->first};
    r->blocks[1] = (vkd_block){"a name of thirty-one characters", &r->second, sizeof r->second};
    r->key = (vkd_checkpoint_key){12345, UINT64_C(0x1122334455667788), UINT64_C(0x99aabbccddeeff00)};
}

static void write_run(run *r) {
    set_up(r);
    assert_int_equal(vkd_checkpoint_write(path, &r->key, r->blocks, 2, NULL), VKD_OK);
}

static void put_bytes(const unsigned char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void get_bytes(unsigned char bytes[SIZE]) {
    unsigned char *data;
    size_t size;
    assert_int_equal(vkd_file_read(path, &data, &size, NULL), VKD_OK);
    assert_int_equal(size, SIZE);
    memcpy(bytes, data, SIZE);
    free(data);
}

// Makes a forged file's checksum right again.
static void put_signed(unsigned char *bytes, size_t size) {
    uint64_t checksum = vkd_hash(VKD_HASH_START, bytes, size - sizeof checksum);
    memcpy(bytes + size - sizeof checksum, &checksum, sizeof checksum);
    put_bytes(bytes, size);
}

// The file is refused with this status and "PATH: message", and nothing of the live run is changed.
static void assert_refused(run *r, int count, vkd_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void assert_refused(run *r, int count, vkd_status status, const char *format, ...) {
    char text[512];
    int length = snprintf(text, sizeof text, "%s: ", path);
    va_list args;
    va_start(args, format);
    vsnprintf(text + length, sizeof text - (size_t)length, format, args);
    va_end(args);
    memset(r->first, 0x5a, sizeof r->first);
    r->second = 77;
    r->key.seen = 4;
    unsigned char before[sizeof *r];
    memcpy(before, r, sizeof *r);
    vkd_error err = {VKD_OK, ""};
    assert_int_equal(vkd_checkpoint_read(path, &r->key, r->blocks, count, REMEDY, &err), status);
    assert_string_equal(err.text, text);
    assert_int_equal(err.status, status);
    assert_memory_equal(before, r, sizeof *r);
    assert_int_equal(vkd_checkpoint_read(path, &r->key, r->blocks, count, REMEDY, NULL), status);
}

// Test vectors of the authors (Fowler, Noll, Vo; draft-eastlake-fnv, 64 bits, FNV-1a).
static void hashes(void **unused) {
    (void)unused;
    assert_true(vkd_hash(VKD_HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(vkd_hash(VKD_HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(vkd_hash(VKD_HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    assert_true(vkd_hash(vkd_hash(VKD_HASH_START, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
    put_bytes((const unsigned char *)"foobar", 6);
    uint64_t hash = 0;
    assert_int_equal(vkd_hash_file(path, &hash, NULL), VKD_OK);
    assert_true(hash == UINT64_C(0x85944171f73967e8));
    put_bytes((const unsigned char *)"", 0);
    assert_int_equal(vkd_hash_file(path, &hash, NULL), VKD_OK);
    assert_true(hash == VKD_HASH_START);
    hash = 5;
    vkd_error err;
    assert_int_equal(vkd_hash_file(folder, &hash, &err), VKD_IO);
    assert_int_equal(err.status, VKD_IO);
    assert_true(hash == 5);
}

static void round_trips(void **unused) {
    (void)unused;
    run r;
    write_run(&r);
    memset(r.first, 0, sizeof r.first);
    r.second = 0;
    r.key.seen = 0; // not compared: taken from the file
    assert_int_equal(vkd_checkpoint_read(path, &r.key, r.blocks, 2, REMEDY, NULL), VKD_OK);
    assert_memory_equal(r.first, "abc", 3);
    assert_true(r.second == -1.5);
    assert_int_equal(r.key.seen, 12345);
    // no blocks at all, and a block of nothing
    assert_int_equal(vkd_checkpoint_write(path, &r.key, NULL, 0, NULL), VKD_OK);
    assert_int_equal(vkd_checkpoint_read(path, &r.key, NULL, 0, REMEDY, NULL), VKD_OK);
    vkd_block nothing = {"nothing", NULL, 0};
    assert_int_equal(vkd_checkpoint_write(path, &r.key, &nothing, 1, NULL), VKD_OK);
    assert_int_equal(vkd_checkpoint_read(path, &r.key, &nothing, 1, REMEDY, NULL), VKD_OK);
}

// The bytes themselves: files of this version must stay readable.
static void format(void **unused) {
    (void)unused;
    run r;
    unsigned char bytes[SIZE], expected[SIZE] = {0}, *at = expected;
    write_run(&r);
    get_bytes(bytes);
    const uint32_t words[] = {2, 0x01020304, 2};
    const uint64_t lengths[] = {FIRST, SECOND};
    memcpy(at, "VKDS", 4);
    memcpy(at + 4, words, sizeof words);
    memcpy(at + 16, &r.key.seen, 8);
    memcpy(at + 24, &r.key.cfg_hash, 8);
    memcpy(at + 32, &r.key.teacher_hash, 8);
    at += HEADER;
    for (int i = 0; i < 2; ++i) {
        memcpy(at, r.blocks[i].name, 32);
        memcpy(at + 32, &lengths[i], 8);
        memcpy(at + BLOCK, r.blocks[i].data, lengths[i]);
        at += BLOCK + lengths[i];
    }
    uint64_t checksum = vkd_hash(VKD_HASH_START, expected, SIZE - 8);
    memcpy(at, &checksum, 8);
    assert_int_equal(at + 8 - expected, SIZE);
    assert_memory_equal(bytes, expected, SIZE);
}

static void truncated(void **unused) {
    (void)unused;
    run r;
    unsigned char bytes[SIZE];
    write_run(&r);
    get_bytes(bytes);
    for (size_t size = 0; size < SIZE; ++size) {
        put_bytes(bytes, size);
        if (size < HEADER + 8)
            assert_refused(&r, 2, VKD_BAD_FILE, "only %zu bytes, too few for a sidecar", size);
        else
            assert_refused(&r, 2, VKD_BAD_FILE, "damaged: its checksum does not match its %zu bytes", size);
    }
}

static void each_bit_flipped(void **unused) {
    (void)unused;
    run r;
    unsigned char bytes[SIZE];
    write_run(&r);
    get_bytes(bytes);
    for (int bit = 0; bit < 8 * SIZE; ++bit) {
        int at = bit / 8;
        bytes[at] ^= (unsigned char)(1 << bit % 8);
        put_bytes(bytes, SIZE);
        uint32_t version;
        memcpy(&version, bytes + 4, sizeof version);
        if (at < 4)
            assert_refused(&r, 2, VKD_BAD_FILE, "not a .vkd sidecar");
        else if (at < 8)
            assert_refused(&r, 2, VKD_BAD_FILE, "version %u; this program reads version 2",
                           (unsigned)version);
        else if (at < 12)
            assert_refused(&r, 2, VKD_BAD_FILE, "written on a machine of another byte order");
        else
            assert_refused(&r, 2, VKD_BAD_FILE, "damaged: its checksum does not match its %d bytes", SIZE);
        bytes[at] ^= (unsigned char)(1 << bit % 8);
    }
    put_bytes(bytes, SIZE);
    assert_int_equal(vkd_checkpoint_read(path, &r.key, r.blocks, 2, REMEDY, NULL), VKD_OK);
}

static void garbage_behind(void **unused) {
    (void)unused;
    run r;
    unsigned char bytes[SIZE + 5] = {0};
    write_run(&r);
    get_bytes(bytes);
    put_bytes(bytes, sizeof bytes);
    assert_refused(&r, 2, VKD_BAD_FILE, "damaged: its checksum does not match its %d bytes", SIZE + 5);
    put_signed(bytes, sizeof bytes);
    assert_refused(&r, 2, VKD_BAD_FILE, "5 bytes behind its last block");
}

static void other_runs(void **unused) {
    (void)unused;
    run r;
    write_run(&r);
    ++r.key.cfg_hash;
    assert_refused(&r, 2, VKD_BAD_FILE, "of another cfg; " REMEDY);
    --r.key.cfg_hash;
    r.key.teacher_hash ^= UINT64_C(1) << 63;
    assert_refused(&r, 2, VKD_BAD_FILE, "of another teacher; " REMEDY);
}

static void other_blocks(void **unused) {
    (void)unused;
    run r;
    write_run(&r);
    assert_refused(&r, 1, VKD_BAD_FILE, "2 blocks; expected 1");
    assert_refused(&r, 0, VKD_BAD_FILE, "2 blocks; expected 0");
    strcpy(r.blocks[0].name, "tap1.P");
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"tap0.P\" where \"tap1.P\" is expected");
    strcpy(r.blocks[0].name, "tap0.P2");
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"tap0.P\" where \"tap0.P2\" is expected");
    strcpy(r.blocks[0].name, "tap0.P");
    // The second block is wrong: the first is not read in either.
    strcpy(r.blocks[1].name, "b");
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"a name of thirty-one characters\" where \"b\" is expected");
    set_up(&r);
    r.blocks[1].bytes = 7;
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"%s\" has 8 bytes; expected 7", r.blocks[1].name);
    r.blocks[1].bytes = 9;
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"%s\" has 8 bytes; expected 9", r.blocks[1].name);
    set_up(&r);
    vkd_block swapped[2] = {r.blocks[1], r.blocks[0]};
    memcpy(r.blocks, swapped, sizeof swapped);
    assert_refused(&r, 2, VKD_BAD_FILE,
                   "block \"tap0.P\" where \"a name of thirty-one characters\" is expected");
}

// Sound checksums over nonsense: lengths that point beyond the file, a count without its blocks, a name that
// does not end.
static void forged(void **unused) {
    (void)unused;
    run r;
    unsigned char good[SIZE], bytes[SIZE];
    write_run(&r);
    get_bytes(good);
    const uint64_t lengths[] = {0, 4, 1000, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
        memcpy(bytes, good, SIZE);
        memcpy(bytes + HEADER + 32, &lengths[i], 8);
        put_signed(bytes, SIZE);
        assert_refused(&r, 2, VKD_BAD_FILE, "block \"tap0.P\" has %llu bytes; expected 3",
                       (unsigned long long)lengths[i]);
    }
    for (int cut = 0; cut < BLOCK + SECOND; ++cut) { // ends within or before the second block
        memcpy(bytes, good, SIZE);
        size_t size = HEADER + BLOCK + FIRST + (size_t)cut + 8;
        put_signed(bytes, size);
        if (cut < BLOCK)
            assert_refused(&r, 2, VKD_BAD_FILE, "ends before block \"%s\"", r.blocks[1].name);
        else
            assert_refused(&r, 2, VKD_BAD_FILE, "ends within block \"%s\"", r.blocks[1].name);
    }
    memcpy(bytes, good, SIZE);
    memset(bytes + HEADER, 'x', 32);
    put_signed(bytes, SIZE);
    assert_refused(&r, 2, VKD_BAD_FILE, "block \"%.31s\" where \"tap0.P\" is expected",
                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    memcpy(bytes, good, SIZE);
    const uint32_t most = UINT32_MAX;
    memcpy(bytes + 12, &most, 4);
    put_signed(bytes, SIZE);
    assert_refused(&r, 2, VKD_BAD_FILE, "4294967295 blocks; expected 2");
}

static void no_file(void **unused) {
    (void)unused;
    run r;
    set_up(&r);
    put_bytes((const unsigned char *)"", 0);
    assert_refused(&r, 2, VKD_BAD_FILE, "only 0 bytes, too few for a sidecar");
    assert_int_equal(unlink(path), 0);
    assert_refused(&r, 2, VKD_IO, "cannot be opened: %s", strerror(ENOENT));
    assert_int_equal(mkdir(path, 0777), 0);
    assert_refused(&r, 2, VKD_IO, "not a regular file");
    assert_int_equal(rmdir(path), 0);
}

static void unwritable(void **unused) {
    (void)unused;
    run r;
    set_up(&r);
    char name[80], text[160];
    snprintf(name, sizeof name, "%s/no/a.vkd", folder);
    snprintf(text, sizeof text, "%s.new: cannot be written: %s", name, strerror(ENOENT));
    vkd_error err;
    assert_int_equal(vkd_checkpoint_write(name, &r.key, r.blocks, 2, &err), VKD_IO);
    assert_string_equal(err.text, text);
#ifndef __SANITIZE_ADDRESS__ // which ends the program instead
    write_run(&r);
    r.blocks[0].bytes = SIZE_MAX / 4;
    size_t size = SIZE - FIRST + SIZE_MAX / 4;
    snprintf(text, sizeof text, "%s: no memory for %zu bytes", path, size);
    assert_int_equal(vkd_checkpoint_write(path, &r.key, r.blocks, 2, &err), VKD_OUT_OF_MEMORY);
    assert_string_equal(err.text, text);
    set_up(&r);
    assert_int_equal(vkd_checkpoint_read(path, &r.key, r.blocks, 2, REMEDY, NULL),
                     VKD_OK); // the old one is there
#endif
}

// The key alone tells what run a sidecar is of, before anything of it is read.
static void key_alone(void **unused) {
    (void)unused;
    run r;
    write_run(&r);
    vkd_checkpoint_key key = {0};
    assert_int_equal(vkd_checkpoint_read_key(path, &key), VKD_OK);
    assert_memory_equal(&key, &r.key, sizeof key);
    unsigned char bytes[SIZE];
    get_bytes(bytes);
    const vkd_checkpoint_key before = key;
    for (int i = 0; i < 12; ++i) { // magic, version, byte order
        bytes[i] ^= 0x40;
        put_bytes(bytes, SIZE);
        assert_int_equal(vkd_checkpoint_read_key(path, &key), VKD_BAD_FILE);
        bytes[i] ^= 0x40;
    }
    put_bytes(bytes, HEADER - 1);
    assert_int_equal(vkd_checkpoint_read_key(path, &key), VKD_BAD_FILE);
    assert_memory_equal(&key, &before, sizeof key);
    unlink(path);
    assert_int_equal(vkd_checkpoint_read_key(path, &key), VKD_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),     cmocka_unit_test(round_trips),      cmocka_unit_test(format),
        cmocka_unit_test(truncated),  cmocka_unit_test(each_bit_flipped), cmocka_unit_test(garbage_behind),
        cmocka_unit_test(other_runs), cmocka_unit_test(other_blocks),     cmocka_unit_test(forged),
        cmocka_unit_test(key_alone),  cmocka_unit_test(no_file),          cmocka_unit_test(unwritable),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
