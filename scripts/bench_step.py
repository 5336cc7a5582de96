#!/usr/bin/python3
"""`make bench-step`: a distillation step by its parts, and the same networks' step in PyTorch, in turns.

  bench_step.py PROGRAM DARKNET_CFG_FOLDER [--rounds N] [--pair demo|coco|all]

Ours is Darknet with the plugin: teacher forward, student forward, backward, update, taps, on random pictures (a
loader works beside it in a real run). PyTorch's is built from the same cfgs: convolution, batch norm, leaky,
pooling, route, shortcut, upsample; teacher in eval mode without gradients, student forward and backward, SGD with
momentum, and a free linear projection for each tap, which is cheaper than any orthogonal one there. Its detection
loss is a sum of squares of the heads, which is cheaper than Darknet's. Both get the same number of threads.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

THREADS = os.environ.setdefault("OPENBLAS_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault("OMP_NUM_THREADS", THREADS)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads must not disturb the other side

DEMO_TAPS = ((8, 17),)
COCO_TAPS = ((14, 80), (21, 92))


class Ours:
    def __init__(self, program, *arguments):
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        self.peak = float(self.read()[1])

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench_step: the program under test ended")
        return line.split()

    def run(self, steps):
        """{part: (milliseconds, GFLOP)}, and the peak memory in MiB."""
        print(steps, file=self.process.stdin, flush=True)
        parts, memory = {}, 0.0
        while (words := self.read()) != ["end"]:
            if words[0] == "memory":
                memory = float(words[1])
            else:
                parts[words[0]] = (float(words[1]), float(words[2]))
        return parts, memory

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- PyTorch ----


def read_cfg(path):
    """[(section, {key: value})]"""
    sections = []
    for line in open(path):
        line = line.split("#")[0].replace(" ", "").strip()
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif "=" in line:
            key, value = line.split("=", 1)
            sections[-1][1][key] = value
    return sections


def make_network(torch, path, layers=None):
    """A module whose forward gives the list of all layers' outputs."""
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps, self.modules_of, channels, c = [], nn.ModuleList(), [], 3
            for name, o in [s for s in read_cfg(path)[1:] if not s[0].startswith("vkd_")][:layers]:
                i = len(self.steps)
                module, sources = nn.Identity(), None
                if name == "convolutional":
                    module, c = self.convolution(c, o), int(o["filters"])
                elif name == "maxpool":
                    size, stride = int(o.get("size", 2)), int(o.get("stride", 2))
                    module = nn.MaxPool2d(size, stride)
                    if stride == 1:
                        module = nn.Sequential(nn.ReplicationPad2d((0, size - 1, 0, size - 1)), module)
                elif name == "upsample":
                    module = nn.Upsample(scale_factor=int(o.get("stride", 2)))
                elif name == "route":
                    sources = [j if j >= 0 else i + j for j in map(int, o["layers"].split(","))]
                    c = sum(channels[j] for j in sources)
                elif name == "shortcut":
                    sources = [i - 1, i + int(o["from"])]
                elif name != "yolo":
                    sys.exit(f"{path}: [{name}] is not known to bench_step.py")
                self.steps.append((name, sources))
                self.modules_of.append(module)
                channels.append(c)
            self.channels = channels

        @staticmethod
        def convolution(c, o):
            size, norm = int(o["size"]), int(o.get("batch_normalize", 0))
            parts = [nn.Conv2d(c, int(o["filters"]), size, int(o.get("stride", 1)),
                               size // 2 if int(o.get("pad", 0)) else 0, groups=int(o.get("groups", 1)),
                               bias=not norm)]  # fmt: skip
            if norm:
                parts.append(nn.BatchNorm2d(int(o["filters"])))
            if o.get("activation") == "leaky":
                parts.append(nn.LeakyReLU(0.1, inplace=True))
            return nn.Sequential(*parts)

        def forward(self, x):
            outputs = []
            for (name, sources), module in zip(self.steps, self.modules_of):
                if name == "route":
                    x = torch.cat([outputs[j] for j in sources], 1) if len(sources) > 1 else outputs[sources[0]]
                elif name == "shortcut":
                    x = outputs[sources[0]] + outputs[sources[1]]
                else:
                    x = module(x)
                outputs.append(x)
            return outputs

    return Network()


class Theirs:
    def __init__(self, torch, cfg, teacher_cfg, taps, batch, side):
        self.torch, self.taps = torch, taps
        self.student = make_network(torch, cfg)
        self.teacher = make_network(torch, teacher_cfg, 1 + max(t for _, t in taps)).eval()
        self.projections = torch.nn.ModuleList(
            torch.nn.Conv2d(self.student.channels[s], self.teacher.channels[t], 1, bias=False) for s, t in taps)  # fmt: skip
        parameters = [*self.student.parameters(), *self.projections.parameters()]
        self.optimiser = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4)
        self.x = torch.rand(batch, 3, side, side)
        self.heads = [i for i, (name, _) in enumerate(self.student.steps) if name == "yolo"]

    def step(self):
        torch, F = self.torch, self.torch.nn.functional
        with torch.no_grad():
            targets = self.teacher(self.x)
        outputs = self.student(self.x)
        loss = sum(outputs[i].square().mean() for i in self.heads)
        for (s, t), projection in zip(self.taps, self.projections):
            x = F.batch_norm(outputs[s], None, None, training=True)
            target = F.batch_norm(targets[t], None, None, training=True)
            loss = loss + 0.1 * F.mse_loss(projection(x), target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def run(self, steps):
        """Seconds of the fastest step."""
        best = float("inf")
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            best = min(best, time.perf_counter() - start)
        return best


# ---- the table ----


def bench(program, title, cfg, teacher, weights, taps, batch, side, rounds, torch):
    steps = 3
    ours = Ours(program, cfg, teacher, weights, str(batch), str(side))
    theirs = Theirs(torch, cfg, teacher, taps, batch, side) if torch else None
    if theirs:
        theirs.step()
    rows, others, memory = [], [], 0.0
    for _ in range(rounds):
        parts, memory = ours.run(steps)
        rows.append(parts)
        others.append(1000 * theirs.run(steps) if theirs else float("nan"))
    ours.close()
    print(f"\n{title}: batch {batch} of {side} x {side}; sgemm peak {ours.peak:.0f} GFLOP/s\n")
    print("| part | ms | GFLOP | GFLOP/s | of the peak | of the step |\n|---|---|---|---|---|---|")
    whole = statistics.median(r["step"][0] for r in rows)
    for part in rows[0]:
        ms, work = statistics.median(r[part][0] for r in rows), rows[0][part][1]
        rate = work / ms * 1000
        print(f"| {part} | {ms:.1f} | {work:.2f} | {rate:.0f} | {100 * rate / ours.peak:.0f} % | {100 * ms / whole:.1f} % |")
    print(f"\npeak memory {memory:.0f} MiB")
    if theirs:
        ratio = statistics.median(b / r["step"][0] for r, b in zip(rows, others))
        print(f"PyTorch's step {statistics.median(others):.0f} ms: {ratio:.2f} times ours")
    else:
        print("PyTorch is not installed (python3-torch); nothing to compare with")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("cfgs", metavar="DARKNET_CFG_FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pair", choices=["demo", "coco", "all"], default="all")
    options = parser.parse_args()
    try:
        import torch

        torch.set_num_threads(int(THREADS))
    except ImportError:
        torch = None
    print(f"{THREADS} threads, medians of {options.rounds} rounds in turns" + (f", torch {torch.__version__}" if torch else ""))
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    fashion, work = os.path.join(root, "cfg", "fashion"), os.path.dirname(os.path.abspath(options.program))
    if options.pair != "coco":
        bench(options.program, "Demo", f"{fashion}/student_vkd.cfg", f"{fashion}/teacher.cfg",
              f"{fashion}/teacher.weights", DEMO_TAPS, 32, 160, options.rounds, torch)  # fmt: skip
    if options.pair != "demo":
        cfg = os.path.join(work, "yolov3-tiny-taps.cfg")
        with open(cfg, "w") as out:
            out.write(open(f"{options.cfgs}/yolov3-tiny.cfg").read())
            for student, teacher in COCO_TAPS:
                out.write(f"\n[vkd_projection]\nfrom={student}\nteacher_from={teacher}\n")
        bench(options.program, "yolov3 -> yolov3-tiny", cfg, f"{options.cfgs}/yolov3.cfg",
              os.path.join(work, "yolov3-random.weights"), COCO_TAPS, 8, 416, max(1, options.rounds // 2), torch)  # fmt: skip


if __name__ == "__main__":
    main()
