#!/usr/bin/python3
"""Write tests/reference/*.h: small vectors from NumPy, SciPy and PyTorch.

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
from torch.nn.utils.parametrizations import orthogonal

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
        (directory / (self.name + ".h")).write_text(text)


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
    """P (7,3), a tangent D of norm 3, exp and cayley of it, the tangent gradient and projection."""
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
    for name, value in (
        ("P", P),
        ("G", G),
        ("D", D),
        ("xi", xi),
        ("projected", G - P @ sym),
        ("exp", scipy.linalg.expm(A) @ P),
        ("cayley", np.linalg.solve(eye - A / 2, (eye + A / 2) @ P)),
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


MAPS = ("matrix_exp", "cayley", "householder")
# Tall with n >= 2k and n < 2k, square, and wide: the last stands for its transpose.
SHAPES = ((9, 4), (7, 5), (6, 6), (4, 9))


def completion(P):
    """The n x n product of reflectors, times the signs of diag R, whose first columns are P."""
    Q, R = scipy.linalg.qr(P)
    k = P.shape[1]
    Q[:, :k] *= np.sign(np.diag(R))
    return Q


def skew_columns(X, k):
    """The first k columns of the skew matrix whose strict lower triangle starts with that of X (n, k)."""
    n = X.shape[0]
    A = np.zeros((n, n))
    A[:, :k] = np.tril(X, -1)
    return (A - A.T)[:, :k]


def torch_module(name, n, k, B, X):
    """A Linear whose weight (n,k) torch keeps orthogonal: base B, parameter X (tall; transposed if wide)."""
    module = torch.nn.Linear(k, n, bias=False, dtype=torch.float64)
    orthogonal(module, "weight", orthogonal_map=name)
    parametrization = module.parametrizations.weight
    parametrization[0].base = torch.from_numpy(B)
    start = np.tril(X, -1) - np.eye(*X.shape)  # the diagonal is householder's signs, and no parameter
    parametrization.original.data = torch.from_numpy(start.T.copy() if n < k else start)
    return module


def tall(tensor, n, k):
    value = tensor.detach().numpy()
    return value.T.copy() if n < k else value.copy()


def maps(g):
    """Base P, tangent D, weights G, the point V, and xi, the gradient of <V, G> in torch's parameters.

    torch's parameter X and our tangent D at P (B the base, B E = P, skc the skew completion above):
        matrix_exp, cayley   D = B skc(X),    xi = B skc(dX)
        householder          D = 2 B skc(X),  xi = B skc(dX) / 2   (torch's derivative at 0 is 2)
    """
    h = Header("maps")
    for name in MAPS:
        for n, k in SHAPES:
            rows, cols = max(n, k), min(n, k)
            P = np.linalg.qr(g.standard_normal((rows, cols)))[0]
            B = completion(P)
            scale = 2 if name == "householder" else 1
            X = np.tril(g.standard_normal((rows, cols)), -1)
            X *= 6 / scale / np.linalg.norm(skew_columns(X, cols), 2)
            G = g.standard_normal((rows, cols))
            module = torch_module(name, n, k, B, X)
            weight = module.weight
            (weight * torch.from_numpy(G.T.copy() if n < k else G)).sum().backward()
            dX = tall(module.parametrizations.weight.original.grad, n, k)
            for key, value in (
                ("P", P),
                ("D", scale * B @ skew_columns(X, cols)),
                ("G", G),
                ("V", tall(weight, n, k)),
                ("xi", B @ skew_columns(dX, cols) / scale),
            ):
                h.array("%s_%s_%d_%d" % (key, name, n, k), value, "double")
    return h


def trajectory(g):
    """100 steps of torch.optim.SGD(lr, momentum=0.9) on |V - T|^2 / 2, one base throughout."""
    h = Header("trajectory")
    for name in MAPS:
        for n, k in SHAPES:
            rows, cols = max(n, k), min(n, k)
            P = f32(np.linalg.qr(g.standard_normal((rows, cols)))[0])
            T = f32(1.5 * np.linalg.qr(g.standard_normal((rows, cols)))[0])
            module = torch_module(name, n, k, completion(P), np.zeros((rows, cols)))
            target = torch.from_numpy(T.T.copy() if n < k else T)
            # ours / 4 for householder: D = 2 B skc(X) moves by 2 lr B skc(dX) = 4 lr xi
            lr = 0.02 / (4 if name == "householder" else 1)
            optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
            h.array("P_%s_%d_%d" % (name, n, k), P)
            h.array("T_%s_%d_%d" % (name, n, k), T)
            for step in range(1, 101):
                optimizer.zero_grad()
                (0.5 * (module.weight - target).square().sum()).backward()
                optimizer.step()
                if step in (10, 100):
                    h.array("V%d_%s_%d_%d" % (step, name, n, k), tall(module.weight, n, k), "double")
    return h


def traps(g):
    """What PyTorch and public code around it get wrong (or no longer do), as numbers."""
    h = Header("traps")
    # householder under weight decay: the signs on the parameter's diagonal are cast to an integer
    P = f32(np.linalg.qr(g.standard_normal((8, 3)))[0])
    G = f32(g.standard_normal((8, 3)))
    module = torch_module("householder", 8, 3, completion(P), np.zeros((8, 3)))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=0.01)
    norms = []
    for _ in range(4):
        optimizer.zero_grad()
        (module.weight * torch.from_numpy(G)).sum().backward()
        norms.append(module.weight.norm().item())
        optimizer.step()
    h.array("decay_P", P)
    h.array("decay_G", G)
    h.array("decay_torch_norms", norms, "double")
    # float32 matrix_exp of skew matrices of several sizes, against float64
    sizes, errors = (0.1, 1.0, 3.0, 10.0), []
    skew = g.standard_normal((5, 5))
    skew = f32((skew - skew.T) / np.linalg.norm(skew - skew.T, 2))
    for size in sizes:
        A = f32(size * skew)
        exact = scipy.linalg.expm(A)
        single = torch.matrix_exp(torch.from_numpy(A).float()).double().numpy()
        errors.append(np.linalg.norm(single - exact) / np.linalg.norm(exact))
        h.array("exp_A_%d" % len(errors), A)
        h.array("exp_exact_%d" % len(errors), exact, "double")
    h.array("exp_torch_errors", errors, "double")
    # a constant channel divided by its standard deviation
    x = f32(g.standard_normal((3, 10)))
    x[1] = 2
    t = torch.from_numpy(x)
    scaled = (t - t.mean(dim=1, keepdim=True)) / t.std(dim=1, keepdim=True)
    h.array("constant_x", x)
    h.array("constant_torch_not_finite", [(~torch.isfinite(scaled)).sum().item()], "double")
    # whitening rows by X L^-1 instead of X L^-T
    x = f32(np.linalg.cholesky(np.array([[4, 3, 1], [3, 5, 2], [1, 2, 3.0]])) @ g.standard_normal((3, 40)))
    centred = x - x.mean(axis=1, keepdims=True)
    L = np.linalg.cholesky(centred @ centred.T / 40)
    for name, W in (("wrong", np.linalg.inv(L)), ("right", np.linalg.inv(L).T)):
        y = centred.T @ W
        h.array("whiten_defect_" + name, [np.linalg.norm(y.T @ y / 40 - np.eye(3))], "double")
    h.array("whiten_x", x)
    return h


def procrustes(g):
    """The polar factor three ways, which must agree: orthogonal_procrustes, polar, SVD."""
    h = Header("procrustes")
    for n, k in ((6, 6), (9, 4), (80, 60)):
        C = f32(g.standard_normal((n, k)))
        U, _, Vt = np.linalg.svd(C, full_matrices=False)
        P = scipy.linalg.polar(C)[0]
        assert np.allclose(P, U @ Vt, atol=1e-12)
        if n == k:
            assert np.allclose(P, scipy.linalg.orthogonal_procrustes(np.eye(n), C)[0], atol=1e-12)
        if n * k < 1000:
            h.array("C_%d_%d" % (n, k), C)
            h.array("P_%d_%d" % (n, k), P)
        else:  # too large to keep: the sequence that makes it, and what the answer is on two vectors
            i, j = np.arange(n)[:, None], np.arange(k)[None, :]
            C = np.sin(1.0 + i * k + j) + (i == j) * 3.0
            P = scipy.linalg.polar(C)[0]
            h.array("P_row_%d_%d" % (n, k), P[3], "double")
            h.array("P_column_%d_%d" % (n, k), P[:, 5], "double")
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
    default = pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference"
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    rng().write(directory)
    makers = (matrix_exp, stiefel, resample, normalize, whiten, loss, maps, trajectory, traps, procrustes, cka)
    for i, make in enumerate(makers):
        make(np.random.default_rng(100 + i)).write(directory)


if __name__ == "__main__":
    main()
