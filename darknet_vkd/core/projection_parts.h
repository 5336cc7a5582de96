// What projection.c lends to projection_merge.c.
#ifndef VKD_CORE_PROJECTION_PARTS_H
#define VKD_CORE_PROJECTION_PARTS_H

#include "core/projection.h"
#include "numerics/orthogonal_map.h"

// Above it, times sqrt(cols), one Newton-Schulz step restores V'V = I.
static const double vkd_projection_defect_limit = 1e-6;

// P stays what it was at first.
bool vkd_projection_is_fixed(const vkd_projection *p);
// Of the maps that have a base; NULL for the others.
const vkd_orthogonal_map *vkd_projection_base_map(vkd_option_map map);
// V = map(base, D), and what the adjoint there needs. Above a square, the first step from a base is the same
// to the bit for every rebase.
vkd_status vkd_projection_go_to(vkd_projection *p, const vkd_orthogonal_map *map, const float *D, float *V);
// The defect of V, and where rounding has added up one Newton-Schulz step against it.
vkd_status vkd_projection_mend(vkd_projection *p);
// OpenBLAS's products on one thread are not always to the bit those on several: who is to come to what an
// update comes to takes its threads.
int vkd_projection_take_threads(const vkd_projection *p);

#endif
