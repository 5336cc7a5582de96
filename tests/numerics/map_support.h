// Dense float64 twins of the maps, trivially written, and the checks all of them must pass.
#ifndef VKD_TESTS_NUMERICS_MAP_SUPPORT_H
#define VKD_TESTS_NUMERICS_MAP_SUPPORT_H

#include "support.h"

#include "numerics/orthogonal_map.h"
#include "numerics/stiefel.h"

typedef void (*dense_map)(const double *A, int n, double *Q); // Q (n,n) from a skew A (n,n)
typedef void (*dense_twin)(const double *P, const double *D, int n, int k, double *next);

// exp(A) = (Taylor series of A / 2^s)^(2^s)
static inline void dense_exp(const double *A, int n, double *Q) {
    const int nn = n * n;
    const double norm = norm_doubles(A, (size_t)nn);
    int s = 0;
    while (ldexp(norm, -s) > 0.25)
        ++s;
    double *B = doubles(nn), *term = doubles(nn), *next = doubles(nn);
    for (int i = 0; i < nn; ++i) {
        B[i] = ldexp(A[i], -s);
        Q[i] = term[i] = i % (n + 1) == 0;
    }
    for (int p = 1; p <= 18; ++p) {
        plain_product(term, B, n, n, n, next);
        for (int i = 0; i < nn; ++i)
            Q[i] += term[i] = next[i] / p;
    }
    for (; s > 0; --s) {
        plain_product(Q, Q, n, n, n, next);
        memcpy(Q, next, nn * sizeof *Q);
    }
    free(B);
    free(term);
    free(next);
}

// (I - A/2)^-1 (I + A/2) by Gauss-Jordan elimination with row pivoting
static inline void dense_cayley(const double *A, int n, double *Q) {
    double *L = doubles((size_t)n * n);
    for (int i = 0; i < n * n; ++i) {
        L[i] = (i % (n + 1) == 0) - A[i] / 2;
        Q[i] = (i % (n + 1) == 0) + A[i] / 2;
    }
    for (int p = 0; p < n; ++p) {
        int best = p;
        for (int i = p + 1; i < n; ++i)
            if (fabs(L[i * n + p]) > fabs(L[best * n + p])) best = i;
        for (int j = 0; j < n; ++j) {
            double t = L[p * n + j];
            L[p * n + j] = L[best * n + j];
            L[best * n + j] = t;
            t = Q[p * n + j];
            Q[p * n + j] = Q[best * n + j];
            Q[best * n + j] = t;
        }
        for (int i = 0; i < n; ++i) {
            if (i == p) continue;
            const double f = L[i * n + p] / L[p * n + p];
            for (int j = 0; j < n; ++j) {
                L[i * n + j] -= f * L[p * n + j];
                Q[i * n + j] -= f * Q[p * n + j];
            }
        }
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            Q[i * n + j] /= L[i * n + i];
    free(L);
}

// next = map(Z P' - P Z') P, the definition in skew_map.h, for any D.
static inline void dense_skew_map(dense_map map, const double *P, const double *D, int n, int k,
                                  double *next) {
    double *S = doubles((size_t)k * k), *Z = doubles((size_t)n * k), *A = doubles((size_t)n * n);
    double *Q = doubles((size_t)n * n);
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j)
            for (int r = 0; r < n; ++r)
                S[i * k + j] += (P[r * k + i] * D[r * k + j] - D[r * k + i] * P[r * k + j]) / 2;
    plain_product(P, S, n, k, k, Z);
    for (int i = 0; i < n * k; ++i)
        Z[i] = D[i] - Z[i] / 2;
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            for (int c = 0; c < k; ++c)
                A[i * n + j] += Z[i * k + c] * P[j * k + c] - P[i * k + c] * Z[j * k + c];
    map(A, n, Q);
    plain_product(Q, P, n, n, k, next);
    free(S);
    free(Z);
    free(A);
    free(Q);
}

static inline void twin_exp(const double *P, const double *D, int n, int k, double *next) {
    dense_skew_map(dense_exp, P, D, n, k, next);
}

static inline void twin_cayley(const double *P, const double *D, int n, int k, double *next) {
    dense_skew_map(dense_cayley, P, D, n, k, next);
}

// Z (n,cols) <- (I - 2 w w'/w'w) Z
static inline void reflect(const double *w, int n, double *Z, int cols) {
    double ww = 0;
    for (int i = 0; i < n; ++i)
        ww += w[i] * w[i];
    for (int j = 0; j < cols && ww > 0; ++j) {
        double wz = 0;
        for (int i = 0; i < n; ++i)
            wz += w[i] * Z[i * cols + j];
        for (int i = 0; i < n; ++i)
            Z[i * cols + j] -= 2 * wz / ww * w[i];
    }
}

// B (n,n), B E = P: the reflectors that a QR factorization by Householder's method finds, one after the
// other, and the signs of its diagonal.
static inline void dense_completion(const double *P, int n, int k, double *B) {
    double *R = doubles((size_t)n * k), *w = doubles((size_t)n * k), *sign = doubles(n);
    memcpy(R, P, (size_t)n * k * sizeof *R);
    for (int j = 0; j < n; ++j)
        sign[j] = 1;
    for (int j = 0; j < k; ++j) {
        double *v = w + (size_t)j * n, norm = 0;
        for (int i = j; i < n; ++i)
            norm += R[i * k + j] * R[i * k + j];
        for (int i = j; i < n; ++i)
            v[i] = R[i * k + j];
        v[j] += v[j] > 0 ? sqrt(norm) : -sqrt(norm);
        reflect(v, n, R, k);
        sign[j] = R[j * k + j] > 0 ? 1 : -1;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            B[i * n + j] = i == j ? sign[j] : 0;
    for (int j = k - 1; j >= 0; --j)
        reflect(w + (size_t)j * n, n, B, n);
    free(R);
    free(w);
    free(sign);
}

// The definition in householder.h, one reflector after the other.
static inline void twin_householder(const double *P, const double *D, int n, int k, double *next) {
    double *B = doubles((size_t)n * n), *Bt = doubles((size_t)n * n), *X = doubles((size_t)n * k);
    double *Q = doubles((size_t)n * k), *w = doubles(n);
    dense_completion(P, n, k, B);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            Bt[i * n + j] = B[j * n + i];
    plain_product(Bt, D, n, n, k, X);
    for (int i = 0; i < k; ++i)
        Q[i * k + i] = -1;
    for (int j = k - 1; j >= 0; --j) {
        for (int i = 0; i < n; ++i)
            w[i] = i < j ? 0 : i == j ? 1 : X[i * k + j] / 2;
        reflect(w, n, Q, k);
    }
    plain_product(B, Q, n, n, k, next);
    free(B);
    free(Bt);
    free(X);
    free(Q);
    free(w);
}

static inline double *stiefel_work(int n, int k) {
    return doubles(vkd_stiefel_workspace(n, k)); // its exact size: the address sanitizer checks it
}

static inline float *random_point(int n, int k, uint64_t seed) {
    float *P = floats((size_t)n * k);
    double *work = stiefel_work(n, k);
    vkd_rng rng;
    vkd_rng_seed(&rng, seed, 2, 0);
    assert_ok(vkd_stiefel_random(P, n, k, &rng, work));
    free(work);
    return P;
}

// A tangent of the given norm. With rank > 0 it is made from that many columns of the ambient
// direction, so that the part normal to span P has at most that rank.
static inline float *random_tangent(const float *P, int n, int k, int rank, double size, uint64_t seed) {
    float *D = normal_floats((size_t)n * k, seed);
    double *work = stiefel_work(n, k);
    if (rank > 0)
        for (int i = 0; i < n; ++i)
            for (int j = rank; j < k; ++j)
                D[i * k + j] = 0;
    assert_ok(vkd_stiefel_project(P, D, n, k, work));
    const double norm = norm_floats(D, (size_t)n * k);
    for (int i = 0; i < n * k; ++i)
        D[i] = norm > 0 ? (float)(D[i] * size / norm) : 0;
    free(work);
    return D;
}

// P rounded to float32 is orthonormal to eps32 only; these are the float64 points beside it.
static inline double *exact_point(int n, int k, uint64_t seed) {
    float *P = random_point(n, k, seed);
    double *V = widened(P, (size_t)n * k);
    for (int j = 0; j < k; ++j) { // Gram-Schmidt, twice
        for (int pass = 0; pass < 2; ++pass)
            for (int l = 0; l < j; ++l) {
                double dot = 0;
                for (int i = 0; i < n; ++i)
                    dot += V[i * k + l] * V[i * k + j];
                for (int i = 0; i < n; ++i)
                    V[i * k + j] -= dot * V[i * k + l];
            }
        double norm = 0;
        for (int i = 0; i < n; ++i)
            norm += V[i * k + j] * V[i * k + j];
        for (int i = 0; i < n; ++i)
            V[i * k + j] /= sqrt(norm);
    }
    free(P);
    return V;
}

static inline double defect_doubles(const double *V, int n, int k) {
    double sum = 0;
    for (int a = 0; a < k; ++a)
        for (int b = 0; b < k; ++b) {
            double dot = 0;
            for (int i = 0; i < n; ++i)
                dot += V[i * k + a] * V[i * k + b];
            sum += (dot - (a == b)) * (dot - (a == b));
        }
    return sqrt(sum);
}

typedef struct map_case {
    int n, k, rank;
    double size;
} map_case;

static const map_case map_cases[] = {
    {1, 1, 0, 1},   {2, 1, 0, 1},    {2, 2, 0, 2},     {5, 5, 0, 3},    {6, 5, 0, 4},
    {9, 6, 0, 10},  {20, 4, 0, 1},   {20, 4, 0, 1e-6}, {20, 4, 0, 10},  {20, 4, 1, 10},
    {20, 4, 2, 1},  {33, 7, 3, 6},   {40, 8, 0, 0.1},  {40, 8, 0, 10},  {64, 1, 0, 3.1},
    {12, 12, 2, 7}, {12, 12, 0, 10}, {20, 4, 0, 1e3},  {20, 4, 2, 1e3}, {40, 18, 0, 6},
};

// The core against the dense twin, and the shell against the core: one rounding to float32.
static inline void check_against_dense(const vkd_orthogonal_map *map, dense_twin twin) {
    for (size_t c = 0; c < COUNT(map_cases); ++c) {
        const map_case t = map_cases[c];
        const size_t nk = (size_t)t.n * t.k;
        float *P = random_point(t.n, t.k, c), *D = random_tangent(P, t.n, t.k, t.rank, t.size, 50 + c);
        double *Pd = exact_point(t.n, t.k, c), *Dd = widened(D, nk), *want = doubles(nk), *got = doubles(nk);
        double *work = doubles(vkd_map_forward_workspace(map, t.n, t.k)),
               *shell = doubles(vkd_map_workspace(map, t.n, t.k));
        twin(Pd, Dd, t.n, t.k, want);
        assert_ok(vkd_map_forward_double(map, Pd, Dd, t.n, t.k, got, work));
        assert_below(relative_doubles(got, want, nk) / (t.n * EPS64 * (1 + t.size)), 30);
        assert_below(defect_doubles(got, t.n, t.k) / (t.n * EPS64 * (1 + t.size)), 30);
        for (size_t i = 0; i < nk; ++i)
            Pd[i] = P[i];
        assert_ok(vkd_map_forward_double(map, Pd, Dd, t.n, t.k, got, work));
        assert_ok(vkd_map_forward(map, P, D, t.n, t.k, P, shell));
        assert_below(relative_mixed(P, got, nk) / EPS32, 0.51);
        double defect, *scratch = stiefel_work(t.n, t.k);
        assert_ok(vkd_stiefel_defect(P, t.n, t.k, &defect, scratch));
        assert_below(defect / (sqrt(t.k) * EPS32), 2);
        free(P);
        free(D);
        free(Pd);
        free(Dd);
        free(want);
        free(got);
        free(work);
        free(shell);
        free(scratch);
    }
}

// The steps of every update go by a series of their own: tangents and others against the dense twin, and from
// a P that is only nearly orthonormal to a V that is so but for the square of that.
static inline void check_small_steps(const vkd_orthogonal_map *map, dense_twin twin) {
    enum { n = 24, k = 5, nk = n * k };
    const double sizes[] = {0.2, 0.02, 1e-5}, parts[] = {0, 0.3}, defects[] = {0, 1e-5};
    for (size_t c = 0; c < COUNT(sizes) * COUNT(parts) * COUNT(defects); ++c) {
        const double size = sizes[c % 3], part = parts[c / 3 % 2], defect = defects[c / 6];
        float *P = random_point(n, k, 7), *D = random_tangent(P, n, k, 0, size, 8),
              *other = normal_floats(nk, 9);
        double *Pd = exact_point(n, k, 7), *Dd = widened(D, nk), want[nk], got[nk];
        double *work = doubles(vkd_map_forward_workspace(map, n, k)), general[nk];
        for (int i = 0; i < nk; ++i) {
            Dd[i] += part * size / sqrt(nk) * other[i]; // along P as well
            Pd[i] *= i % k == 2 ? 1 + defect / 2 : 1;
        }
        assert_ok(vkd_map_forward_double(map, Pd, Dd, n, k, got, work));
        twin(Pd, Dd, n, k, want);
        assert_ok(map->forward(Pd, Dd, n, k, general, work));
        if (defect == 0) {
            assert_below(relative_doubles(got, want, nk) / (n * EPS64), 30);
            assert_below(relative_doubles(general, want, nk) / (n * EPS64), 30);
        }
        assert_below(relative_doubles(got, want, nk), 2 * defect + 30 * n * EPS64);
        assert_below(defect_doubles(got, n, k), 2 * defect * defect + 30 * n * EPS64);
        free(P);
        free(D);
        free(other);
        free(Pd);
        free(Dd);
        free(work);
    }
}

// A large square takes other ways in the shell, a small step of it and one along a tangent yet another; what
// is left is float32 rounding of the step, and V'V = I.
static inline void check_large_square(const vkd_orthogonal_map *map) {
    enum { k = 260 };
    const size_t kk = (size_t)k * k;
    const double sizes[] = {0.02, 0.3, 1, 30}, parts[] = {0, 1e-3, 0.3};
    for (size_t c = 0; c < COUNT(sizes) * COUNT(parts); ++c) {
        const double size = sizes[c % COUNT(sizes)], part = parts[c / COUNT(sizes)];
        float *P = random_point(k, k, 1), *D = random_tangent(P, k, k, 0, size, 2), *V = floats(kk);
        float *other = normal_floats(kk, 3);
        for (size_t i = 0; i < kk; ++i)
            D[i] += (float)(part * size / k) * other[i];
        double *Pd = widened(P, kk), *Dd = widened(D, kk), *want = doubles(kk);
        double *work = doubles(vkd_map_workspace(map, k, k)), *scratch = stiefel_work(k, k), defect;
        assert_ok(vkd_map_forward_double(map, Pd, Dd, k, k, want, work));
        assert_ok(vkd_map_forward(map, P, D, k, k, V, work));
        assert_below(relative_mixed(V, want, kk) / EPS32, 0.51 + 2 * size / sqrt(k));
        assert_ok(vkd_stiefel_defect(V, k, k, &defect, scratch));
        assert_below(defect / (sqrt(k) * EPS32), 1);
        float *singles[] = {P, D, V, other};
        double *all[] = {Pd, Dd, want, work, scratch};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
    }
}

// So does a small step of a large P, tangent or not; one of 3 only looks small by its length.
static inline void check_large_small_step(const vkd_orthogonal_map *map) {
    enum { n = 300, k = 120, nk = n * k };
    const double sizes[] = {0.5, 0.02, 3}, parts[] = {0, 0.3};
    for (size_t c = 0; c < COUNT(sizes) * COUNT(parts); ++c) {
        const double size = sizes[c % COUNT(sizes)], part = parts[c / COUNT(sizes)];
        float *P = random_point(n, k, 1), *D = random_tangent(P, n, k, 0, size, 2), *V = floats(nk);
        float *other = normal_floats(nk, 3);
        for (int i = 0; i < nk; ++i)
            D[i] += (float)(part * size / sqrt(nk)) * other[i];
        double *Pd = widened(P, nk), *Dd = widened(D, nk), *want = doubles(nk), defect;
        double *work = doubles(vkd_map_workspace(map, n, k)), *scratch = stiefel_work(n, k);
        assert_ok(map->forward(Pd, Dd, n, k, want, work));
        assert_ok(vkd_map_forward(map, P, D, n, k, V, work));
        double before;
        assert_ok(vkd_stiefel_defect(P, n, k, &before, scratch));
        assert_below(relative_mixed(V, want, nk) / EPS32,
                     0.51 + 2 * size / sqrt(k) + before / EPS32 / sqrt(k));
        assert_ok(vkd_stiefel_defect(V, n, k, &defect, scratch));
        assert_below(defect / (sqrt(k) * EPS32), 1);
        assert_ok(vkd_map_forward(map, P, D, n, k, P, work)); // in place
        assert_memory_equal(P, V, nk * sizeof *P);
        float *singles[] = {P, D, V, other};
        double *all[] = {Pd, Dd, want, work, scratch};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
    }
}

// The derivative at D = 0 is D: (V(h D) - V(-h D)) / 2h - D = O(h^2), and rounding / h. D = 0 gives P bit for
// bit.
static inline void check_first_order(const vkd_orthogonal_map *map) {
    const int shapes[][2] = {{24, 5}, {8, 5}, {6, 6}};
    for (size_t s = 0; s < COUNT(shapes); ++s) {
        const int n = shapes[s][0], k = shapes[s][1];
        const size_t nk = (size_t)n * k;
        const double h = 1e-4;
        float *P = random_point(n, k, 4), *D = random_tangent(P, n, k, 0, 1, 5), *V = floats(nk);
        double *Pd = widened(P, nk), *step = doubles(nk), *plus = doubles(nk), *minus = doubles(nk);
        double *work = doubles(vkd_map_workspace(map, n, k)), error = 0;
        for (size_t i = 0; i < nk; ++i)
            step[i] = h * D[i];
        assert_ok(vkd_map_forward_double(map, Pd, step, n, k, plus, work));
        for (size_t i = 0; i < nk; ++i)
            step[i] = -h * D[i];
        assert_ok(vkd_map_forward_double(map, Pd, step, n, k, minus, work));
        for (size_t i = 0; i < nk; ++i)
            error += pow((plus[i] - minus[i]) / (2 * h) - D[i], 2);
        assert_below(sqrt(error), 10 * (h * h + EPS32)); // P and with it D are tangent to float32 only
        memset(D, 0, nk * sizeof *D);
        assert_ok(vkd_map_forward(map, P, D, n, k, V, work));
        assert_memory_equal(V, P, nk * sizeof *P);
        free(P);
        free(D);
        free(V);
        free(Pd);
        free(step);
        free(plus);
        free(minus);
        free(work);
    }
}

// The adjoint against central differences of the dense twin, entry by entry, D not only tangent;
// <J v, w> = <v, J'w> for random v, w is the same statement summed.
static inline void check_adjoint(const vkd_orthogonal_map *map, dense_twin twin) {
    const map_case cases[] = {{7, 3, 0, 1}, {7, 3, 0, 1e-4}, {6, 4, 0, 5}, {4, 4, 0, 2},
                              {1, 1, 0, 1}, {5, 1, 0, 2},    {8, 3, 1, 1}, {8, 2, 0, 10}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const map_case t = cases[c];
        const int nk = t.n * t.k;
        float *P = random_point(t.n, t.k, 20 + c), *D = random_tangent(P, t.n, t.k, t.rank, t.size, 30 + c);
        float *G = normal_floats(nk, 40 + c), *V = normal_floats(nk, 60 + c), *dD = floats(nk);
        for (int i = 0; i < nk; ++i)
            D[i] += c % 2 ? 0 : 0.1f * V[nk - 1 - i];
        double *Pd = exact_point(t.n, t.k, 20 + c), *Dd = widened(D, nk), *Gd = widened(G, nk);
        double *plus = doubles(nk), *minus = doubles(nk), *forward = doubles(nk), *backward = doubles(nk);
        double *want = doubles(nk), *got = doubles(nk), *work = doubles(vkd_map_workspace(map, t.n, t.k));
        const double h = 1e-5;
        for (int i = 0; i < nk; ++i) {
            const double keep = Dd[i];
            Dd[i] = keep + h;
            twin(Pd, Dd, t.n, t.k, plus);
            Dd[i] = keep - h;
            twin(Pd, Dd, t.n, t.k, minus);
            Dd[i] = keep;
            for (int j = 0; j < nk; ++j)
                want[i] += G[j] * (plus[j] - minus[j]) / (2 * h);
        }
        assert_ok(map->adjoint(Pd, Dd, Gd, t.n, t.k, got, work));
        // For n = k = 1 there is no tangent: the exact gradient is zero.
        double error = 0, jv_w = 0, v_jw = 0;
        for (int i = 0; i < nk; ++i)
            error += pow(got[i] - want[i], 2);
        assert_below(sqrt(error) / norm_floats(G, nk), 1e-8);

        for (int i = 0; i < nk; ++i)
            plus[i] = Dd[i] + h * V[i], minus[i] = Dd[i] - h * V[i];
        assert_ok(vkd_map_forward_double(map, Pd, plus, t.n, t.k, forward, work));
        assert_ok(vkd_map_forward_double(map, Pd, minus, t.n, t.k, backward, work));
        for (int i = 0; i < nk; ++i) {
            jv_w += G[i] * (forward[i] - backward[i]) / (2 * h);
            v_jw += V[i] * got[i];
        }
        assert_below(fabs(jv_w - v_jw) / (norm_floats(G, nk) * norm_floats(V, nk)), 1e-8);

        // The shell, and in place over G.
        assert_ok(vkd_map_adjoint(map, P, D, G, t.n, t.k, dD, work));
        error = 0;
        for (int i = 0; i < nk; ++i)
            error += pow(dD[i] - got[i], 2);
        assert_below(sqrt(error) / (EPS32 * norm_floats(G, nk)), 10 + t.size);
        assert_ok(vkd_map_adjoint(map, P, D, G, t.n, t.k, G, work));
        assert_memory_equal(G, dD, nk * sizeof *G);
        float *singles[] = {P, D, G, V, dD};
        double *all[] = {Pd, Dd, Gd, plus, minus, forward, backward, want, got, work};
        for (size_t i = 0; i < COUNT(singles); ++i)
            free(singles[i]);
        for (size_t i = 0; i < COUNT(all); ++i)
            free(all[i]);
    }
}

static inline void check_rejects(const vkd_orthogonal_map *map) {
    const int n = 6, k = 3, nk = 18;
    float *P = random_point(n, k, 1), *D = random_tangent(P, n, k, 0, 1, 1), *keep = copy_floats(P, nk);
    float *G = normal_floats(nk, 3), *V = copy_floats(P, nk);
    double *work = doubles(vkd_map_workspace(map, n, k));
    assert_int_equal(vkd_map_forward(map, P, D, 2, 3, V, work), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_map_forward(map, P, D, 3, 0, V, work), VKD_INVALID_ARGUMENT);
    assert_int_equal(vkd_map_adjoint(map, P, D, G, 2, 3, V, work), VKD_INVALID_ARGUMENT);
    const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        float was = D[7];
        D[7] = bad[i];
        assert_int_equal(vkd_map_forward(map, P, D, n, k, V, work), VKD_NOT_FINITE);
        assert_int_equal(vkd_map_adjoint(map, P, D, G, n, k, V, work), VKD_NOT_FINITE);
        D[7] = was;
        was = G[2];
        G[2] = bad[i];
        assert_int_equal(vkd_map_adjoint(map, P, D, G, n, k, V, work), VKD_NOT_FINITE);
        G[2] = was;
    }
    P[0] = NAN;
    assert_int_equal(vkd_map_forward(map, P, D, n, k, V, work), VKD_NOT_FINITE);
    assert_memory_equal(V, keep, nk * sizeof *V);
    free(P);
    free(D);
    free(keep);
    free(G);
    free(V);
    free(work);
}

#endif
