#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

// Appends to text[0, size): returns the new length, at most size - 1.
static size_t append(char *text, size_t size, size_t length, const char *format, va_list args) {
    if (length + 1 >= size) return length;
    int n = vsnprintf(text + length, size - length, format, args);
    if (n < 0) return length;
    return (size_t)n < size - length ? length + (size_t)n : size - 1;
}

static size_t appendf(char *text, size_t size, size_t length, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static size_t appendf(char *text, size_t size, size_t length, const char *format, ...) {
    va_list args;
    va_start(args, format);
    length = append(text, size, length, format, args);
    va_end(args);
    return length;
}

vkd_status(vkd_error_set)(vkd_error *err, vkd_status status, const char *format, ...) {
    if (!err) return status;
    err->status = status;
    err->text[0] = '\0';
    va_list args;
    va_start(args, format);
    append(err->text, sizeof(err->text), 0, format, args);
    va_end(args);
    return status;
}

vkd_status(vkd_error_at)(vkd_error *err, vkd_status status, const char *file, int line, const char *section,
                         const char *key, const char *format, ...) {
    if (!err) return status;
    char *text = err->text;
    size_t size = sizeof(err->text);
    err->status = status;
    text[0] = '\0';
    // A path may be as long as the system allows; the message must still be in sight behind it.
    size_t length = appendf(text, size, 0, "%.512s", file);
    if (line > 0) length = appendf(text, size, length, ":%d", line);
    length = appendf(text, size, length, ":");
    if (section) length = appendf(text, size, length, key ? " [%s]" : " [%s]:", section);
    if (key) length = appendf(text, size, length, " %s:", key);
    length = appendf(text, size, length, " ");
    va_list args;
    va_start(args, format);
    append(text, size, length, format, args);
    va_end(args);
    return status;
}
