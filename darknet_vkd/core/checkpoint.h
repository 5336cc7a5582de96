// The sidecar: a file of named blocks beside a weights file, for what Darknet's format has no room for.
//
//     "VKDS" | version | byte order | seen, cfg, teacher | count | count x { name[32], bytes, data } |
//     checksum
//
// All integers are of the machine's byte order, which the third word tells; the checksum is FNV-1a (64 bits)
// of every byte before it.
#ifndef VKD_CORE_CHECKPOINT_H
#define VKD_CORE_CHECKPOINT_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

enum { VKD_BLOCK_NAME = 32 };

typedef struct vkd_block {
    char name[VKD_BLOCK_NAME];
    void *data; // of the live object: written from it, read into it
    size_t bytes;
} vkd_block;

typedef struct vkd_checkpoint_key {
    uint64_t seen;         // images trained on, as in the weights file
    uint64_t cfg_hash;     // of the student's cfg, vkd sections included
    uint64_t teacher_hash; // of the teacher's weights file; 0: a run without taps
} vkd_checkpoint_key;

// FNV-1a, 64 bits (Fowler, Noll, Vo). Start with hash = VKD_HASH_START; chains over parts.
#define VKD_HASH_START UINT64_C(14695981039346656037)
uint64_t vkd_hash(uint64_t hash, const void *data, size_t bytes);

// Hash of a file's bytes. VKD_IO: it cannot be read.
vkd_status vkd_hash_file(const char *path, uint64_t *hash, vkd_error *err);

// Writes to a temporary name, syncs, renames: PATH is either the old file or the whole new one.
vkd_status vkd_checkpoint_write(const char *path, const vkd_checkpoint_key *key, const vkd_block *blocks,
                                int count, vkd_error *err);

// Reads PATH into the blocks. The file must hold exactly these blocks in these sizes and its key's hashes
// must be `key`'s; nothing is changed otherwise. VKD_IO: no such file, or unreadable. VKD_BAD_FILE: damaged,
// of another version or another run; the text says which, and `remedy` behind another run. key->seen is not
// compared but set from the file.
vkd_status vkd_checkpoint_read(const char *path, vkd_checkpoint_key *key, vkd_block *blocks, int count,
                               const char *remedy, vkd_error *err);

// The key alone. VKD_IO: no such file, or unreadable. VKD_BAD_FILE: no sidecar of this version; damage behind
// its header is not looked for.
vkd_status vkd_checkpoint_read_key(const char *path, vkd_checkpoint_key *key);

#endif
