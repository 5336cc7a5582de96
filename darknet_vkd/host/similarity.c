#include "host/similarity.h"

#include "host/padding.h"
#include "host/run.h"
#include "numerics/cka.h"
#include "numerics/finite.h"
#include "numerics/rng.h"

#include <stdlib.h>
#include <string.h>

enum { stream_locations = 0x60, finest = 2 };

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) vkd_fail("no memory for the table");
    return p;
}

// ---- which layers
// ------------------------------------------------------------------------------------------

bool vkd_is_head(const layer *l) {
    return l->type == YOLO || l->type == REGION || l->type == DETECTION;
}

static bool is_candidate(const network *net, int i) {
    const layer *l = &net->layers[i];
    if (l->type != CONVOLUTIONAL && l->type != SHORTCUT && l->type != ROUTE) return false;
    return vkd_has_feature_map(l) && (i + 1 == net->n || !vkd_is_head(l + 1));
}

static bool is_taken_in_by_the_next(const network *net, int i) {
    const layer *l = &net->layers[i], *next = l + 1;
    if (i + 1 == net->n || l->type != CONVOLUTIONAL) return false;
    bool widens = next->type == CONVOLUTIONAL && next->stride == 1 && next->out_c > l->out_c &&
                  !(i + 2 < net->n && vkd_is_head(next + 1));
    return next->type == SHORTCUT || widens;
}

static bool matches(const layer *teacher, int h, int w) {
    int factor = teacher->out_h / h;
    return factor >= 1 && factor <= finest && teacher->out_h == factor * h && teacher->out_w == factor * w;
}

static bool is_learned(const network *student, int i) {
    for (int j = student->n - 1; j >= i; --j)
        if (student->layers[j].stopbackward) return false; // a tap there would be refused
    return student->layers[i].delta != NULL;
}

static vkd_alike make_table(const network *student, const network *teacher, int h, int w) {
    vkd_alike a = {.h = h, .w = w};
    a.row = allocate((size_t)student->n, sizeof *a.row);
    a.column = allocate((size_t)teacher->n, sizeof *a.column);
    for (int i = 0; i < student->n; ++i)
        if (is_candidate(student, i) && is_learned(student, i) && student->layers[i].out_h == h &&
            student->layers[i].out_w == w)
            a.row[a.rows++] = i;
    for (int i = 0; i < teacher->n; ++i)
        if (is_candidate(teacher, i) && !is_taken_in_by_the_next(teacher, i) &&
            matches(&teacher->layers[i], h, w))
            a.column[a.columns++] = i;
    a.kl = allocate((size_t)a.rows * (size_t)a.columns, sizeof *a.kl);
    a.kk = allocate((size_t)a.rows, sizeof *a.kk);
    a.ll = allocate((size_t)a.columns, sizeof *a.ll);
    return a;
}

static void free_table(vkd_alike *a) {
    free(a->row);
    free(a->column);
    free(a->kl);
    free(a->kk);
    free(a->ll);
}

vkd_alike_list vkd_alike_create(const network *student, const network *teacher) {
    vkd_alike_list list = {.tables = allocate((size_t)student->n, sizeof *list.tables)};
    for (int i = 0; i < student->n; ++i) {
        const layer *l = &student->layers[i];
        bool known = !is_candidate(student, i) || !is_learned(student, i);
        for (int j = 0; j < list.count; ++j)
            known = known || (list.tables[j].h == l->out_h && list.tables[j].w == l->out_w);
        if (known) continue;
        vkd_alike a = make_table(student, teacher, l->out_h, l->out_w);
        if (a.columns)
            list.tables[list.count++] = a;
        else
            free_table(&a);
    }
    return list;
}

void vkd_alike_free(vkd_alike_list *list) {
    for (int i = 0; i < list->count; ++i)
        free_table(&list->tables[i]);
    free(list->tables);
    *list = (vkd_alike_list){0};
}

// ---- features
// ----------------------------------------------------------------------------------------------

// place (count) = cells of the (batch,h,w) maps, those in padding left out, without repetition.
static int draw_places(const network *net, const vkd_alike *a, int most, vkd_rng *rng, size_t batch,
                       int *place) {
    int count = 0, all = net->batch * a->h * a->w;
    float *mask = allocate((size_t)all, sizeof *mask);
    vkd_padding_mask(batch, 0, net->batch, a->h, a->w, mask);
    for (int i = 0; i < all; ++i)
        if (mask[i] != 0) place[count++] = i;
    free(mask);
    if (most > count) most = count;
    for (int i = 0; i < most; ++i) { // the head of a shuffle
        int other = i + (int)(vkd_rng_next(rng) % (uint64_t)(count - i)), kept = place[i];
        place[i] = place[other];
        place[other] = kept;
    }
    return most;
}

// x (samples,c): the layer's features there, means over its cells where its grid is finer.
static float *features_at(const layer *l, const vkd_alike *a, const int *place, int samples) {
    int c = l->out_c, factor = l->out_h / a->h, grid = a->h * a->w;
    size_t plane = (size_t)l->out_h * (size_t)l->out_w;
    float *x = allocate((size_t)samples * (size_t)c, sizeof *x);
    for (int s = 0; s < samples; ++s) {
        int image = place[s] / grid, top = place[s] % grid / a->w * factor, left = place[s] % a->w * factor;
        for (int k = 0; k < c; ++k) {
            const float *map = l->output + ((size_t)image * (size_t)c + (size_t)k) * plane;
            double sum = 0;
            for (int y = top; y < top + factor; ++y)
                for (int z = left; z < left + factor; ++z)
                    sum += map[(size_t)y * (size_t)l->out_w + (size_t)z];
            x[(size_t)s * (size_t)c + (size_t)k] = (float)(sum / (factor * factor));
        }
    }
    return x;
}

// grams (layers,samples,samples)
static void fill_grams(const network *net, const int *layers, int count, const char *whose,
                       const vkd_alike *a, const int *place, int samples, float *grams) {
    for (int i = 0; i < count; ++i) {
        const layer *l = &net->layers[layers[i]];
        float *x = features_at(l, a, place, samples);
        if (!vkd_all_finite(x, (size_t)samples * (size_t)l->out_c))
            vkd_fail("layer %d of the %s: its features are not finite; do the weights belong to the cfg?",
                     layers[i], whose);
        vkd_cka_gram(x, samples, l->out_c, grams + (size_t)i * (size_t)samples * (size_t)samples);
        free(x);
    }
}

static void add_sums(vkd_alike *a, const float *K, const float *L, int n) {
    size_t size = (size_t)n * (size_t)n;
    for (int i = 0; i < a->rows; ++i) {
        a->kk[i] += vkd_hsic(K + (size_t)i * size, K + (size_t)i * size, n);
        for (int j = 0; j < a->columns; ++j)
            a->kl[i * a->columns + j] += vkd_hsic(K + (size_t)i * size, L + (size_t)j * size, n);
    }
    for (int j = 0; j < a->columns; ++j)
        a->ll[j] += vkd_hsic(L + (size_t)j * size, L + (size_t)j * size, n);
}

bool vkd_alike_add(vkd_alike_list *list, const network *student, const network *teacher, int most,
                   uint64_t seed, size_t batch) {
    for (int t = 0; t < list->count; ++t) {
        vkd_alike *a = &list->tables[t];
        vkd_rng rng;
        vkd_rng_seed(&rng, seed, stream_locations, (uint64_t)batch << 8 | (uint64_t)t);
        int *place = allocate((size_t)student->batch * (size_t)a->h * (size_t)a->w, sizeof *place);
        int n = draw_places(student, a, most, &rng, batch, place);
        if (n < VKD_CKA_MIN_SAMPLES) {
            free(place);
            return false;
        }
        size_t size = (size_t)n * (size_t)n;
        float *K = allocate((size_t)a->rows * size, sizeof *K),
              *L = allocate((size_t)a->columns * size, sizeof *L);
        fill_grams(student, a->row, a->rows, "student", a, place, n, K);
        fill_grams(teacher, a->column, a->columns, "teacher", a, place, n, L);
        add_sums(a, K, L, n);
        free(K);
        free(L);
        free(place);
    }
    return true;
}

double vkd_alike_value(const vkd_alike *a, int row, int column) {
    return vkd_cka(a->kl[row * a->columns + column], a->kk[row], a->ll[column]);
}
