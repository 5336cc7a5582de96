#!/usr/bin/python3
"""`make study` and `make study-report`: which settings of the distillation pay, on the demo's scenes.

  study.py run [--table NAME ...] [--change KEYS ...] [--seeds N] [--jobs N] [--minutes N] [--curve]
  study.py list [--table NAME ...] [--change KEYS ...] [--seeds N]
  study.py report [--plot FILE.png] [--curves FILE.png] [--readme FILE.md]

A table is a list of settings; a cell is a setting and a seed. `run` trains every cell that has no row in
cfg/fashion/study.csv yet and appends one; it may be stopped and continued at any time and on another machine. Each
training runs on one thread, so that its result does not depend on how many there are, and one runs on every processor.
Runs of one seed share pictures, order, augmentation and initial weights, so that their difference is paired.

`--change "ratio=1 taps=8:15"` is a table of your own: the base setting with these keys changed. `--curve` measures AP
at every checkpoint as well, and asks for that of rows that have none; `--curves` plots them. `--readme` puts the rows
in one table between the file's marks.
"""

import argparse
import concurrent.futures
import csv
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

RESULTS = "cfg/fashion/study.csv"
FOLDER = "build/study"
DATA = "build/fashion"
COLUMNS = ("setting", "seed", "batches", "ap", "ap50", "ap75", "loss", "seconds", "commit", "curve")
DIVERGED = "diverged"  # in place of a loss: the training stopped at one that was not finite

# ---- the settings ----
# A setting is written out in full, so that a row keeps its meaning when a default changes: `alone`, or the keys of
# the two sections, and what differs from the demo's schedule and data. Where taps differ, a tap's own keys stand behind
# it: taps=8:17,9:18/map=identity/mode=none.
WHITEN_KEYS = ("mode", "statistics", "images", "whitening", "shrinkage", "rank", "eps")
BASE = {"mode": "standardize", "map": "procrustes", "student_norm": "standardize", "loss": "l2", "ratio": "2",
        "ramp": "linear", "foreground": "1", "taps": "8:17"}  # fmt: skip
# Changes BASE, or where they come first, the run: batches, data (percent of the training scenes), width (of the
# student's channels, percent), learning_rate, policy, steps.
# `teacher=N` is one of N batches, which `run` trains first; without it the demo's. teacher_half is a key of [net].
RUN_KEYS = ("batches", "data", "width", "learning_rate", "policy", "steps")


def with_base(changes):
    """A setting's whole text, from a text of changes."""
    words = dict(word.split("=", 1) for word in changes.split())
    run = {key: words.pop(key) for key in RUN_KEYS if key in words}
    whole = BASE | words
    if "weight" in words:  # a weight and a ratio exclude each other
        whole.pop("ratio", None)
    return text_of({key: value for key, value in whole.items() if value != "-"} | run)


def alone(changes=""):
    return " ".join(["alone"] + changes.split())


def teacher(batches):
    return f"teacher batches={batches}"


def text_of(words):
    return " ".join(f"{key}={words[key]}" for key in sorted(words))


def pair(changes=""):
    run = [word for word in changes.split() if word.split("=")[0] in RUN_KEYS]
    return [alone(" ".join(sorted(run))), with_base(changes)]


def table(seeds, *changes):
    """(settings, seeds): each change of BASE beside its student alone."""
    settings = []
    for change in changes:
        settings += [s for s in pair(change) if s not in settings]
    return settings, seeds


MAPS = tuple(f"map={m}" for m in ("matrix_exp", "cayley", "householder", "procrustes", "linear", "frozen"))
FIRST = "ratio=2 foreground=0.5"  # what the screening began with
HEAD = "9:18/map=identity/mode=none/student_norm=none"  # the heads' own outputs
TABLES = {
    "alone": ([alone()], 5),
    "result": table(5, "", FIRST, f"{FIRST} map=matrix_exp"),
    "maps": table(3, *MAPS, *(f"{FIRST} {m}" for m in MAPS)),
    "teacher": table(3, "", "mode=none", "mode=none ratio=4", "mode=layernorm", "mode=whiten",
                     *(f"mode=whiten shrinkage={s}" for s in ("0.01", "0.2")), "mode=whiten rank=64",
                     "mode=whiten rank=32", "map=matrix_exp mode=whiten"),
    "student": table(3, *(f"student_norm={s}" for s in ("none", "gain", "standardize", "layernorm")),
                     f"{FIRST} student_norm=layernorm"),
    "loss": table(3, "", "map=matrix_exp", "map=matrix_exp loss=smooth_l1"),
    "strength": table(3, *(f"ratio={r}" for r in ("0.05", "0.1", "0.3", "1", "2", "4", "8")), f"{FIRST} ratio=4",
                      *(f"weight={w}" for w in ("30", "300", "3000"))),
    "schedule": table(3, "", "ramp=constant", "ramp=cosine", "ramp=constant until=700", f"{FIRST} ramp=constant"),
    "foreground": table(3, "foreground=0", "foreground=0.5", "foreground=0.8", ""),
    "momentum": table(3, "momentum=0.5", "", "momentum=0.99"),
    "taps": table(3, "", *(f"taps={t}" for t in ("8:15", "8:14", "6:11", "8:17,6:11/ratio=1", "8:17,6:11/ratio=0.3")),
                  "pool=global foreground=-", f"{FIRST} taps=8:17,6:12", f"{FIRST} taps={HEAD}",
                  f"{FIRST} taps=8:17,{HEAD}", f"taps=8:17,{HEAD}/ratio=0.3"),
    "length": table(3, "batches=300", "", "batches=3000", "ratio=1 batches=3000", f"{FIRST} batches=3000"),
    "data": table(3, "", "data=20", "data=5", "data=5 mode=none", "data=5 mode=whiten", "data=5 map=matrix_exp",
                  "data=5 map=linear"),
    "lead": ([teacher(500), teacher(1000)] + table(3, "teacher=500", "teacher=1000", "")[0], 3),
    "rate": table(3, "learning_rate=0.01", "", "learning_rate=0.04", "steps=900,960"),
    "width": table(3, "width=50", "", "width=200", "width=200 taps=8:16", "width=200 mode=none", "width=300",
                   "width=300 map=identity"),
    "precision": table(5, "", "teacher_half=1"),
    "convergence": table(3, "", "map=matrix_exp", "map=linear", "mode=whiten"),
}  # fmt: skip


# ---- cfgs ----


def section(name, words):
    return f"\n[{name}]\n" + "".join(f"{key}={value}\n" for key, value in words.items())


def with_batches(text, batches):
    if not batches:
        return text
    was = int(re.search(r"^max_batches=(\d+)", text, re.M).group(1))
    steps = lambda m: "steps=" + ",".join(str(int(s) * batches // was) for s in m.group(1).split(","))
    text = re.sub(r"^max_batches=\d+", f"max_batches={batches}", text, flags=re.M)
    return re.sub(r"^steps=(.*)", steps, text, flags=re.M)


def teacher_weights(batches):
    return f"{FOLDER}/teacher_{batches}.weights" if batches else "cfg/fashion/teacher.weights"


def cfg_of(setting):
    """The text of the cfg to train, and of the plain one to measure with."""
    words = dict(word.split("=", 1) for word in setting.split() if "=" in word)
    plain = with_batches(open("cfg/fashion/student.cfg").read(), int(words.pop("batches", 0)))
    for key in ("learning_rate", "policy", "steps"):
        if key in words:
            plain = re.sub(rf"^{key}=.*", f"{key}={words.pop(key)}", plain, flags=re.M)
    width = int(words.pop("width", 100))
    if width != 100:  # all but the head, which has no batch norm
        wider = lambda m: m.group(1) + str(int(m.group(2)) * width // 100)
        plain = re.sub(r"(batch_normalize=1\nfilters=)(\d+)", wider, plain)
    words.pop("data", None)
    if setting.startswith("alone"):
        return plain, plain
    whiten = {key: words.pop(key) for key in WHITEN_KEYS if key in words}
    taps = words.pop("taps").split(",")
    weights = teacher_weights(words.pop("teacher", None))
    keys = {"teacher_cfg": "cfg/fashion/teacher.cfg", "teacher_weights": weights}
    keys |= {key: words.pop(key) for key in ("teacher_half",) if key in words}
    text = plain.replace("[net]\n", "[net]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()), 1)
    for tap in taps:
        layers, *changes = tap.split("/")
        layer, teacher_layer = layers.split(":")
        own = whiten | words | dict(change.split("=", 1) for change in changes)
        text += section("vkd_whiten", {key: value for key, value in own.items() if key in WHITEN_KEYS})
        text += section("vkd_projection", {"from": layer, "teacher_from": teacher_layer}
                        | {key: value for key, value in own.items() if key not in WHITEN_KEYS})  # fmt: skip
    return text, plain


def data_of(setting, folder):
    found = re.search(r"\bdata=(\d+)", setting)
    pictures = open(f"{DATA}/train.txt").read().splitlines()
    if found:  # the same pictures for all settings and seeds
        pictures = pictures[: max(1, len(pictures) * int(found.group(1)) // 100)]
    with open(f"{folder}/train.txt", "w") as file:
        file.write("".join(line + "\n" for line in pictures))
    text = open("cfg/fashion/fashion.data").read()
    text = re.sub(r"^train=.*", f"train={folder}/train.txt", text, flags=re.M)
    text = re.sub(r"^valid=.*", f"valid={DATA}/test.txt", text, flags=re.M)
    text = re.sub(r"^backup=.*", f"backup={folder}", text, flags=re.M)
    with open(f"{folder}/fashion.data", "w") as file:
        file.write(text)


# ---- running ----


def read_results():
    if not os.path.exists(RESULTS):
        return []
    with open(RESULTS, newline="") as file:  # the last of a setting and a seed counts
        return list({(row["setting"], row["seed"]): row for row in csv.DictReader(file)}.values())


def append_result(row, lock):
    with lock:
        new = not os.path.exists(RESULTS)
        with open(RESULTS, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)


def call(command, log, processes):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        processes.add(process)
        status = process.wait()
        processes.discard(process)
    if status:
        tail = open(log, errors="replace").read().splitlines()[-3:]
        raise RuntimeError(f"{' '.join(command)}: exit status {status}\n" + "\n".join(tail))


def train(darknet, setting, seed, number, commit, processes, curve):
    folder = f"{FOLDER}/{number}"
    os.makedirs(folder, exist_ok=True)
    text, plain = cfg_of(setting)
    for name, content in (("student.cfg", text), ("plain.cfg", plain)):
        with open(f"{folder}/{name}", "w") as file:
            file.write(content)
    data_of(setting, folder)
    start = time.monotonic()
    data = f"{folder}/fashion.data"
    batches = re.search(r"^max_batches=(\d+)", plain, re.M).group(1)
    row = {"setting": setting, "seed": seed, "batches": batches, "commit": commit}
    try:
        call([darknet, "detector", "train", data, f"{folder}/student.cfg", "-seed", str(seed), "-clear"]
             + ["-map"] * curve,
             f"{folder}/train.log", processes)  # fmt: skip
    except RuntimeError:
        if "the loss is not finite" not in open(f"{folder}/train.log", errors="replace").read():
            raise
        return row | {"loss": DIVERGED, "seconds": f"{time.monotonic() - start:.0f}"}  # that is a result, too
    return row | measure(darknet, folder, "student", "plain", time.monotonic() - start, processes)


def measure(darknet, folder, name, plain, seconds, processes):
    """What a row says of folder/name_final.weights, trained in so many seconds."""
    call([darknet, "detector", "map", f"{folder}/fashion.data", f"{folder}/{plain}.cfg", f"{folder}/{name}_final.weights"],
         f"{folder}/map.log", processes)  # fmt: skip
    measured = dict(re.findall(r"^(AP\w*)\s+([\d.]+)", open(f"{folder}/map.log").read(), re.M))
    log = list(csv.DictReader(open(f"{folder}/{name}_log.csv")))
    tail = [float(line["loss"]) for line in log[-100:]]
    points = " ".join(f"{line['batch']}:{line['AP']}" for line in log if line.get("AP"))
    return {"ap": measured["AP"], "ap50": measured["AP50"], "ap75": measured["AP75"],
            "loss": f"{statistics.mean(tail):.5g}", "seconds": f"{seconds:.0f}", "curve": points}  # fmt: skip


def make_teachers(darknet, cells, commit, processes, lock):
    """Those that the cells ask for and that are not there, a row each."""
    asked = {found.group(1) for setting, _ in cells if (found := re.search(r"\bteacher=(\d+)", setting))}
    for batches in sorted(asked, key=int):
        folder, weights = f"{FOLDER}/teacher", teacher_weights(batches)
        if os.path.exists(weights):
            continue
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/teacher.cfg", "w") as file:
            file.write(with_batches(open("cfg/fashion/teacher.cfg").read(), int(batches)))
        data_of("", folder)
        start = time.monotonic()
        call([darknet, "detector", "train", f"{folder}/fashion.data", f"{folder}/teacher.cfg", "-seed", "1", "-clear"],
             f"{folder}/train.log", processes)  # fmt: skip
        row = measure(darknet, folder, "teacher", "teacher", time.monotonic() - start, processes)
        append_result(row | {"setting": teacher(batches), "seed": 1, "batches": batches, "commit": commit}, lock)
        os.replace(f"{folder}/teacher_final.weights", weights)
        print(f"a teacher of {batches} batches: AP {100 * float(row['ap']):.1f}", flush=True)


def cells_of(options):
    tables = [TABLES[name] for name in options.table or ([] if options.change else TABLES)]
    if options.change:
        tables.append(table(3, *options.change))
    cells = []
    for settings, wanted in tables:
        # Seed by seed: whenever it is stopped, what is there is paired.
        cells += [(s, seed) for seed in range(1, (options.seeds or wanted) + 1) for s in settings
                  if not s.startswith("teacher ")]  # `run` makes them first
    return list(dict.fromkeys(cells))


def missing(options):
    done = {(r["setting"], int(r["seed"])) for r in read_results() if r["curve"] or not options.curve or not r["ap"]}
    return [cell for cell in cells_of(options) if cell not in done]


def commit_of_the_program():
    """With -dirty behind it where more is changed than the results."""
    git = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()
    return git("describe", "--always") + "-dirty" * bool(git("status", "--porcelain", "-uno", "--", ".", f":!{RESULTS}"))


def run(options):
    subprocess.run([sys.executable, "scripts/make_fashion_detection.py", "-out", DATA, "-train", "6000",
                    "-test", "1000"], check=True)  # fmt: skip
    commit = commit_of_the_program()
    cells, lock, processes = missing(options), threading.Lock(), set()
    make_teachers(options.darknet, cells, commit, processes, lock)
    end = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    free, done, failed, stopped = list(range(options.jobs)), 0, [], False
    print(f"{len(cells)} trainings to do, {options.jobs} at a time", flush=True)

    def one(cell):
        nonlocal done
        if time.monotonic() > end:
            return
        number = free.pop()
        try:
            row = train(options.darknet, *cell, number, commit, processes, options.curve)
        except RuntimeError as error:
            if not stopped:
                print(error, file=sys.stderr, flush=True)
                failed.append(cell)
            return
        finally:
            free.append(number)
        append_result(row, lock)
        done += 1
        what = DIVERGED if row["loss"] == DIVERGED else f"AP {100 * float(row['ap']):.1f}"
        what += f" in {row['seconds']} s, seed {row['seed']}, {short(row['setting'])}"
        print(f"{done}/{len(cells)}: {what}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(one, cell) for cell in cells]
        try:
            for future in waiting:
                future.result()
        except KeyboardInterrupt:
            stopped = True
            for future in waiting:
                future.cancel()
            for process in list(processes):
                process.terminate()
            sys.exit("study.py: stopped; the same command goes on from here")
    if failed:
        sys.exit(f"study.py: {count_of(len(failed), 'training')} failed")
    left = len(missing(options))
    print(f"{left} left" if left else "complete")


# ---- the report ----


def partner(setting):
    words = [word for word in setting.split() if word.split("=")[0] in RUN_KEYS]
    return alone(" ".join(sorted(words)))


def short(setting):
    """What differs from BASE."""
    if setting.startswith(("alone", "teacher ")):
        return setting
    words = dict(word.split("=", 1) for word in setting.split())
    return " ".join(["distilled"] + [f"{k}={v}" for k, v in words.items() if BASE.get(k) != v])


def summary(rows, setting):
    """(AP by seed, paired differences) in points."""
    mine, other = ({r["seed"]: 100 * float(r["ap"]) for r in rows if r["setting"] == s}
                   for s in (setting, partner(setting)))  # fmt: skip
    return mine, [mine[seed] - other[seed] for seed in mine if seed in other]


def interval(values):
    """(half of the 95 % confidence interval, p of a mean of 0), by Student's t."""
    from scipy import stats

    if len(values) < 3 or len(set(values)) == 1:  # an interval from two says nothing
        return math.nan, math.nan
    error = statistics.stdev(values) / math.sqrt(len(values))
    return stats.t.ppf(0.975, len(values) - 1) * error, stats.ttest_1samp(values, 0).pvalue


def cells_of_row(rows, setting):
    """A row of a table, and the bar of its difference: (mean, half of the interval), or None."""
    aps, differences = summary(rows, setting)
    sd = f"{statistics.stdev(aps.values()):.2f}" if len(aps) > 1 else ""
    ap50 = statistics.mean(100 * float(r["ap50"]) for r in rows if r["setting"] == setting)
    cells = [short(setting), str(len(aps)), f"{statistics.mean(aps.values()):.2f}", sd, f"{ap50:.2f}"]
    if setting.startswith("alone") or not differences:
        return cells + ["", "", ""], None
    mean, (half, p) = statistics.mean(differences), interval(differences)
    known = not math.isnan(half)
    return cells + [f"{mean:+.2f}", f"±{half:.2f}" if known else "", f"{p:.2g}" if known else ""], (mean, half)


def results():
    """For each table that has rows: its name, its settings that have some, and what is to be said below."""
    rows = read_results()
    tables = {name: settings for name, (settings, _) in TABLES.items()}
    named = {s for settings in tables.values() for s in settings}
    tables["others"] = sorted({row["setting"] for row in rows} - named)
    measured, diverged = [r for r in rows if r["ap"]], [r["setting"] for r in rows if not r["ap"]]
    found = []
    for name, settings in tables.items():
        known = [s for s in settings if any(r["setting"] == s for r in measured)]
        notes = [f"{short(s)}: {diverged.count(s)} diverged" for s in settings if s in diverged]
        found.append((name, known, notes))
    return measured, found


HEADER = "setting | seeds | AP | sd | AP50 | over alone | 95 % | p |\n|" + "---|" * 8


def line_of(cells):
    return "| " + " | ".join(cells) + " |"


def report(options):
    rows, tables = results()
    shown = set()
    for name, settings, notes in tables:
        if shown.issuperset(settings):  # nothing yet, or what stands in the tables above
            continue
        shown.update(settings)
        print(f"\n{name}\n\n| {HEADER}")
        for setting in settings:
            print(line_of(cells_of_row(rows, setting)[0]))
        for note in notes:
            print(f"\n{note}")
    if options.plot:
        plot(rows, tables, options.plot)
    if options.curves:
        plot_curves([r for r in rows if r["curve"]], options.curves)
    if options.readme:
        write_table(options.readme)


MARKS = "<!-- study: written by study.py report -->", "<!-- end of study -->"


def write_table(path):
    """All rows in one table, each setting where it comes first."""
    rows, tables = results()
    lines, shown = [f"| | {HEADER}---|"], set()
    for name, settings, notes in tables:
        new = [s for s in settings if s not in shown]
        shown.update(new)
        for i, setting in enumerate(new):
            lines.append(line_of(["" if i else name] + cells_of_row(rows, setting)[0]))
        lines += [line_of(["", note] + [""] * 7) for note in notes]
    text = open(path).read()
    before, rest = text.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    with open(path, "w") as file:
        file.write("\n".join([before + MARKS[0], "", *lines, "", MARKS[1] + after]))


def panels(rows, tables):
    """(name, [(label, mean, half of the interval)]) of each table that shows what no other one does."""
    found = [(name, [(s, bar) for s in settings if (bar := cells_of_row(rows, s)[1])]) for name, settings, _ in tables]
    for panel in list(found):
        elsewhere = {s for other in found if other is not panel for s, _ in other[1]}
        if elsewhere.issuperset(s for s, _ in panel[1]):
            found.remove(panel)
    label = lambda s: re.sub(r"(/[^ ,/]*){2,}", "/...", short(s).removeprefix("distilled").strip()) or "defaults"
    return [(name, [(label(s), *bar) for s, bar in bars]) for name, bars in found]


def plot(rows, tables, path):
    """The gain of each setting over its student alone, table by table in two columns."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = panels(rows, tables)
    lines = sum(1 + len(bars) for _, bars in found)
    columns = [[], []]
    for panel in found:
        columns[sum(1 + len(bars) for _, bars in columns[0]) >= lines / 2].append(panel)
    height = max(sum(1 + len(bars) for _, bars in column) for column in columns)
    figure, both = pyplot.subplots(1, 2, figsize=(11.5, 0.6 + 0.2 * height), sharex=True)
    for axes, column in zip(both, columns):
        ticks, labels, at = [], [], 0
        for name, bars in column:
            axes.text(0.01, at, name, weight="bold", va="center", fontsize=9, transform=axes.get_yaxis_transform())
            for label, mean, half in bars:
                at += 1
                few = math.isnan(half)  # one seed or two: a ring, and no interval
                colour = "#aa3377" if label == "defaults" else "#4477aa"
                axes.plot([0, mean], [at, at], color=colour, linewidth=1, alpha=0.5)
                axes.errorbar(mean, at, xerr=0 if few else half, fmt="o", color=colour, markersize=5, capsize=3,
                              markerfacecolor="white" if few else colour)  # fmt: skip
                ticks.append(at)
                labels.append(label)
            at += 1
        axes.set_yticks(ticks, labels, fontsize=8)
        axes.set_ylim(height - 0.2, -0.8)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="x", alpha=0.3)
        axes.set_xlabel("AP over the same student alone, points", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def count_of(n, what):
    return f"{n} {what}" + "s" * (n != 1)


def plot_curves(rows, path):
    """AP over batches, mean and range over seeds, of the convergence table's settings."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for setting in TABLES["convergence"][0]:
        points = {}
        for row in (r for r in rows if r["setting"] == setting):
            for batch, ap in (point.split(":") for point in row["curve"].split()):
                points.setdefault(int(batch), []).append(100 * float(ap))
        if points:
            batches = sorted(points)
            mean, low, high = ([f(points[b]) for b in batches] for f in (statistics.mean, min, max))
            label = f"{short(setting)} ({count_of(len(points[batches[-1]]), 'seed')})"
            (line,) = axes.plot(batches, mean, marker=".", label=label)
            axes.fill_between(batches, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("batches")
    axes.set_ylabel("AP on the test scenes")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "list", "report"))
    parser.add_argument("--table", nargs="+", choices=tuple(TABLES))
    parser.add_argument("--change", nargs="+", metavar="KEYS", help="keys that differ from the base setting")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, help="start no training after so many")
    parser.add_argument("--darknet", default="./darknet")
    parser.add_argument("--curve", action="store_true", help="measure AP at every checkpoint")
    parser.add_argument("--plot")
    parser.add_argument("--curves")
    parser.add_argument("--readme")
    options = parser.parse_args()
    if options.what == "run":
        run(options)
    elif options.what == "list":
        for setting, seed in missing(options):
            print(f"seed {seed}: {setting}")
    else:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # report | head
        report(options)


if __name__ == "__main__":
    main()
