/* What is in use on the heap; a sanitizer's own allocator does not tell. */
#ifndef TESTS_PATCHES_HEAP_H
#define TESTS_PATCHES_HEAP_H

#include <malloc.h>
#include <stddef.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define HEAP_IS_KNOWN 0
#else
#define HEAP_IS_KNOWN 1

/* In bytes, mapped blocks too. */
static size_t in_use(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 m = mallinfo2();
#else
    struct mallinfo m = mallinfo();
#endif
    return (size_t)m.uordblks + (size_t)m.hblkhd;
}
#endif
#endif
