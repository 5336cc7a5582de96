#include "core/checkpoint.h"

#include "core/file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[4] = {'V', 'K', 'D', 'S'};
enum { version = 2, byte_order = 0x01020304 };

typedef struct header {
    char magic[4];
    uint32_t version;
    uint32_t byte_order;
    uint32_t count;
    vkd_checkpoint_key key;
} header;

typedef struct block_header {
    char name[VKD_BLOCK_NAME];
    uint64_t bytes;
} block_header;

uint64_t vkd_hash(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; ++i) {
        hash ^= p[i];
        hash *= UINT64_C(1099511628211);
    }
    return hash;
}

vkd_status vkd_hash_file(const char *path, uint64_t *hash, vkd_error *err) {
    unsigned char *data;
    size_t bytes;
    vkd_status status = vkd_file_read(path, &data, &bytes, err);
    if (!status) *hash = vkd_hash(VKD_HASH_START, data, bytes);
    free(data);
    return status;
}

static void put(unsigned char **at, const void *data, size_t bytes) {
    if (bytes) memcpy(*at, data, bytes);
    *at += bytes;
}

vkd_status vkd_checkpoint_write(const char *path, const vkd_checkpoint_key *key, const vkd_block *blocks,
                                int count, vkd_error *err) {
    size_t size = sizeof(header) + sizeof(uint64_t);
    for (int i = 0; i < count; ++i)
        size += sizeof(block_header) + blocks[i].bytes;
    unsigned char *buffer = malloc(size), *at = buffer;
    if (!buffer) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: no memory for %zu bytes", path, size);
    header h = {.version = version, .byte_order = byte_order, .count = (uint32_t)count, .key = *key};
    memcpy(h.magic, magic, sizeof magic);
    put(&at, &h, sizeof h);
    for (int i = 0; i < count; ++i) {
        block_header b = {.bytes = blocks[i].bytes};
        memcpy(b.name, blocks[i].name, sizeof b.name);
        put(&at, &b, sizeof b);
        put(&at, blocks[i].data, blocks[i].bytes);
    }
    uint64_t checksum = vkd_hash(VKD_HASH_START, buffer, (size_t)(at - buffer));
    put(&at, &checksum, sizeof checksum);
    vkd_status status = vkd_file_write(path, buffer, size, err);
    free(buffer);
    return status;
}

#define BAD(...) vkd_error_set(err, VKD_BAD_FILE, __VA_ARGS__)

static vkd_status check_header(const char *path, const unsigned char *data, size_t bytes, header *h,
                               const vkd_checkpoint_key *key, const char *remedy, vkd_error *err) {
    if (bytes < sizeof *h + sizeof(uint64_t))
        return BAD("%s: only %zu bytes, too few for a sidecar", path, bytes);
    memcpy(h, data, sizeof *h);
    if (memcmp(h->magic, magic, sizeof magic)) return BAD("%s: not a .vkd sidecar", path);
    if (h->byte_order != byte_order) return BAD("%s: written on a machine of another byte order", path);
    if (h->version != version)
        return BAD("%s: version %u; this program reads version %d", path, (unsigned)h->version, version);
    uint64_t checksum;
    memcpy(&checksum, data + bytes - sizeof checksum, sizeof checksum);
    if (checksum != vkd_hash(VKD_HASH_START, data, bytes - sizeof checksum))
        return BAD("%s: damaged: its checksum does not match its %zu bytes", path, bytes);
    if (h->key.cfg_hash != key->cfg_hash) return BAD("%s: of another cfg; %s", path, remedy);
    if (h->key.teacher_hash != key->teacher_hash) return BAD("%s: of another teacher; %s", path, remedy);
    return VKD_OK;
}

// One pass that only checks, one that copies: a refused file changes nothing.
static vkd_status walk_blocks(const char *path, const unsigned char *at, const unsigned char *end,
                              vkd_block *blocks, int count, bool copy, vkd_error *err) {
    for (int i = 0; i < count; ++i) {
        block_header b;
        if ((size_t)(end - at) < sizeof b) return BAD("%s: ends before block \"%s\"", path, blocks[i].name);
        memcpy(&b, at, sizeof b);
        at += sizeof b;
        if (strncmp(b.name, blocks[i].name, sizeof b.name))
            return BAD("%s: block \"%.*s\" where \"%s\" is expected", path, (int)sizeof b.name - 1, b.name,
                       blocks[i].name);
        if (b.bytes != blocks[i].bytes)
            return BAD("%s: block \"%s\" has %llu bytes; expected %zu", path, blocks[i].name,
                       (unsigned long long)b.bytes, blocks[i].bytes);
        if (b.bytes > (uint64_t)(end - at)) return BAD("%s: ends within block \"%s\"", path, blocks[i].name);
        if (copy && b.bytes) memcpy(blocks[i].data, at, blocks[i].bytes);
        at += b.bytes;
    }
    return at == end ? VKD_OK : BAD("%s: %zu bytes behind its last block", path, (size_t)(end - at));
}

vkd_status vkd_checkpoint_read(const char *path, vkd_checkpoint_key *key, vkd_block *blocks, int count,
                               const char *remedy, vkd_error *err) {
    unsigned char *data;
    size_t bytes;
    header h;
    vkd_status status = vkd_file_read(path, &data, &bytes, err);
    if (!status) status = check_header(path, data, bytes, &h, key, remedy, err);
    if (!status && h.count != (uint32_t)count)
        status = BAD("%s: %u blocks; expected %d", path, (unsigned)h.count, count);
    if (!status) {
        const unsigned char *first = data + sizeof h, *end = data + bytes - sizeof(uint64_t);
        status = walk_blocks(path, first, end, blocks, count, false, err);
        if (!status) status = walk_blocks(path, first, end, blocks, count, true, err);
        if (!status) key->seen = h.key.seen;
    }
    free(data);
    return status;
}

vkd_status vkd_checkpoint_read_key(const char *path, vkd_checkpoint_key *key) {
    header h;
    FILE *file = fopen(path, "rb");
    if (!file) return VKD_IO;
    bool whole = fread(&h, sizeof h, 1, file) == 1;
    fclose(file);
    if (!whole || memcmp(h.magic, magic, sizeof magic) || h.byte_order != byte_order || h.version != version)
        return VKD_BAD_FILE;
    *key = h.key;
    return VKD_OK;
}
