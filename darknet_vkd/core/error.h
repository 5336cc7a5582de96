// An error as the user reads it: one finished line. core/ fills it, host/ prints it and exits non-zero.
#ifndef VKD_CORE_ERROR_H
#define VKD_CORE_ERROR_H

#include "numerics/status.h"

typedef struct vkd_error {
    vkd_status status;
    char text[1024]; // without a newline; cut, never overrun, where a path is absurdly long
} vkd_error;

// Writes err->status and err->text and returns `status`, so that a caller can `return vkd_error_set(...)`.
// err may be NULL: then only the status is handed on.
vkd_status vkd_error_set(vkd_error *err, vkd_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The same for a place in a cfg: "FILE:LINE: [SECTION] KEY: message".
// line 0 leaves ":LINE" out; section and key may be NULL, and are left out then.
vkd_status vkd_error_at(vkd_error *err, vkd_status status, const char *file, int line, const char *section,
                        const char *key, const char *format, ...) __attribute__((format(printf, 7, 8)));

#ifdef __clang_analyzer__ // which would else follow what comes after an error as if there was none
#define vkd_error_set(err, status, ...) (vkd_error_set(err, status, __VA_ARGS__), status)
#define vkd_error_at(err, status, ...)  (vkd_error_at(err, status, __VA_ARGS__), status)
#endif

#endif
