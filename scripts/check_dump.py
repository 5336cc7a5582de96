#!/usr/bin/python3
"""Recomputes a training step of V_kD in float64 from what `darknet vkd dump` wrote, and compares.

  check_dump.py DIR [--student-norm standardize|layernorm|none] [--map MAP]
                [--mode standardize|layernorm|none|whiten|given] [--eps E] [--shrinkage A]

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
    """t (B,n,ht,wt) on the student's grid, as samples (B,n,h*w)."""
    average = t.shape[2] % h == 0 and t.shape[3] % w == 0
    t = resampling(t.shape[2], h, average) @ t @ resampling(t.shape[3], w, average).T
    return t.reshape(*t.shape[:2], -1)


def normalize(x, axes, eps):
    """(x - mean) / sqrt(variance + eps) over `axes`, what it is made of, and 1 / sqrt(variance + eps)."""
    mean = x.mean(axes, keepdims=True)
    s = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    return (x - mean) * s, (abs(x) + abs(mean)) * s, s


def normalize_backward(dy, y, s, axes):
    """dx = s (dy - mean(dy) - y mean(dy y))."""
    return s * (dy - dy.mean(axes, keepdims=True) - y * (dy * y).mean(axes, keepdims=True))


# x (B,channels,samples): over the samples of a channel, or over the channels of a sample.
AXES = {"standardize": (0, 2), "layernorm": (1,)}


def whitening(t, eps, shrinkage):
    """W and the mean: W Sigma W = I for the shrunk covariance (ZCA)."""
    n = t.shape[1]
    mean = t.mean((0, 2), keepdims=True)
    samples = (t - mean).transpose(1, 0, 2).reshape(n, -1)
    sigma = samples @ samples.T / samples.shape[1]
    average = np.trace(sigma) / n
    values, vectors = np.linalg.eigh((1 - shrinkage) * sigma + shrinkage * average * np.eye(n))
    values = np.maximum(values, eps * (average if average > 0 else 1))
    return vectors / np.sqrt(values) @ vectors.T, mean


def make_target(t, options):
    """The target from the teacher's features on the student's grid, and its terms."""
    if options.mode in AXES:
        return normalize(t, AXES[options.mode], options.eps)[:2]
    if options.mode == "whiten":
        W, mean = whitening(t, options.eps, options.shrinkage)
        return W @ (t - mean), abs(W) @ (abs(t) + abs(mean))
    return t, abs(t)


def step(x, T, P, weight, options):
    """Loss of the images together, its gradient in x (B,k,samples), and G (n,k); of each the terms as well.

    L = c sum_j s_j |P X_j - T_j|^2 over images and samples, c = 1 / (n samples), X = the normalised x, s = 1 but for
    `foreground`. dX = 2 c s P'(P X - T), G = 2 c s (P X - T) X'.
    """
    c = 1 / (P.shape[0] * x.shape[2])
    axes = AXES.get(options.student_norm)
    X, X_terms, s = normalize(x, axes, STUDENT_EPS) if axes else (x, abs(x), None)
    R, R_terms = P @ X - T, abs(P) @ X_terms + abs(T)
    loss, loss_terms = c * (weight * R**2).sum(), c * (weight * R_terms**2).sum()
    dX, dX_terms = 2 * c * weight * (P.T @ R), 2 * c * weight * (abs(P).T @ R_terms)
    G = 2 * c * np.einsum("bnj,bkj->nk", weight * R, X)
    G_terms = 2 * c * np.einsum("bnj,bkj->nk", weight * R_terms, X_terms)
    if axes:
        dX = normalize_backward(dX, X, s, axes)
        dX_terms = s * (dX_terms + dX_terms.mean(axes, keepdims=True)
                        + X_terms * (dX_terms * X_terms).mean(axes, keepdims=True))  # fmt: skip
    return (loss, loss_terms), (dX, dX_terms), (G, G_terms)


def tangent(P, G, G_terms):
    """xi = G - P G'P."""
    return G - P @ G.T @ P, G_terms + abs(P) @ G_terms.T @ abs(P)


def load(directory, tap, name):
    return np.load(os.path.join(directory, f"tap{tap}_{name}.npy")).astype(np.float64)


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
    T = target.reshape(B, n, -1)
    if options.mode != "given":
        expected, terms = make_target(to_grid(teacher, *grid), options)
        good.append(check(f"tap{tap} target", T, expected, terms))
    x = student.reshape(B, k, -1)
    x = x.mean(2, keepdims=True) if pooled else x
    emphasis = os.path.exists(os.path.join(directory, f"tap{tap}_emphasis.npy"))
    weight = load(directory, tap, "emphasis").reshape(B, 1, -1) if emphasis else np.ones((B, 1, 1))
    (loss, loss_terms), (dx, dx_terms), (G, G_terms) = step(x, T, P, weight, options)
    xi, xi_terms = (G, G_terms) if options.map == "linear" else tangent(P, G, G_terms)
    everywhere = np.ones(h * w) / (h * w) if pooled else 1
    good.append(check(f"tap{tap} loss", load(directory, tap, "loss"), [loss], loss_terms))
    good.append(check(f"tap{tap} dstudent", load(directory, tap, "dstudent"),
                      dx * everywhere, dx_terms * everywhere))  # fmt: skip
    good.append(check(f"tap{tap} xi", load(directory, tap, "xi"), xi, xi_terms))
    if options.map != "linear":  # |P'P - I|, or |P P' - I| where the student is the wider side
        gram = P.T @ P if n >= k else P @ P.T
        good.append(check(f"tap{tap} P'P", gram, np.eye(min(n, k)), np.eye(min(n, k)) * np.sqrt(min(n, k))))
    return all(good)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--student-norm", default="standardize", choices=["standardize", "layernorm", "none"])
    parser.add_argument("--mode", default="standardize", choices=["standardize", "layernorm", "none", "whiten", "given"])
    parser.add_argument("--map", default="matrix_exp", choices=["matrix_exp", "cayley", "frozen", "linear"])
    parser.add_argument("--eps", type=float, default=1e-5)
    parser.add_argument("--shrinkage", type=float, default=0.05)
    options = parser.parse_args()
    count = len(glob.glob(os.path.join(glob.escape(options.directory), "tap*_P.npy")))
    if not count:
        sys.exit(f"{options.directory}: no tap*_P.npy; expected what `darknet vkd dump` wrote")
    good = [check_tap(options.directory, tap, options) for tap in range(count)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
