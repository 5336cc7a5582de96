// Dense float64 twins of the two retractions, trivially written, and the checks both must pass.
#ifndef VKD_TESTS_NUMERICS_RETRACTION_SUPPORT_H
#define VKD_TESTS_NUMERICS_RETRACTION_SUPPORT_H

#include "support.h"

#include "numerics/stiefel.h"

typedef vkd_status (*retraction)(float *P, const float *D, int n, int k, double *work);
typedef vkd_status (*retraction_adjoint)(const float *P, const float *D, const float *G, float *dD, int n,
                                         int k, double *work);
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

// next = map(Z P' - P Z') P (3 I - P'P) / 2, the definition in the headers, for any D.
static inline void dense_retraction(dense_map map, const double *P, const double *D, int n, int k,
                                    double *next) {
    double *S = doubles((size_t)k * k), *Z = doubles((size_t)n * k), *A = doubles((size_t)n * n);
    double *Q = doubles((size_t)n * n), *C = doubles((size_t)n * k);
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
    for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j) {
            double w = 0;
            for (int r = 0; r < n; ++r)
                w += P[r * k + i] * P[r * k + j];
            S[i * k + j] = ((i == j ? 3 : 0) - w) / 2;
        }
    plain_product(P, S, n, k, k, C);
    plain_product(Q, C, n, n, k, next);
    free(S);
    free(Z);
    free(A);
    free(Q);
    free(C);
}

static inline void twin_exp(const double *P, const double *D, int n, int k, double *next) {
    dense_retraction(dense_exp, P, D, n, k, next);
}

static inline void twin_cayley(const double *P, const double *D, int n, int k, double *next) {
    dense_retraction(dense_cayley, P, D, n, k, next);
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

typedef struct retraction_case {
    int n, k, rank;
    double size;
} retraction_case;

static const retraction_case retraction_cases[] = {
    {1, 1, 0, 1},   {2, 1, 0, 1},    {2, 2, 0, 2},     {5, 5, 0, 3},    {6, 5, 0, 4},
    {9, 6, 0, 10},  {20, 4, 0, 1},   {20, 4, 0, 1e-6}, {20, 4, 0, 10},  {20, 4, 1, 10},
    {20, 4, 2, 1},  {33, 7, 3, 6},   {40, 8, 0, 0.1},  {40, 8, 0, 10},  {64, 1, 0, 3.1},
    {12, 12, 2, 7}, {12, 12, 0, 10}, {20, 4, 0, 1e4},  {20, 4, 2, 1e3},
};

// Against the dense twin: what is left is one rounding to float32.
static inline void check_against_dense(retraction retract, dense_twin twin) {
    for (size_t c = 0; c < COUNT(retraction_cases); ++c) {
        const retraction_case t = retraction_cases[c];
        const size_t nk = (size_t)t.n * t.k;
        float *P = random_point(t.n, t.k, c), *D = random_tangent(P, t.n, t.k, t.rank, t.size, 50 + c);
        double *Pd = widened(P, nk), *Dd = widened(D, nk), *want = doubles(nk),
               *work = stiefel_work(t.n, t.k);
        twin(Pd, Dd, t.n, t.k, want);
        assert_ok(retract(P, D, t.n, t.k, work));
        assert_below(relative_mixed(P, want, nk) / EPS32, 0.51);
        double defect;
        assert_ok(vkd_stiefel_defect(P, t.n, t.k, &defect, work));
        assert_below(defect / (sqrt(t.k) * EPS32), 1);
        free(P);
        free(D);
        free(Pd);
        free(Dd);
        free(want);
        free(work);
    }
}

// The derivative at D = 0 is D: (R(h D) - R(-h D)) / 2h - D = O(h^2), and float32 rounding / h.
static inline void check_first_order(retraction retract) {
    const int n = 24, k = 5;
    const size_t nk = (size_t)n * k;
    const double h = 1e-2;
    float *P = random_point(n, k, 4), *D = random_tangent(P, n, k, 0, 1, 5);
    float *plus = copy_floats(P, nk), *minus = copy_floats(P, nk), *step = floats(nk), *back = floats(nk);
    double *work = stiefel_work(n, k), error = 0;
    for (size_t i = 0; i < nk; ++i)
        back[i] = -(step[i] = (float)(h * D[i]));
    assert_ok(retract(plus, step, n, k, work));
    assert_ok(retract(minus, back, n, k, work));
    for (size_t i = 0; i < nk; ++i)
        error += pow(((double)plus[i] - minus[i]) / (2 * h) - D[i], 2);
    assert_below(sqrt(error), h * h + EPS32 * sqrt(k) / h);
    // There and back again along the same curve is only exact for geodesics of the same matrix, but
    // the zero step is exact for every retraction, bit for bit.
    memset(step, 0, nk * sizeof *step);
    memcpy(plus, P, nk * sizeof *P);
    assert_ok(retract(plus, step, n, k, work));
    assert_memory_equal(plus, P, nk * sizeof *P);
    free(P);
    free(D);
    free(plus);
    free(minus);
    free(step);
    free(back);
    free(work);
}

// Five thousand steps as a caller takes them: the defect stays where float32 storage puts it.
static inline void check_drift(retraction retract, int n, int k, double size, int *polished, double *worst) {
    const size_t nk = (size_t)n * k;
    float *P = random_point(n, k, 8), *D = floats(nk);
    double *work = stiefel_work(n, k);
    vkd_rng rng;
    vkd_rng_seed(&rng, 9, 9, 9);
    *polished = 0;
    *worst = 0;
    for (int step = 0; step < 5000; ++step) {
        for (size_t i = 0; i < nk; ++i)
            D[i] = (float)((vkd_rng_uniform(&rng) - 0.5) * size / sqrt((double)n));
        assert_ok(vkd_stiefel_project(P, D, n, k, work));
        assert_ok(retract(P, D, n, k, work));
        double defect;
        assert_ok(vkd_stiefel_defect(P, n, k, &defect, work));
        if (!(defect / (sqrt(k) * EPS32) <= *worst)) *worst = defect / (sqrt(k) * EPS32);
        if (defect > 1e-5 * sqrt(k)) {
            ++*polished;
            assert_ok(vkd_stiefel_polish(P, n, k, work));
        }
    }
    free(P);
    free(D);
    free(work);
}

// The adjoint against central differences of the dense twin, entry by entry, D not only tangent;
// <J v, w> = <v, J'w> for random v, w is the same statement summed.
static inline void check_adjoint(retraction_adjoint adjoint, size_t (*workspace)(int, int), dense_twin twin) {
    const retraction_case cases[] = {{7, 3, 0, 1}, {7, 3, 0, 1e-4}, {6, 4, 0, 5}, {4, 4, 0, 2},
                                     {1, 1, 0, 1}, {5, 1, 0, 2},    {8, 3, 1, 1}, {8, 2, 0, 10}};
    for (size_t c = 0; c < COUNT(cases); ++c) {
        const retraction_case t = cases[c];
        const int nk = t.n * t.k;
        float *P = random_point(t.n, t.k, 20 + c), *D = random_tangent(P, t.n, t.k, t.rank, t.size, 30 + c);
        float *G = normal_floats(nk, 40 + c), *V = normal_floats(nk, 60 + c), *dD = floats(nk);
        double *Pd = widened(P, nk), *Dd = widened(D, nk), *plus = doubles(nk), *minus = doubles(nk);
        double *want = doubles(nk), *work = doubles(workspace(t.n, t.k));
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
        assert_ok(adjoint(P, D, G, dD, t.n, t.k, work));
        // For n = k = 1 there is no tangent: the exact gradient is zero.
        double error = 0;
        for (int i = 0; i < nk; ++i)
            error += pow(dD[i] - want[i], 2);
        assert_below(sqrt(error) / norm_floats(G, nk), 1e-7);

        double jv_w = 0;
        for (int i = 0; i < nk; ++i)
            plus[i] = Dd[i] + h * V[i], minus[i] = Dd[i] - h * V[i];
        double *forward = doubles(nk), *backward = doubles(nk);
        twin(Pd, plus, t.n, t.k, forward);
        twin(Pd, minus, t.n, t.k, backward);
        for (int i = 0; i < nk; ++i)
            jv_w += G[i] * (forward[i] - backward[i]) / (2 * h);
        assert_below(fabs(jv_w - dot_floats(V, dD, nk)) / (norm_floats(G, nk) * norm_floats(V, nk)), 1e-7);

        // In place over G.
        assert_ok(adjoint(P, D, G, G, t.n, t.k, work));
        assert_memory_equal(G, dD, nk * sizeof *G);
        free(P);
        free(D);
        free(G);
        free(V);
        free(dD);
        free(Pd);
        free(Dd);
        free(plus);
        free(minus);
        free(want);
        free(work);
        free(forward);
        free(backward);
    }
}

// Bad sizes and bad numbers: a status, and P as it was.
static inline void check_rejects(retraction retract) {
    const int n = 6, k = 3, nk = 18;
    float *P = random_point(n, k, 1), *D = random_tangent(P, n, k, 0, 1, 1), *keep = copy_floats(P, nk);
    double *work = stiefel_work(n, k);
    assert_int_equal(retract(P, D, 2, 3, work), VKD_INVALID_ARGUMENT);
    assert_int_equal(retract(P, D, 3, 0, work), VKD_INVALID_ARGUMENT);
    D[7] = NAN;
    assert_int_equal(retract(P, D, n, k, work), VKD_NOT_FINITE);
    D[7] = INFINITY;
    assert_int_equal(retract(P, D, n, k, work), VKD_NOT_FINITE);
    assert_memory_equal(P, keep, nk * sizeof *P);
    D[7] = 0;
    P[0] = NAN;
    assert_int_equal(retract(P, D, n, k, work), VKD_NOT_FINITE);
    free(P);
    free(D);
    free(keep);
    free(work);
}

#endif
