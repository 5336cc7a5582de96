#include "core/npy.h"

#include "core/file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 64,
    PREFIX = 10
};                          // the data begin at a multiple of 64; magic, version and length are 10 bytes
enum { HEADER_SIZE = 256 }; // enough for VKD_NPY_MAX_DIMS lengths

static int is_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first;
}

// "\x93NUMPY" 1 0, the length of the rest as a little-endian uint16, a Python dict, spaces and a newline.
// Returns the number of bytes.
static size_t make_header(unsigned char header[HEADER_SIZE], const int *shape, int dims) {
    char *text = (char *)header + PREFIX;
    size_t room = HEADER_SIZE - PREFIX, n;
    n = (size_t)snprintf(text, room, "{'descr': '%cf4', 'fortran_order': False, 'shape': (",
                         is_little_endian() ? '<' : '>');
    for (int i = 0; i < dims; ++i) // (3,) and (2, 3): a tuple of one needs its comma
        n += (size_t)snprintf(text + n, room - n, i + 1 < dims ? "%d, " : dims == 1 ? "%d," : "%d", shape[i]);
    n += (size_t)snprintf(text + n, room - n, "), }");
    while ((PREFIX + n + 1) % ALIGNMENT)
        text[n++] = ' ';
    text[n++] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (unsigned char)(n & 0xff);
    header[9] = (unsigned char)(n >> 8);
    return PREFIX + n;
}

vkd_status vkd_npy_write(const char *path, const float *data, const int *shape, int dims) {
    if (!path || dims < 0 || dims > VKD_NPY_MAX_DIMS || (dims && !shape)) return VKD_INVALID_ARGUMENT;
    size_t count = 1;
    for (int i = 0; i < dims; ++i) {
        if (shape[i] < 0 || (shape[i] && count > (SIZE_MAX - HEADER_SIZE) / sizeof(float) / (size_t)shape[i]))
            return VKD_INVALID_ARGUMENT;
        count *= (size_t)shape[i];
    }
    if (count && !data) return VKD_INVALID_ARGUMENT;

    unsigned char header[HEADER_SIZE];
    size_t header_size = make_header(header, shape, dims), bytes = count * sizeof *data;
    unsigned char *file = malloc(header_size + bytes);
    if (!file) return VKD_OUT_OF_MEMORY;
    memcpy(file, header, header_size);
    if (bytes) memcpy(file + header_size, data, bytes);
    vkd_status status = vkd_file_write(path, file, header_size + bytes, NULL);
    free(file);
    return status;
}
