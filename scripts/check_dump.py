#!/usr/bin/python3
"""Recomputes a training step of V_kD in float64 from what `darknet vkd dump` wrote, and compares.

  check_dump.py DIR [--student-norm standardize|layernorm|gain|none] [--loss l2|smooth_l1] [--map MAP]
                [--mode standardize|layernorm|none|whiten|given] [--eps E] [--shrinkage A] [--rank R] [--cholesky]

Say what the cfg says; the defaults are the cfg's. Statistics are the batch's own, as in a run's first batch; in a
dump that is taken later they are running averages, and --mode given takes the target as it is.

A number is right when it is within rounding: |found - expected| <= 30 eps |terms|, where eps = 2^-23 is float32's and
|terms| is the norm of what was added up to get it, without signs. Exit status 1 where one is not.
"""

import argparse
import glob
import os
import sys

import numpy as np

EPS32 = 2.0**-23
LIMIT = 30
STUDENT_EPS = 1e-5


def resampling(size, out, average):
    """R (out,size), so that R x brings x to `out` places: area average, or linear with aligned pixel centres."""
    R = np.zeros((out, size))
    for i in range(out):
        if average:
            factor = size // out
            R[i, i * factor : (i + 1) * factor] = 1 / factor
        else:
            at = min(max((i + 0.5) * size / out - 0.5, 0), size - 1)
            low = int(at)
            R[i, low] += 1 - (at - low)
            R[i, min(low + 1, size - 1)] += at - low
    return R


def to_grid(t, h, w):
    """t (B,n,ht,wt) on the student's grid, (B,n,h,w)."""
    average = t.shape[2] % h == 0 and t.shape[3] % w == 0
    return resampling(t.shape[2], h, average) @ t @ resampling(t.shape[3], w, average).T


def samples_of(maps, counts):
    """maps (B,channels,h,w) as samples (channels,N), of the locations that count (B*h*w)."""
    return np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1)[:, counts]


def maps_of(samples, counts, shape):
    """The way back: zero where a location does not count."""
    flat = np.zeros((samples.shape[0], counts.size))
    flat[:, counts] = samples
    return np.moveaxis(flat.reshape(samples.shape[0], shape[0], *shape[2:]), 0, 1)


def normalize(x, axis, eps):
    """(x - mean) / sqrt(variance + eps) along `axis`, what it is made of, and 1 / sqrt(variance + eps)."""
    mean = x.mean(axis, keepdims=True)
    s = 1 / np.sqrt(x.var(axis, keepdims=True) + eps)
    return (x - mean) * s, (abs(x) + abs(mean)) * s, s


def normalize_backward(dy, y, s, axis):
    """dx = s (dy - mean(dy) - y mean(dy y))."""
    return s * (dy - dy.mean(axis, keepdims=True) - y * (dy * y).mean(axis, keepdims=True))


# x (channels,samples): along the samples of a channel, or along the channels of a sample.
AXIS = {"standardize": 1, "layernorm": 0}


def whitening(t, options):
    """W and the mean: W Sigma W' = I for the shrunk covariance."""
    n = t.shape[0]
    mean = t.mean(1, keepdims=True)
    sigma = (t - mean) @ (t - mean).T / t.shape[1]
    average = np.trace(sigma) / n
    sigma = (1 - options.shrinkage) * sigma + options.shrinkage * average * np.eye(n)
    if options.cholesky:
        return np.linalg.inv(np.linalg.cholesky(sigma)), mean
    values, vectors = np.linalg.eigh(sigma)
    values, vectors = values[-options.rank :], vectors[:, -options.rank :]  # rank 0: all
    values = np.maximum(values, options.eps * (average if average > 0 else 1))
    return vectors / np.sqrt(values) @ vectors.T, mean


def make_target(t, options):
    """The target from the teacher's samples, and its terms."""
    if options.mode in AXIS:
        return normalize(t, AXIS[options.mode], options.eps)[:2]
    if options.mode == "whiten":
        W, mean = whitening(t, options)
        return W @ (t - mean), abs(W) @ (abs(t) + abs(mean))
    return t, abs(t)


def distance(R, options):
    """d(R) and its derivative."""
    if options.loss == "l2":
        return R**2, 2 * R
    return np.where(abs(R) < 1, R**2 / 2, abs(R) - 0.5), np.clip(R, -1, 1)


def student_side(x, gain, options):
    """X, its terms, and its factor of x."""
    axis = AXIS.get(options.student_norm)
    return (gain * x, gain * abs(x), gain) if axis is None else normalize(x, axis, STUDENT_EPS)


def cross_covariance(x, T, c, weight, gain, options):
    """What map=procrustes takes for G, and its terms: the part with the targets. Where n >= k the rest is normal."""
    X, X_terms, _ = student_side(x, gain, options)
    return -2 * c * (weight * T) @ X.T, 2 * c * (weight * abs(T)) @ X_terms.T


def step(x, T, P, c, weight, gain, options):
    """Loss of the images together, its gradient in x (k,N), and G (n,k); of each the terms as well.

    L = c sum_j s_j d(P X_j - T_j) over the samples, X = the normalised x, s = 1 but for `foreground`.
    dX = c s P'd'(P X - T), G = c s d'(P X - T) X'.
    """
    axis, (X, X_terms, s) = AXIS.get(options.student_norm), student_side(x, gain, options)
    R, R_terms = P @ X - T, abs(P) @ X_terms + abs(T)
    (d, slope), (d_terms, slope_terms) = distance(R, options), distance(R_terms, options)
    loss, loss_terms = c * (weight * d).sum(), c * (weight * d_terms).sum()
    dX, dX_terms = c * weight * (P.T @ slope), c * weight * (abs(P).T @ slope_terms)
    G, G_terms = c * (weight * slope) @ X.T, c * (weight * slope_terms) @ X_terms.T
    if axis is None:
        return (loss, loss_terms), (s * dX, s * dX_terms), (G, G_terms)
    dX = normalize_backward(dX, X, s, axis)
    dX_terms = s * (dX_terms + dX_terms.mean(axis, keepdims=True)
                    + X_terms * (dX_terms * X_terms).mean(axis, keepdims=True))  # fmt: skip
    return (loss, loss_terms), (dX, dX_terms), (G, G_terms)


def tangent(P, G, G_terms):
    """xi = G - P G'P."""
    return G - P @ G.T @ P, G_terms + abs(P) @ G_terms.T @ abs(P)


def load(directory, tap, name, default=None):
    path = os.path.join(directory, f"tap{tap}_{name}.npy")
    if default is not None and not os.path.exists(path):
        return default
    return np.load(path).astype(np.float64)


def check(what, found, expected, terms):
    """One line; True where found is expected but for rounding."""
    found = found.reshape(np.shape(expected))
    error, size = np.linalg.norm(found - expected), np.linalg.norm(expected)
    relative = error / size if size > 0 else error
    scale = EPS32 * np.linalg.norm(terms)
    good = bool(error <= LIMIT * scale)  # False for a NaN
    ratio = error / scale if scale > 0 else error
    print(f"{what:<16} relative difference {relative:.1e}, {ratio:.2f} of {LIMIT} eps{'' if good else '   WRONG'}")
    return good


def check_tap(directory, tap, options):
    student, teacher, target, P = (load(directory, tap, name) for name in ("student", "teacher", "target", "P"))
    B, k, h, w = student.shape
    n, grid = target.shape[1], target.shape[2:]
    pooled = grid == (1, 1)  # pool=global: the mean over locations is the one sample of an image
    if not pooled and grid != (h, w) or P.shape != (n, k) or teacher.shape[:2] != (B, n):
        sys.exit(f"{directory}: tap {tap}: the files' shapes do not belong together")
    good = []
    grid = (B, 1, *grid)
    counts = load(directory, tap, "mask", np.ones(grid)).ravel() != 0  # mask_padding
    weight = samples_of(load(directory, tap, "emphasis", np.ones(grid)).reshape(grid), counts)
    if not counts.any():  # no object in these pictures: nothing comes of them
        nothing = {"loss": [0.0], "dstudent": 0 * student, "xi": 0 * P}
        return all([check(f"tap{tap} {name}", load(directory, tap, name), zero, zero) for name, zero in nothing.items()])
    T = samples_of(target, counts)
    if options.mode != "given":
        expected, terms = make_target(samples_of(to_grid(teacher, *grid[2:]), counts), options)
        good.append(check(f"tap{tap} target", T, expected, terms))
    x = samples_of(student.mean((2, 3), keepdims=True) if pooled else student, counts)
    gain = load(directory, tap, "gain", np.ones(1))[0]
    c = B / (n * x.shape[1])
    (loss, loss_terms), (dx, dx_terms), (G, G_terms) = step(x, T, P, c, weight, gain, options)
    if options.map == "procrustes":
        G, G_terms = cross_covariance(x, T, c, weight, gain, options)
    dx, dx_terms = (
        np.broadcast_to(maps_of(v, counts, grid) / (h * w if pooled else 1), student.shape) for v in (dx, dx_terms)
    )
    xi, xi_terms = (G, G_terms) if options.map == "linear" else tangent(P, G, G_terms)
    good.append(check(f"tap{tap} loss", load(directory, tap, "loss"), [loss], loss_terms))
    good.append(check(f"tap{tap} dstudent", load(directory, tap, "dstudent"), dx, dx_terms))
    good.append(check(f"tap{tap} xi", load(directory, tap, "xi"), xi, xi_terms))
    if options.map != "linear":  # |P'P - I|, or |P P' - I| where the student is the wider side
        gram = P.T @ P if n >= k else P @ P.T
        good.append(check(f"tap{tap} P'P", gram, np.eye(min(n, k)), np.eye(min(n, k)) * np.sqrt(min(n, k))))
    return all(good)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--student-norm", default="standardize", choices=["standardize", "layernorm", "gain", "none"])
    parser.add_argument("--loss", default="l2", choices=["l2", "smooth_l1"])
    parser.add_argument("--mode", default="standardize", choices=["standardize", "layernorm", "none", "whiten", "given"])
    parser.add_argument("--map", choices=["procrustes", "matrix_exp", "cayley", "householder", "frozen", "linear", "identity"])
    parser.add_argument("--eps", type=float, default=1e-5)
    parser.add_argument("--shrinkage", type=float, default=0.05)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--cholesky", action="store_true")
    options = parser.parse_args()
    options.map = options.map or ("procrustes" if options.loss == "l2" else "matrix_exp")
    count = len(glob.glob(os.path.join(glob.escape(options.directory), "tap*_P.npy")))
    if not count:
        sys.exit(f"{options.directory}: no tap*_P.npy; expected what `darknet vkd dump` wrote")
    good = [check_tap(options.directory, tap, options) for tap in range(count)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
