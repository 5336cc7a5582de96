#!/usr/bin/python3
"""Write tests/numerics/reference_*.h: small vectors from NumPy, SciPy and PyTorch.

Usage: scripts/make_reference.py [DIRECTORY]

The headers are kept in the repository; this script is only needed to change them.
Debian: python3-numpy python3-scipy python3-torch.
"""
import pathlib
import sys

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1


class Header:
    def __init__(self, name):
        self.name = name
        self.lines = ["// Written by scripts/make_reference.py; do not edit."]
        guard = "VKD_REFERENCE_%s_H" % name.upper()
        self.lines += ["// clang-format off", "#ifndef " + guard, "#define " + guard, ""]

    def array(self, name, values, kind="float"):
        if kind == "uint64_t":
            words = ["UINT64_C(%d)" % v for v in values]
        else:
            flat = np.asarray(values, dtype=np.float64).ravel()
            if kind == "float":
                words = ["%.9gf" % v if "." in "%.9g" % v or "e" in "%.9g" % v else "%.1ff" % v for v in flat]
            else:
                words = ["%.17g" % v for v in flat]
        self.lines.append("static const %s %s[] = {" % (kind, name))
        line = "   "
        for word in words:
            if len(line) + len(word) + 2 > 105:
                self.lines.append(line)
                line = "   "
            line += " " + word + ","
        self.lines += [line, "};"]

    def write(self, directory):
        text = "\n".join(self.lines + ["", "#endif", ""])
        (directory / ("reference_%s.h" % self.name)).write_text(text)


def f32(x):
    """Round to float32 and go on in float64: what the C test reads."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def splitmix64(state):
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


def xoshiro(words, count):
    def rotl(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    s, out = list(words), []
    for _ in range(count):
        out.append(rotl((s[1] * 5) & MASK, 7) * 9 & MASK)
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
    return out


def rng():
    h = Header("rng")
    h.array("reference_state_1234", xoshiro([1, 2, 3, 4], 8), "uint64_t")
    _, state = splitmix64(7)
    _, state = splitmix64((state + 11) & MASK)
    state = (state + 13) & MASK
    words = []
    for _ in range(4):
        state, word = splitmix64(state)
        words.append(word)
    h.array("reference_seed_7_11_13", xoshiro(words, 8), "uint64_t")
    return h


def matrix_exp(g):
    h = Header("matrix_exp")
    for name, m, size in (("small", 3, 0.01), ("middle", 4, 0.8), ("large", 5, 12.0)):
        A = g.standard_normal((m, m))
        A *= size / np.abs(A).sum(axis=1).max()
        X = g.standard_normal((m, m))
        E, L = scipy.linalg.expm_frechet(A, X)
        h.array("reference_A_" + name, A, "double")
        h.array("reference_X_" + name, X, "double")
        h.array("reference_E_" + name, E, "double")
        h.array("reference_L_" + name, L, "double")
    return h


def stiefel(g):
    """P (7,3), a tangent D of norm 3, both retractions, the tangent gradient and projection."""
    n, k = 7, 3
    h = Header("stiefel")
    P = f32(np.linalg.qr(g.standard_normal((n, k)))[0])
    G = f32(g.standard_normal((n, k)))
    xi = G - P @ G.T @ P
    sym = (P.T @ G + G.T @ P) / 2
    D = f32(3 * xi / np.linalg.norm(xi))
    S = (P.T @ D - D.T @ P) / 2
    Z = D - P @ S / 2
    A = Z @ P.T - P @ Z.T
    eye = np.eye(n)
    Q, R = np.linalg.qr(P + D)
    for name, value in (
        ("P", P),
        ("G", G),
        ("D", D),
        ("xi", xi),
        ("projected", G - P @ sym),
        ("exp", scipy.linalg.expm(A) @ P),
        ("cayley", np.linalg.solve(eye - A / 2, (eye + A / 2) @ P)),
        ("qr", Q * np.sign(np.diag(R))),
        ("polar_of_G", scipy.linalg.polar(G)[0]),
        ("polar", scipy.linalg.polar(P + 1e-4 * G)[0]),
    ):
        h.array("reference_" + name, value)
    return h


def resample(g):
    h = Header("resample")
    x = torch.from_numpy(f32(g.standard_normal((2, 6, 4))))
    h.array("reference_x", x.numpy())
    for size in ((9, 7), (4, 3), (12, 8)):
        y = F.interpolate(x[None], size=size, mode="bilinear", align_corners=False, antialias=False)
        h.array("reference_bilinear_%d_%d" % size, y.numpy())
    for size in ((3, 2), (2, 4), (1, 1)):
        h.array("reference_area_%d_%d" % size, F.interpolate(x[None], size=size, mode="area").numpy())
    return h


def normalize(g):
    """(2,3,5) data whose channels lie far from zero, and the gradients autograd gives."""
    h = Header("normalize")
    x = f32(g.standard_normal((2, 3, 5)) * np.array([1, 0.1, 7])[:, None] + np.array([0, 30, -4])[:, None])
    dy = f32(g.standard_normal(x.shape))
    h.array("reference_x", x)
    h.array("reference_dy", dy)
    h.array("reference_mean", x.mean(axis=(0, 2)), "double")
    h.array("reference_variance", x.var(axis=(0, 2)), "double")
    t = torch.from_numpy(x).requires_grad_()
    y = F.batch_norm(t, None, None, training=True, eps=1e-3)
    y.backward(torch.from_numpy(dy))
    h.array("reference_standardized", y.detach().numpy())
    h.array("reference_standardize_dx", t.grad.numpy())
    t = torch.from_numpy(x).requires_grad_()
    y = F.layer_norm(t.permute(0, 2, 1), (3,), eps=1e-3).permute(0, 2, 1)
    y.backward(torch.from_numpy(dy))
    h.array("reference_layernorm", y.detach().numpy())
    h.array("reference_layernorm_dx", t.grad.numpy())
    return h


def whiten(g):
    h = Header("whiten")
    c, shrinkage = 4, 0.1
    mix = g.standard_normal((c, c))
    x = f32(np.einsum("ij,bjs->bis", mix, g.standard_normal((2, c, 9))) + 5 * np.arange(c)[:, None])
    samples = x.transpose(1, 0, 2).reshape(c, -1)
    cov = np.cov(samples, bias=True)
    sigma = (1 - shrinkage) * cov + shrinkage * np.trace(cov) / c * np.eye(c)
    values, vectors = np.linalg.eigh(sigma)
    two = vectors[:, -2:] / np.sqrt(values[-2:]) @ vectors[:, -2:].T
    h.array("reference_x", x)
    h.array("reference_covariance", cov, "double")
    h.array("reference_zca", np.real(scipy.linalg.fractional_matrix_power(sigma, -0.5)))
    h.array("reference_zca_rank_2", two)
    h.array("reference_cholesky", np.linalg.inv(np.linalg.cholesky(sigma)))
    h.array("reference_condition", [np.linalg.cond(sigma)], "double")
    return h


def loss(g):
    h = Header("loss")
    p, t = f32(2 * g.standard_normal(20)), f32(g.standard_normal(20))
    a, b = torch.from_numpy(p).requires_grad_(), torch.from_numpy(t)
    h.array("reference_prediction", p)
    h.array("reference_target", t)
    for name, value in (
        ("l2", F.mse_loss(a, b, reduction="sum")),
        ("smooth_l1", F.smooth_l1_loss(a, b, reduction="sum", beta=1.0)),
    ):
        (gradient,) = torch.autograd.grad(value, a)
        h.array("reference_" + name, [value.item()], "double")
        h.array("reference_%s_gradient" % name, gradient.numpy())
    return h


def cka(g):
    """The unbiased HSIC as the U-statistic it is, a mean over distinct indices: slow, without the formula's products
    (Song et al. 2012)."""
    out = Header("cka")
    n = 7
    x = f32(g.standard_normal((n, 5)) + 3)
    y = f32(x[:, :3] @ g.standard_normal((3, 4)) + 0.7 * g.standard_normal((n, 4)))

    def hsic(k, l):
        distinct = [(i, j, q, r) for i in range(n) for j in range(n) for q in range(n) for r in range(n)
                    if len({i, j, q, r}) == 4]
        return sum(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in distinct) / len(distinct)

    k, l = x.astype(float) @ x.astype(float).T, y.astype(float) @ y.astype(float).T
    out.array("reference_cka_x", x)
    out.array("reference_cka_y", y)
    out.array("reference_hsic", [hsic(k, l), hsic(k, k), hsic(l, l)], "double")
    return out


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "tests" / "numerics"
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    rng().write(directory)
    for i, make in enumerate((matrix_exp, stiefel, resample, normalize, whiten, loss, cka)):
        make(np.random.default_rng(100 + i)).write(directory)


if __name__ == "__main__":
    main()
