// The Cayley transform.
#ifndef VKD_NUMERICS_CAYLEY_H
#define VKD_NUMERICS_CAYLEY_H

#include "numerics/orthogonal_map.h"

// P -> (I - A/2)^-1 (I + A/2) P with the skew A of skew_map.h. The eigenvalue -1 is never reached.
extern const vkd_orthogonal_map vkd_map_cayley;

#endif
