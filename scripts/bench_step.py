#!/usr/bin/python3
"""`make bench-step`, `make profile`: a distillation step by its parts, and the same networks' step in PyTorch, in
turns; how it grows; and where its time goes, layer by layer.

  bench_step.py PROGRAM DARKNET_CFG_FOLDER [--rounds N] [--pair demo|coco|all] [--only parts|growth|profile] [--rows N]
  bench_step.py PROGRAM DARKNET_CFG_FOLDER --gpu [--rounds N] [--pair demo|coco|all] [--batch N] [--steps N]

Ours is Darknet with the plugin: teacher forward, student forward, backward, update, taps, on random pictures. In a
real run a loader works beside it: the row `data` is a batch from it with nothing else running, from the demo's
pictures where they are made, or from the photographs that come with Darknet. PyTorch's is built from the same cfgs:
convolution, batch norm, leaky, pooling, route, shortcut, upsample; teacher in eval mode without gradients, student
forward and backward, SGD with momentum, and a free linear projection for each tap, which is cheaper than any
orthogonal one there. Its detection loss is a sum of squares of the heads, which is cheaper than Darknet's. Both get
the same number of threads.

With --gpu (`make bench-gpu`) PROGRAM is bench_device_step, and PyTorch's side is on the same GPU, with TF32 wherever
cuDNN has it on ours. Every figure is of N steps in a row, over N.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bench_common import THREADS, import_torch



class Pair:
    """Two networks: taps, as (student layer, teacher layer), are the pair's own; `more` stand in the growth table. A
    batch of the cfg is `parts` such batches."""

    def __init__(self, title, student, teacher, weights, data, taps, more, batch, side, parts=1):
        self.title, self.student, self.teacher, self.weights, self.data = title, student, teacher, weights, data
        self.taps, self.more, self.batch, self.side, self.parts = taps, more, batch, side, parts


class Ours:
    def __init__(self, program, student, teacher, weights, batch, side, data=None):
        arguments = [student, teacher, weights, str(batch), str(side)] + ([data] if data else [])
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)  # fmt: skip
        # Darknet tells its layers there, and the line that says why where the program ends.
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()
        _, peak, self.core = self.read()
        self.peak = float(peak)
        self.least = [float(mib) for mib in self.read()[1:]]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            sys.exit(f"bench_step: the program under test ended: {''.join(self.said[-1:]).strip()}")
        return line.split()

    def run(self, steps, profile=False):
        """{part: (milliseconds, GFLOP)}, the peak memory in MiB, and the layers: words as the program prints them."""
        print(f"profile {steps}" if profile else steps, file=self.process.stdin, flush=True)
        parts, layers, memory = {}, [], 0.0
        while (words := self.read()) != ["end"]:
            if words[0] == "memory":
                memory = float(words[1])
            elif words[0] == "layer":
                layers.append(words[1:])
            else:
                parts[words[0]] = (float(words[1]), float(words[2]))
        return parts, memory, layers

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
    def __init__(self, torch, cfg, teacher_cfg, taps, batch, side, place="cpu"):
        self.torch, self.taps, self.place = torch, taps, place
        self.student = make_network(torch, cfg)
        self.teacher = make_network(torch, teacher_cfg, 1 + max(t for _, t in taps)).eval()
        self.projections = torch.nn.ModuleList(
            torch.nn.Conv2d(self.student.channels[s], self.teacher.channels[t], 1, bias=False) for s, t in taps)  # fmt: skip
        for network in self.student, self.teacher, self.projections:
            network.to(place)
        parameters = [*self.student.parameters(), *self.projections.parameters()]
        self.optimiser = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4)
        self.x = torch.rand(batch, 3, side, side).to(place)
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

    def run_in_a_row(self, steps):
        """Seconds of a step on the GPU."""
        self.torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps


# ---- the tables ----


def row(*cells):
    print("| " + " | ".join(cells) + " |")


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def compare(program, pair, rounds, torch):
    """Our parts, and PyTorch's step, in turns."""
    steps = 3
    ours = Ours(program, pair.student, pair.teacher, pair.weights, pair.batch, pair.side, pair.data)
    theirs = Theirs(torch, pair.student, pair.teacher, pair.taps, pair.batch, pair.side) if torch else None
    if theirs:
        theirs.step()
    rows, others, memory = [], [], 0.0
    for _ in range(rounds):
        parts, memory, _ = ours.run(steps)
        rows.append(parts)
        others.append(1000 * theirs.run(steps) if theirs else float("nan"))
    ours.close()
    print(f"\n{pair.title}: batch {pair.batch} of {pair.side} x {pair.side}; "
          f"OpenBLAS for {ours.core}, sgemm peak {ours.peak:.0f} GFLOP/s\n")  # fmt: skip
    head("part", "ms", "GFLOP", "GFLOP/s", "of the peak", "of the step")
    whole = statistics.median(r["step"][0] for r in rows)
    for part in rows[0]:
        ms, work = statistics.median(r[part][0] for r in rows), rows[0][part][1]
        rate = work / ms * 1000
        done = [f"{work:.2f}", f"{rate:.0f}", f"{100 * rate / ours.peak:.0f} %"] if work else ["", "", ""]
        name = part.replace("_", " ") + (", beside it" if part == "data" else "")
        row(name, f"{ms:.1f}", *done, f"{100 * ms / whole:.1f} %")
    if pair.parts > 1:
        once = {part: statistics.median(r[part][0] for r in rows) for part in rows[0]}
        of_P, updates = once["update_of_P"], once["update_of_P"] + once["update"]
        batch = pair.parts * (once["step"] - updates) + updates
        print(f"\nA batch of {pair.parts * pair.batch} in {pair.parts} parts, as cfg/coco has it, would take {batch:.0f} ms: "
              f"{100 * (pair.parts * once['taps'] + of_P) / batch:.1f} % the taps, {100 * of_P / batch:.2f} % the "
              "update of P")  # fmt: skip
    least = sum(ours.least)
    print("\nPeak memory {:.0f} MiB, {:.1f} times the least of {:.0f}: the student's weights {:.1f} and its outputs {:.1f}, "
          "the teacher's\nweights {:.1f} and its largest pair of neighbouring outputs {:.1f}"
          .format(memory, memory / least, least, *ours.least))  # fmt: skip
    if theirs:
        ratio = statistics.median(b / r["step"][0] for r, b in zip(rows, others))
        print(f"PyTorch's step {statistics.median(others):.0f} ms: {ratio:.2f} times ours")
    else:
        print("PyTorch is not installed (python3-torch); nothing to compare with")


def compare_on_gpu(program, pair, options, torch):
    """The same on a GPU."""
    batch, steps = options.batch or (pair.parts * pair.batch), options.steps
    ours = Ours(program, pair.student, pair.teacher, pair.weights, batch, pair.side)
    theirs = None
    if torch:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        theirs = Theirs(torch, pair.student, pair.teacher, pair.taps, batch, pair.side, "cuda")
        theirs.run_in_a_row(3)
    rows, others, memory = [], [], 0.0
    for _ in range(options.rounds):
        parts, memory, _ = ours.run(steps)
        rows.append(parts)
        others.append(1000 * theirs.run_in_a_row(steps) if theirs else float("nan"))
    ours.close()
    print(f"\n{pair.title}: batch {batch} of {pair.side} x {pair.side}; {ours.core.replace('_', ' ')}\n")
    head("part", "ms", "GFLOP", "GFLOP/s", "of the step")
    whole = statistics.median(r["step"][0] for r in rows)
    for part in rows[0]:
        ms, work = statistics.median(r[part][0] for r in rows), rows[0][part][1]
        row(part.replace("_", " "), f"{ms:.2f}", *([f"{work:.2f}", f"{work / ms * 1000:.0f}"] if work else ["", ""]),
            f"{100 * ms / whole:.1f} %")  # fmt: skip
    print(f"\n{1000 * batch / whole:.0f} images/s; {memory:.0f} MiB on the device")
    if theirs:
        ratio = statistics.median(b / r["step"][0] for r, b in zip(rows, others))
        print(f"PyTorch's step {statistics.median(others):.2f} ms, {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB: "
              f"{ratio:.2f} times ours")  # fmt: skip
    else:
        print("no PyTorch that sees the GPU; nothing to compare with")


def with_taps(source, taps, width, path):
    """The cfg without its vkd sections, `width` times the channels in all layers before the heads, and taps."""
    blocks = [b for b in re.split(r"(?m)^(?=\[)", open(source).read()) if not b.startswith("[vkd_")]
    for i, following in enumerate(blocks[1:] + [""]):
        if not following.startswith("[yolo]"):
            blocks[i] = re.sub(r"(?m)^filters *= *(\d+)", lambda m: f"filters={int(int(m[1]) * width)}", blocks[i])
    with open(path, "w") as out:
        out.write("".join(blocks) + "\n")
        out.writelines(f"\n[vkd_projection]\nfrom={s}\nteacher_from={t}\n" for s, t in taps)
    return path


def grow(program, pair, folder):
    """A row a change of one thing: batch, size, channels of both networks, number of taps. A pair of large networks
    is only made smaller."""
    taps, batch, side = pair.taps[:1], pair.batch, pair.side
    near = (0.5, 2) if side < 320 else (0.5,)
    changes = [("as it is, one tap", taps, 1, batch, side)]
    changes += [(f"batch {int(batch * f)}", taps, 1, int(batch * f), side) for f in near]
    changes += [(f"{size} x {size}", taps, 1, batch, size) for size in (int(side * f) // 32 * 32 for f in near)]
    changes += [(f"{f:g} times the channels", taps, f, batch, side) for f in near]
    changes += [(f"{n} taps", (*pair.taps, *pair.more)[:n], 1, batch, side)
                for n in range(2, 1 + len(pair.taps) + len(pair.more))]  # fmt: skip
    print(f"\n{pair.title}: how a step grows from batch {batch} of {side} x {side}\n")
    parts = ("step", "teacher", "forward", "backward", "taps")
    head("changed", "step ms", *parts[1:], "times the step", "GFLOP", "times the work", "peak MiB")
    base = None
    for name, some, width, pictures, size in changes:
        student = with_taps(pair.student, some, width, f"{folder}/growth-student.cfg")
        teacher, weights = pair.teacher, pair.weights
        if width != 1:
            teacher = with_taps(pair.teacher, (), width, f"{folder}/growth-teacher.cfg")
            weights = f"{folder}/growth.weights"
            if os.path.exists(weights):
                os.remove(weights)
        ours = Ours(program, student, teacher, weights, pictures, size)
        found, memory, _ = ours.run(5 if pair.side < 320 else 2)
        ours.close()
        base = base or found["step"]
        row(name, *(f"{found[p][0]:.1f}" for p in parts), f"{found['step'][0] / base[0]:.2f}",
            f"{found['step'][1]:.2f}", f"{found['step'][1] / base[1]:.2f}", f"{memory:.0f}")  # fmt: skip


def profile(program, pair, rows):
    """The slowest layers, and what every kind of layer takes."""
    ours = Ours(program, pair.student, pair.teacher, pair.weights, pair.batch, pair.side)
    parts, _, layers = ours.run(10 if pair.side < 320 else 3, profile=True)
    ours.close()
    whole = parts["step"][0]
    print(f"\n{pair.title}: the {rows} slowest layers; batch {pair.batch} of {pair.side} x {pair.side}, a step {whole:.1f} ms; "
          f"OpenBLAS for {ours.core}, sgemm peak {ours.peak:.0f} GFLOP/s\n")  # fmt: skip
    head("network", "pass", "layer", "what", "in", "out", "ms", "GFLOP/s", "of the peak", "of the step")
    kinds = {}
    found = [(float(words[-2]), float(words[-1]), words[:-2]) for words in layers]
    for ms, work, words in sorted(found, reverse=True)[:rows]:
        rate = [f"{work / ms * 1000:.0f}", f"{100 * work / ms * 1000 / ours.peak:.0f} %"] if work else ["", ""]
        row(*(w.replace("_", " ") for w in words), f"{ms:.2f}", *rate, f"{100 * ms / whole:.1f} %")
    for ms, work, words in found:
        kind = words[0], words[1], words[3].replace("_", " ")
        count, sum_ms, sum_work = kinds.get(kind, (0, 0.0, 0.0))
        kinds[kind] = count + 1, sum_ms + ms, sum_work + work
    print()
    head("network", "pass", "layers", "of this kind", "ms", "GFLOP/s", "of the step")
    for kind, (count, ms, work) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        if ms / whole >= 0.001:
            row(kind[0], kind[1], str(count), kind[2], f"{ms:.2f}", f"{work / ms * 1000:.0f}" if work else "",
                f"{100 * ms / whole:.1f} %")  # fmt: skip
    # The teacher's layers are timed in a pass of their own.
    rest = whole - parts["teacher"][0] - sum(ms for ms, _, words in found if words[0] != "teacher")
    row("student", "", "", "between layers: clearing deltas, update", f"{rest:.2f}", "", f"{100 * rest / whole:.1f} %")


# ---- the pairs ----


def demo_pair(root, work):
    fashion = f"{root}/cfg/fashion"
    made = f"{root}/build/fashion/train.txt"
    data = None
    if os.path.exists(made):
        data = data_file(f"{work}/demo.data", made, 10, f"{fashion}/fashion.names", work)
    return Pair("Demo", f"{fashion}/student_vkd.cfg", f"{fashion}/teacher.cfg", f"{fashion}/teacher.weights", data,
                ((8, 17),), ((6, 11), (4, 4)), 32, 160)  # fmt: skip


def coco_pair(root, work, cfgs):
    taps = ((14, 80), (21, 92))
    student = with_taps(f"{cfgs}/yolov3-tiny.cfg", taps, 1, f"{work}/yolov3-tiny-taps.cfg")
    return Pair("yolov3 -> yolov3-tiny", student, f"{cfgs}/yolov3.cfg", f"{work}/yolov3-random.weights",
                photographs(root, work, os.path.dirname(cfgs)), taps, (), 8, 416, parts=8)  # fmt: skip


def data_file(path, pictures, classes, names, backup):
    with open(path, "w") as out:
        out.write(f"classes={classes}\ntrain={pictures}\nvalid={pictures}\nnames={names}\nbackup={backup}\n")
    return path


def photographs(root, work, darknet):
    """Those of Darknet with the labels of cfg/coco/photographs."""
    for kind in "images", "labels":
        os.makedirs(f"{work}/photographs/{kind}", exist_ok=True)
    names = [n[:-4] for n in sorted(os.listdir(f"{root}/cfg/coco/photographs")) if n.endswith(".txt")]
    paths = [f"{work}/photographs/images/{name}.jpg" for name in names]
    for name, path in zip(names, paths):
        shutil.copy(f"{darknet}/data/{name}.jpg", path)
        shutil.copy(f"{root}/cfg/coco/photographs/{name}.txt", f"{work}/photographs/labels/")
    with open(f"{work}/photographs/train.txt", "w") as out:
        out.writelines(path + "\n" for path in paths)
    return data_file(f"{work}/photographs.data", f"{work}/photographs/train.txt", 80, f"{darknet}/data/coco.names", work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("cfgs", metavar="DARKNET_CFG_FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pair", choices=["demo", "coco", "all"], default="all")
    parser.add_argument("--only", choices=["parts", "growth", "profile"], help="default: parts and growth")
    parser.add_argument("--rows", type=int, default=15, help="of the profile")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--batch", type=int, help="on a GPU; default: a batch of the cfg")
    parser.add_argument("--steps", type=int, default=10, help="in a row, on a GPU")
    options = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program, cfgs = os.path.abspath(options.program), os.path.abspath(options.cfgs)
    work = os.path.dirname(program)
    os.chdir(root)
    torch = import_torch(program) if options.only in (None, "parts") else None
    if torch and options.gpu and not torch.cuda.is_available():
        torch = None
    print(f"{THREADS} threads" + (f", medians of {options.rounds} rounds in turns with torch {torch.__version__}" if torch else ""))
    pairs = []
    if options.pair != "coco":
        pairs.append((demo_pair(root, work), options.rounds))
    if options.pair != "demo":
        pairs.append((coco_pair(root, work, cfgs), max(1, options.rounds // 2)))
    for pair, rounds in pairs:
        if options.gpu:
            compare_on_gpu(program, pair, options, torch)
            continue
        if options.only in (None, "parts"):
            compare(program, pair, rounds, torch)
        if options.only in (None, "growth"):
            grow(program, pair, work)
        if options.only == "profile":
            profile(program, pair, options.rows)


if __name__ == "__main__":
    main()
