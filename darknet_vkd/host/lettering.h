// Small letters on a picture, so that its panels name themselves. Darknet's own are a folder of files that is
// not everywhere.
#ifndef VKD_HOST_LETTERING_H
#define VKD_HOST_LETTERING_H

enum { VKD_LETTER_W = 6, VKD_LETTER_H = 9 }; // the cell of a letter, its gaps included, at size 1

// White letters; a to z, P, 0 to 9, space and "|-+.:%/=" have a form, others are left blank. What lies
// outside is cut.
void vkd_letter(unsigned char *picture, // (h,w,3)
                int w, int h, int x, int y, int size, const char *text);

#endif
