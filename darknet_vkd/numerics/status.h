// What a function of numerics/ or core/ answers. Zero is success; nothing there prints or exits.
#ifndef VKD_NUMERICS_STATUS_H
#define VKD_NUMERICS_STATUS_H

typedef enum vkd_status {
    VKD_OK = 0,
    VKD_INVALID_ARGUMENT, // a size, a range or a combination that the contract excludes
    VKD_OUT_OF_MEMORY,
    VKD_SINGULAR,   // a factorization broke down (LAPACK info > 0)
    VKD_NOT_FINITE, // a NaN or an infinity in the input or in the result
    VKD_IO,         // a file could not be read or written; errno says why
    VKD_BAD_FILE,   // a file was read and is not what it should be
    VKD_DEVICE      // a call to the GPU's libraries failed; its vkd_device says which
} vkd_status;

#endif
