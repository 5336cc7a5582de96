// Whole files: read at once, or written so that a reader sees the old one or the new one, never a part.
#ifndef VKD_CORE_FILE_H
#define VKD_CORE_FILE_H

#include "core/error.h"

#include <stddef.h>

// *data is malloc'ed; the caller frees it. VKD_IO says why in err.
vkd_status vkd_file_read(const char *path, unsigned char **data, size_t *bytes, vkd_error *err);

// Writes PATH.new, syncs it, and renames it to PATH; a failure removes PATH.new and leaves PATH as it was.
vkd_status vkd_file_write(const char *path, const void *data, size_t bytes, vkd_error *err);

#endif
