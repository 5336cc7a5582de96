#!/usr/bin/python3
"""A picture of the same scenes as several detectors see them.

  draw_detections.py DATA -o OUT.png [-scenes N] [-thresh T] NAME=RESULT.json ...

DATA is a Darknet data file (valid= and names=); RESULT.json is what `darknet detector map ... -json` wrote for
it. One row a scene, the first N of the list; one column a detector, after the truth.
"""

import argparse
import json
import os
import re
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402
from PIL import Image  # noqa: E402

from save_figure import save_figure  # noqa: E402


# COCO numbers its 80 classes from 1 to 90 and leaves these out.
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = [number for number in range(1, 91) if number not in COCO_GAPS]


def numbering(data):
    """How `detector map -json` numbers: picture i of the list at a path, and category ids to classes. With
    eval=coco as COCO does, otherwise both count from 1."""
    if data.get("eval") != "coco":
        return (lambda i, path: i + 1), (lambda category: category - 1)
    return (lambda i, path: int(re.findall("[0-9]+", os.path.basename(path))[-1])), COCO_IDS.index


def read_data(path):
    with open(path, encoding="utf-8") as file:
        pairs = (line.split("=", 1) for line in file if "=" in line and not line.lstrip().startswith("#"))
        return {key.strip(): value.strip() for key, value in pairs}


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def truth_of(picture, width, height):
    """[(class, x, y, w, h)] in pixels, from the label file beside the picture."""
    labels = picture.replace("/images/", "/labels/").rsplit(".", 1)[0] + ".txt"
    boxes = []
    for line in read_lines(labels):
        kind, x, y, w, h = line.split()
        w, h = float(w) * width, float(h) * height
        boxes.append((int(kind), float(x) * width - w / 2, float(y) * height - h / 2, w, h))
    return boxes


def draw(axes, picture, boxes, names):
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for kind, x, y, w, h in boxes:
        colour = plt.cm.tab10(kind % 10)
        axes.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=colour, linewidth=1.6))
        axes.text(x + 1, y + 1, names[kind], color="white", fontsize=6, va="top",
                  bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("-o", required=True, dest="out")
    parser.add_argument("-scenes", type=int, default=3)
    parser.add_argument("-thresh", type=float, default=0.3)
    parser.add_argument("results", nargs="+", metavar="NAME=RESULT.json")
    args = parser.parse_args()
    data = read_data(args.data)
    names = read_lines(data["names"])
    pictures = read_lines(data["valid"])[: args.scenes]
    picture_id, class_of = numbering(data)
    columns = []
    for result in args.results:
        name, path = result.split("=", 1)
        found = {}
        with open(path, encoding="utf-8") as file:
            for row in json.load(file):
                if row["score"] >= args.thresh:
                    found.setdefault(row["image_id"], []).append((class_of(row["category_id"]), *row["bbox"]))
        columns.append((name, found))
    figure, axes = plt.subplots(len(pictures), 1 + len(columns), squeeze=False,
                                figsize=(2.0 * (1 + len(columns)), 2.05 * len(pictures)))
    for i, path in enumerate(pictures):
        picture = Image.open(path).convert("RGB")
        draw(axes[i][0], picture, truth_of(path, *picture.size), names)
        for j, (_, found) in enumerate(columns):
            draw(axes[i][j + 1], picture, found.get(picture_id(i, path), []), names)
    for axis, title in zip(axes[0], ["truth"] + [name for name, _ in columns]):
        axis.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.4)
    save_figure(figure, args.out, 90)


if __name__ == "__main__":
    try:
        main()
    except (OSError, KeyError, ValueError) as problem:
        sys.exit("draw_detections.py: %s" % problem)
