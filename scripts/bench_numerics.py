#!/usr/bin/python3
"""`make bench-numerics`: our numerics against PyTorch's and SciPy's, in turns on the same machine and threads.

  bench_numerics.py PROGRAM [--rounds N] [--quick] [--only maps|procrustes|taps] [--maps NAMES] [--sizes N,K ...]

1. One update of P: map, adjoint, optimiser. Ours is vkd_projection_update; theirs is a forward and a backward through
   torch.nn.utils.parametrizations.orthogonal and a step of SGD with momentum, in float32. rebase=1 re-bases at every
   update, as the default does; rebase=0 keeps one base, as PyTorch does, and needs the adjoint away from 0.
   procrustes has no twin in PyTorch: it stands beside scipy.linalg.polar.
2. One forward of a tap with its gradients: what l2 under an isometry saves, and what whitening costs.

Ratios are medians over rounds in which both take their turn. Threads: OPENBLAS_NUM_THREADS, or all.
"""

import argparse
import statistics
import subprocess
import sys
import time

from bench_common import THREADS, import_torch

SIZES = ((64, 32), (256, 64), (512, 256), (1024, 128), (1024, 256), (1024, 512), (1024, 1024))
MAPS = ("matrix_exp", "cayley", "householder")
# name, batch, k, n, side: the demo's tap and those of yolov3 -> yolov3-tiny at 416x416.
TAPS = (("demo", 32, 64, 192, 10), ("tiny 13x13", 8, 512, 1024, 13), ("tiny 26x26", 8, 256, 512, 26))


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("bench_numerics: the program under test ended")
        return float(answer)


def torch_update(torch, name, n, k):
    """A function that does `repeats` updates with PyTorch and returns seconds an update."""
    layer = torch.nn.Linear(k, n, bias=False)
    torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=name)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e-3, momentum=0.9)
    gradient = torch.randn(n, k)

    def run(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            optimiser.zero_grad()
            layer.weight.backward(gradient)
            optimiser.step()
        return (time.perf_counter() - start) / repeats

    run(1)
    return run


def scipy_polar(linalg, np, n, k):
    C = np.random.default_rng(1).standard_normal((n, k))

    def run(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            linalg.polar(C)
        return (time.perf_counter() - start) / repeats

    run(1)
    return run


def take_turns(ours, theirs, rounds):
    """Medians of both sides' seconds and of their ratio, round by round. `theirs` may be None."""
    rows = []
    for _ in range(rounds):
        a = ours()
        rows.append((a, theirs(), ) if theirs else (a, float("nan")))
    ratio = statistics.median(b / a for a, b in rows) if theirs else float("nan")
    return statistics.median(a for a, _ in rows), statistics.median(b for _, b in rows), ratio


def repeats_for(seconds):
    return max(1, min(200, int(0.1 / max(seconds, 1e-6))))


def milliseconds(seconds):
    return "-" if seconds != seconds else f"{1000 * seconds:.3g}"


def times(ratio):
    return "-" if ratio != ratio else f"{ratio:.3g}x"


def bench_updates(ours, rounds, torch, sizes, maps):
    theirs_name = "torch" if torch else "(torch is missing: apt install python3-torch)"
    print(f"| (n,k) | map | ours, rebase=1: ms | rebase=0: ms | {theirs_name} ms | torch / ours, rebase=1 | rebase=0 |")
    print("|---|---|---|---|---|---|---|")
    for n, k in sizes:
        for name in maps:
            other = torch_update(torch, name, n, k) if torch else None
            turn = other and (lambda other=other, r=repeats_for(other(1)): other(r))
            cells = []
            for rebase in (1, 0):
                repeats = repeats_for(ours.ask("update", name, n, k, rebase, 1))
                cells.append(take_turns(lambda: ours.ask("update", name, n, k, rebase, repeats), turn, rounds))
            (one, theirs, ratio), (zero, _, ratio0) = cells
            print(f"| ({n},{k}) | {name} | {milliseconds(one)} | {milliseconds(zero)} | {milliseconds(theirs)} "
                  f"| {times(ratio)} | {times(ratio0)} |", flush=True)  # fmt: skip


def bench_procrustes(ours, rounds, linalg, np, sizes):
    other_name = "scipy.linalg.polar" if linalg else "(SciPy is missing: apt install python3-scipy)"
    print(f"| (n,k) | procrustes, ours: ms | {other_name} ms | scipy / ours |\n|---|---|---|---|")
    for n, k in sizes:
        other = scipy_polar(linalg, np, n, k) if linalg else None
        turn = other and (lambda other=other, r=repeats_for(other(1)): other(r))
        repeats = repeats_for(ours.ask("update", "procrustes", n, k, 1, 1))
        a, b, ratio = take_turns(lambda: ours.ask("update", "procrustes", n, k, 1, repeats), turn, rounds)
        print(f"| ({n},{k}) | {milliseconds(a)} | {milliseconds(b)} | {times(ratio)} |", flush=True)


def bench_taps(ours, rounds, taps):
    print("| tap | B x k -> n, grid | mode | two products: ms | three (map=linear): ms | saved |\n|---|---|---|---|---|---|")
    for name, batch, k, n, side in taps:
        for mode in ("standardize", "whiten"):
            def request(kind):
                return ("tap", kind, mode, "l2", batch, k, n, side)

            repeats = repeats_for(ours.ask(*request("matrix_exp"), 1))
            two, three, ratio = take_turns(lambda: ours.ask(*request("matrix_exp"), repeats),
                                           lambda: ours.ask(*request("linear"), repeats), rounds)  # fmt: skip
            print(f"| {name} | {batch} x {k} -> {n}, {side} x {side} | {mode} | {milliseconds(two)} "
                  f"| {milliseconds(three)} | {100 * (1 - 1 / ratio):.0f} % |", flush=True)  # fmt: skip


def size(words):
    n, k = map(int, words.split(","))
    return n, k


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["maps", "procrustes", "taps"], help="default: all three")
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes, one round")
    parser.add_argument("--maps", type=lambda words: words.split(","), default=MAPS, help="default: all three")
    parser.add_argument("--sizes", type=size, nargs="+", metavar="N,K", default=SIZES)
    options = parser.parse_args()
    sizes, taps = options.sizes, TAPS
    if options.quick:
        options.rounds, sizes, taps = 1, sizes[:2], taps[:1]
    torch = import_torch(options.program)
    try:
        import numpy as np
        from scipy import linalg
    except ImportError:
        np = linalg = None
    ours = Ours(options.program)
    print(f"{THREADS} threads, medians of {options.rounds} rounds"
          + (f", torch {torch.__version__}" if torch else ""))  # fmt: skip
    if options.only in (None, "maps"):
        print("\nOne update of P\n")
        bench_updates(ours, options.rounds, torch, sizes, options.maps)
    if options.only in (None, "procrustes"):
        print("\nOne update of P by the closed form\n")
        bench_procrustes(ours, options.rounds, linalg, np, sizes)
    if options.only in (None, "taps"):
        print("\nOne forward of a tap, gradients included\n")
        bench_taps(ours, options.rounds, taps)


if __name__ == "__main__":
    main()
