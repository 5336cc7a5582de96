#!/usr/bin/python3
"""A chart of training runs, side by side, from the NAME_log.csv that `darknet detector train` keeps.

  plot_training.py LOG.csv [LOG.csv ...] -o CHART.png [-window BATCHES]

One colour a run. Above, the detection loss; then the taps' loss and the ratio of gradients, where a run has
taps; then AP, where one was measured. A faint line is what each batch gave; the strong one is the median of
the WINDOW batches around it (default: a fiftieth of the longest run).
"""

import argparse
import csv
import math
import os
import re
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy  # noqa: E402

from save_figure import save_figure  # noqa: E402

# Okabe and Ito's colours, told apart by colour-blind eyes; black last.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
TAP_DASHES = ["-", "--", ":", "-."]
FIXED = ["batch", "images", "seconds", "rate", "loss"]
HEADER = re.compile(r"tap(\d+)_(loss|weight|ratio|defect)")


class Problem(Exception):
    """Something the user can mend; shown as one line."""


def number(text, path, line, column):
    if text == "":
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise Problem("%s:%d: %s: found \"%s\", expected a number" % (path, line, column, text)) from None


def read_log(path):
    """{column: array} of one log; an empty field is a NaN. A last line that a kill cut off is left out."""
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    if not text.strip():
        raise Problem("%s: empty; expected the log of a training run" % path)
    rows = list(csv.reader(text.splitlines()))
    header = rows[0]
    known = [name for name in header if name in FIXED or name == "AP" or HEADER.fullmatch(name)]
    if header[:len(FIXED)] != FIXED or len(known) != len(header):
        raise Problem("%s: not a training log; its first line should start with %s" % (path, ",".join(FIXED)))
    if rows and not text.endswith("\n"):
        rows.pop()
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise Problem("%s:%d: found %d columns, expected %d" % (path, line, len(row), len(header)))
    if len(rows) < 2:
        raise Problem("%s: no batches yet" % path)
    return {name: numpy.array([number(row[i], path, line, name) for line, row in enumerate(rows[1:], 2)])
            for i, name in enumerate(header)}


def running_median(values, window):
    half = window // 2
    with numpy.errstate(all="ignore"):
        return numpy.array([numpy.median(part) if part.size else math.nan for part in
                            (finite(values[max(0, i - half):i + half + 1]) for i in range(len(values)))])


def finite(values):
    return values[numpy.isfinite(values)]


def name_of(path):
    """NAME of NAME_log.csv."""
    return re.sub(r"(_log)?\.csv$", "", os.path.basename(path))


def names_of(paths):
    """Names that differ: with folders in front where the files have one name."""
    names = [name_of(path) for path in paths]
    return [os.path.join(os.path.dirname(path), name) if names.count(name) > 1 else name
            for path, name in zip(paths, names)]


def taps_of(log):
    return sorted(int(HEADER.fullmatch(name).group(1)) for name in log if name.endswith("_loss"))


def positive(values):
    """Zero is where a tap had not begun or has ended."""
    return numpy.where(values > 0, values, math.nan)


def draw(axes, x, y, colour, dashes, window, label):
    axes.plot(x, y, color=colour, alpha=0.22, linewidth=0.7)
    axes.plot(x, running_median(y, window), color=colour, linestyle=dashes, linewidth=1.7, label=label)


def panels_of(logs):
    """[(kind, title, log axis)]"""
    panels = [("loss", "detection loss", True)]
    if any(taps_of(log) for log in logs):
        panels += [("tap_loss", "loss of the taps", True), ("tap_ratio", "gradient: taps / detection", False)]
    if any(finite(log.get("AP", numpy.array([]))).size for log in logs):
        panels.append(("AP", "AP", False))
    return panels


def draw_panel(axes, kind, log, colour, window, label):
    x = log["batch"]
    if kind == "loss":
        draw(axes, x, positive(log["loss"]), colour, "-", window, label)
    elif kind == "AP":
        measured = numpy.isfinite(log.get("AP", numpy.full(len(x), math.nan)))
        if measured.any():
            axes.plot(x[measured], log["AP"][measured], color=colour, marker="o", markersize=3.5, label=label)
    else:
        for tap in taps_of(log):
            suffix = ", tap %d" % tap if len(taps_of(log)) > 1 else ""
            draw(axes, x, positive(log["tap%d_%s" % (tap, kind[4:])]), colour,
                 TAP_DASHES[tap % len(TAP_DASHES)], window, label + suffix)


def limit_loss(axes, logs):
    """A run falls from hundreds to a few within its first batches; the chart is for what follows."""
    later = numpy.concatenate([finite(positive(log["loss"]))[len(log["loss"]) // 20:] for log in logs])
    if later.size >= 20:
        axes.set_ylim(numpy.percentile(later, 0.2) / 1.1, numpy.percentile(later, 99.8) * 1.2)


def limit_ratio(axes, logs):
    """One batch may stand far above all others."""
    values = [finite(log["tap%d_ratio" % tap]) for log in logs for tap in taps_of(log)]
    values = numpy.concatenate(values)
    if values.size >= 20:
        axes.set_ylim(0, max(numpy.percentile(values, 99), 1e-6) * 1.15)


def draw_chart(paths, logs, out, window):
    window = window or max(1, int(max(len(log["batch"]) for log in logs) / 50))
    panels = panels_of(logs)
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=(3.7 * max(len(panels), 2), 3.4))
    for place, (kind, title, logarithmic) in zip(axes[0], panels):
        if logarithmic:
            place.set_yscale("log")
        for i, (log, name) in enumerate(zip(logs, names_of(paths))):
            draw_panel(place, kind, log, COLOURS[i % len(COLOURS)], window, name)
        if kind == "loss":
            limit_loss(place, logs)
        if kind == "tap_ratio":
            limit_ratio(place, logs)
        place.set_title(title, fontsize=11)
        place.set_xlabel("batch", fontsize=10)
        place.tick_params(labelsize=9)
        place.grid(True, which="both" if logarithmic else "major", alpha=0.25, linewidth=0.6)
        place.spines[["top", "right"]].set_visible(False)
        if logarithmic:
            plain = matplotlib.ticker.FuncFormatter(lambda value, _: "%g" % value)
            place.yaxis.set_major_formatter(plain)
            few = place.get_ylim()[1] < 20 * place.get_ylim()[0]
            place.yaxis.set_minor_formatter(plain if few else matplotlib.ticker.NullFormatter())
            place.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5) if few else (2, 4, 6, 8)))
            place.tick_params(which="minor", labelsize=9)
        place.legend(fontsize=9, frameon=False)
    figure.tight_layout(pad=0.6, w_pad=1.6)
    save_figure(figure, out, 110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", metavar="LOG.csv")
    parser.add_argument("-o", dest="out", required=True, metavar="CHART.png")
    parser.add_argument("-window", type=int, default=0, metavar="BATCHES")
    args = parser.parse_args()
    if args.window < 0:
        raise Problem("-window: found %d; expected 0 or more" % args.window)
    draw_chart(args.logs, [read_log(path) for path in args.logs], args.out, args.window)


if __name__ == "__main__":
    try:
        main()
    except (OSError, UnicodeDecodeError, ValueError, Problem) as problem:
        sys.exit("plot_training.py: %s" % problem)
