#define _POSIX_C_SOURCE 200809L
#include "core/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static vkd_status failed(vkd_error *err, const char *path, const char *doing) {
    return vkd_error_set(err, VKD_IO, "%s: cannot be %s: %s", path, doing, strerror(errno));
}

vkd_status vkd_file_read(const char *path, unsigned char **data, size_t *bytes, vkd_error *err) {
    *data = NULL;
    *bytes = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return failed(err, path, "opened");
    struct stat info;
    vkd_status status = VKD_OK;
    unsigned char *buffer = NULL;
    if (fstat(fileno(file), &info)) { // NOLINT(bugprone-branch-clone) the buffer comes between
        status = failed(err, path, "read");
    } else if (!S_ISREG(info.st_mode)) {
        status = vkd_error_set(err, VKD_IO, "%s: not a regular file", path);
    } else if (!(buffer = malloc((size_t)info.st_size + 1))) {
        status = vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: no memory for its %lld bytes", path,
                               (long long)info.st_size);
    } else if (fread(buffer, 1, (size_t)info.st_size, file) != (size_t)info.st_size) {
        status = failed(err, path, "read");
    }
    fclose(file);
    if (status) {
        free(buffer);
        return status;
    }
    *data = buffer;
    *bytes = (size_t)info.st_size;
    return VKD_OK;
}

vkd_status vkd_file_write(const char *path, const void *data, size_t bytes, vkd_error *err) {
    size_t length = strlen(path);
    char *temporary = malloc(length + sizeof ".new");
    if (!temporary) return vkd_error_set(err, VKD_OUT_OF_MEMORY, "%s: no memory for its name", path);
    memcpy(temporary, path, length);
    memcpy(temporary + length, ".new", sizeof ".new");
    vkd_status status = VKD_OK;
    FILE *file = fopen(temporary, "wb");
    if (!file) {
        status = failed(err, temporary, "written");
    } else {
        bool ok = fwrite(data, 1, bytes, file) == bytes && !fflush(file) && !fsync(fileno(file));
        int reason = errno;
        // fclose may be the first to report a full disk.
        if (fclose(file) && ok) {
            ok = false;
            reason = errno;
        }
        if (ok && rename(temporary, path)) {
            ok = false;
            reason = errno;
        }
        if (!ok) {
            unlink(temporary);
            errno = reason;
            status = failed(err, path, "written");
        }
    }
    free(temporary);
    return status;
}
