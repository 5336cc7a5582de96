// The tiles of winograd.c: of 6 x 6 pixels of the input, which overlap by 2, for 4 x 4 of the output. On
// small grids images make a mosaic, side by side with a line of zeros between them, so that fewer tiles reach
// over an edge: 13 x 13 pixels need 16 tiles alone, 49 in a mosaic of 2 x 2.
//
// Tiles stand in rows, row after row and mosaic after mosaic. A block is some rows of them, and in its arrays
// they lie side by side, so that every transform is plain arithmetic on neighbouring floats.
#ifndef VKD_NUMERICS_TILES_H
#define VKD_NUMERICS_TILES_H

#include <stddef.h>

#include "numerics/destination.h"

// Of a tile's side: out of it, in it; and what there is of a tile in it.
enum { TILE_OUT = 4, TILE_IN = 6, TILE_POINTS = TILE_IN * TILE_IN };

typedef struct vkd_tiles {
    int h, w, batch;
    int across, down; // images of a mosaic
    int columns;      // of tiles in a mosaic
    int rows_each;    // of tiles in a mosaic
    int rows;         // of all mosaics
} vkd_tiles;

vkd_tiles vkd_tiles_of(int h, int w, int batch);

// The longest row of tiles with any batch.
int vkd_tiles_most_columns(int w);

typedef struct vkd_tile_block {
    int first, rows; // of tiles
    int tiles;       // up to a whole vector
} vkd_tile_block;

vkd_tile_block vkd_tiles_block(const vkd_tiles *t, int first, int rows);

// Floats of `room` below.
size_t vkd_tiles_room(int tiles);

// V (TILE_POINTS,tiles), matrices `step` apart, = B'd B of the block's tiles of one channel.
void vkd_tiles_read(const vkd_tiles *t, const vkd_tile_block *b,
                    const float *x, // the channel of the first image
                    int channels,   // of an image
                    float *V, size_t step, float *room);

// Y (TILE_POINTS,tiles) = A dY A' of the block's tiles of one channel of dy, the adjoint of vkd_tiles_write.
void vkd_tiles_read_gradient(const vkd_tiles *t, const vkd_tile_block *b, const float *dy, int channels,
                             float *Y, size_t step, float *room);

// A'M A of M (TILE_POINTS,tiles), matrices `step` apart, to channel n of `channels` of the output.
void vkd_tiles_write(const vkd_tiles *t, const vkd_tile_block *b, const float *M, size_t step, int n,
                     int channels, const destination *d, float *room);

#endif
