#!/usr/bin/python3
"""Make a small detection data set from real pictures of clothes.

Reads the Fashion-MNIST files of Debian's package dataset-fashion-mnist and
writes 160x160 colour scenes with 1 to 6 pieces of clothing each, with labels
as Darknet reads them.  Training scenes hold only pictures of the training
split, test scenes only pictures of the test split.

Every scene is a function of (seed, split, number), so the work is shared
among processes, and fewer scenes are the first ones of more scenes.
"""

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import struct
import sys
import time

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    sys.exit("make_fashion_detection.py: %s; on Debian: apt install "
             "python3-numpy python3-pil (and use /usr/bin/python3)" % missing)

SOURCE = "/usr/share/datasets/fashion-mnist"
PACKAGE = "dataset-fashion-mnist"
NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat",
         "sandal", "shirt", "sneaker", "bag", "boot")
SPLITS = {"train": ("train", 0), "test": ("t10k", 1)}
SIDE = 160          # pixels, both ways
MIN_ITEM = 28       # side of an item's frame, in pixels
MAX_ITEM = 72
MAX_ITEMS = 6
MIN_VISIBLE = 0.7   # what later items must leave of an earlier one
TRIES = 12          # places tried for an item before it is left out
QUALITY = 90
STAMP = ".made_by_make_fashion_detection"


class Problem(Exception):
    """Something the user can mend; shown as one line."""


# --- the source -------------------------------------------------------------

def read_idx(folder, name):
    """One IDX file of bytes, plain or gzipped, as an array."""
    path = os.path.join(folder, name)
    if os.path.exists(path + ".gz"):
        path += ".gz"
    try:
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise Problem("%s is missing; install the Debian package %s, or name "
                      "the folder of the files with -source" % (path, PACKAGE))
    except (OSError, EOFError) as error:
        raise Problem("cannot read %s: %s" % (path, error))
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise Problem("%s is not an IDX file of bytes" % path)
    head = 4 + 4 * data[3]
    if len(data) < head:
        raise Problem("%s is cut short" % path)
    shape = struct.unpack(">%dI" % data[3], data[4:head])
    if len(data) - head != int(np.prod(shape)):
        raise Problem("%s is cut short" % path)
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def read_split(folder, prefix):
    images = read_idx(folder, prefix + "-images-idx3-ubyte")
    labels = read_idx(folder, prefix + "-labels-idx1-ubyte")
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise Problem("%s: the pictures and the labels of '%s' do not match"
                      % (folder, prefix))
    return images, labels


# --- one scene --------------------------------------------------------------

def resize(plane, width, height, how):
    return np.asarray(Image.fromarray(plane).resize((width, height), how))


def background(rng):
    """A textured picture (SIDE, SIDE, 3) around mid brightness, in 0..1."""
    ramp = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
    scene = np.empty((SIDE, SIDE, 3), np.float32)
    scene[:] = rng.uniform(0.15, 0.75, 3)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
    scene += along[:, :, None] * rng.uniform(-0.35, 0.35, 3).astype(np.float32)
    # Soft blobs: coarse noise, made large.
    cells = int(rng.integers(3, 14))
    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    blobs = resize(coarse, SIDE, SIDE, Image.BICUBIC)
    scene += blobs[:, :, None] * rng.uniform(-0.12, 0.12, 3).astype(np.float32)
    if rng.random() < 0.5:
        angle = rng.uniform(0, np.pi)
        along = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
        stripes = np.sin(2 * np.pi * rng.uniform(4, 24) * along
                         + rng.uniform(0, 6.28))
        if rng.random() < 0.5:
            stripes = np.sign(stripes)
        scene += (stripes[:, :, None]
                  * rng.uniform(-0.1, 0.1, 3)).astype(np.float32)
    noise = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    scene += (noise * np.float32(rng.uniform(0.01, 0.07)))[:, :, None]
    return scene


def silhouette(grey):
    """What belongs to the item: its pixels and the dark ones inside it.

    A dark pixel is inside if there are item pixels on all four sides.
    """
    on = grey > 8
    both_ways = []
    for axis in (0, 1):
        before = np.logical_or.accumulate(on, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(on, axis), axis),
                        axis)
        both_ways.append(before & after)
    return both_ways[0] & both_ways[1]


def item(rng, grey):
    """An item as drawn: alpha (h, w) and colour (h, w, 3), cut to its pixels."""
    side = rng.uniform(MIN_ITEM, MAX_ITEM)
    width = int(round(min(max(side * rng.uniform(0.9, 1.1), MIN_ITEM),
                          MAX_ITEM)))
    height = int(round(min(max(side * rng.uniform(0.9, 1.1), MIN_ITEM),
                           MAX_ITEM)))
    if rng.random() < 0.5:
        grey = grey[:, ::-1]
    inside = silhouette(grey).astype(np.float32)
    alpha = resize(inside, width, height, Image.BICUBIC)
    # A steeper edge than the interpolation's, still smooth.
    alpha = np.clip((alpha - 0.5) * 2.0 + 0.5, 0, 1)
    shade = resize(grey.astype(np.float32) / 255, width, height, Image.BICUBIC)
    shade = np.clip(shade, 0, 1) * rng.uniform(0.65, 0.9) + 0.1
    tint = rng.uniform(0.35, 1.0, 3)
    tint = (tint / tint.max() * rng.uniform(0.7, 1.1)).astype(np.float32)
    solid = alpha >= 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if len(rows) < 6 or len(columns) < 6:   # nothing worth a label
        return None
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return alpha[cut], shade[cut][:, :, None] * tint


def place(rng, solid, owner, areas):
    """A corner for the item where enough of the earlier ones stays visible."""
    height, width = solid.shape
    for _ in range(TRIES):
        top = int(rng.integers(0, SIDE - height + 1))
        left = int(rng.integers(0, SIDE - width + 1))
        window = owner[top:top + height, left:left + width]
        covered = np.bincount(window[solid], minlength=len(areas) + 1)[1:]
        seen = np.bincount(owner.ravel(), minlength=len(areas) + 1)[1:]
        if all(s - c >= MIN_VISIBLE * a
               for s, c, a in zip(seen, covered, areas)):
            return top, left
    return None


def make_scene(seed, split, number, images, labels):
    """(pixels (SIDE, SIDE, 3) of bytes, list of (class, x, y, w, h))."""
    rng = np.random.Generator(np.random.PCG64(
        np.random.SeedSequence([seed, SPLITS[split][1], number])))
    scene = background(rng)
    owner = np.zeros((SIDE, SIDE), np.int64)    # 0: background, i: item i
    areas, classes = [], []
    for _ in range(int(rng.integers(1, MAX_ITEMS + 1))):
        which = int(rng.integers(len(images)))
        drawn = item(rng, images[which])
        if drawn is None:
            continue
        alpha, colour = drawn
        solid = alpha >= 0.5
        corner = place(rng, solid, owner, areas)
        if corner is None:
            continue
        top, left = corner
        window = (slice(top, top + solid.shape[0]),
                  slice(left, left + solid.shape[1]))
        scene[window] += alpha[:, :, None] * (colour - scene[window])
        areas.append(int(solid.sum()))
        classes.append(int(labels[which]))
        owner[window][solid] = len(areas)
    # A little noise on all of it, as of a camera.
    scene += rng.normal(0, 0.015, scene.shape).astype(np.float32)
    boxes = []
    for number, kind in enumerate(classes, 1):
        mine = owner == number
        rows = np.flatnonzero(mine.any(1))
        columns = np.flatnonzero(mine.any(0))
        boxes.append((kind,
                      (columns[0] + columns[-1] + 1) / 2 / SIDE,
                      (rows[0] + rows[-1] + 1) / 2 / SIDE,
                      (columns[-1] + 1 - columns[0]) / SIDE,
                      (rows[-1] + 1 - rows[0]) / SIDE))
    pixels = (np.clip(scene, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels, boxes


# --- many scenes ------------------------------------------------------------

STATE = {}      # of a worker process: what start_worker was given


def start_worker(folder, seed, splits):
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # the parent cleans up
    STATE.update(folder=folder, seed=seed, splits=splits)


def write_scene(job):
    split, number = job
    images, labels = STATE["splits"][split]
    pixels, boxes = make_scene(STATE["seed"], split, number, images, labels)
    name = "scene_%06d" % number
    Image.fromarray(pixels).save(
        os.path.join(STATE["folder"], "images", split, name + ".jpg"),
        quality=QUALITY)
    path = os.path.join(STATE["folder"], "labels", split, name + ".txt")
    with open(path, "w", encoding="ascii") as file:
        for box in boxes:
            file.write("%d %.6f %.6f %.6f %.6f\n" % box)
    return len(boxes)


def show(done, total, start, last):
    """Progress on a terminal: a line rewritten at most 5 times a second."""
    now = time.monotonic()
    if not sys.stderr.isatty() or (now - last < 0.2 and done < total):
        return last
    left = (now - start) / done * (total - done)
    sys.stderr.write("\r%d of %d scenes, %.0f s left   " % (done, total, left))
    if done == total:
        sys.stderr.write("\n")
    sys.stderr.flush()
    return now


def make_all(folder, args):
    splits = {split: read_split(args.source, prefix)
              for split, (prefix, _) in SPLITS.items()}
    counts = {"train": args.train, "test": args.test}
    for split in SPLITS:
        for kind in ("images", "labels"):
            os.makedirs(os.path.join(folder, kind, split))
    jobs = [(split, number) for split in SPLITS
            for number in range(counts[split])]
    start, last, items = time.monotonic(), 0.0, 0
    with multiprocessing.Pool(
            args.jobs, start_worker, (folder, args.seed, splits)) as pool:
        for done, count in enumerate(
                pool.imap_unordered(write_scene, jobs, 32), 1):
            items += count
            last = show(done, len(jobs), start, last)
    for split in SPLITS:
        path = os.path.join(folder, split + ".txt")
        with open(path, "w", encoding="utf-8") as file:
            for number in range(counts[split]):
                file.write("%s/images/%s/scene_%06d.jpg\n"
                           % (args.out, split, number))
    with open(os.path.join(folder, "fashion.names"), "w",
              encoding="ascii") as file:
        file.write("\n".join(NAMES) + "\n")
    return items, time.monotonic() - start


def stamp_text(args):
    """What the result depends on: a second run compares it and stops."""
    with open(os.path.abspath(__file__), "rb") as file:
        version = hashlib.sha256(file.read()).hexdigest()
    return json.dumps({"out": args.out, "seed": args.seed,
                       "train": args.train, "test": args.test,
                       "source": args.source, "program": version,
                       "numpy": np.__version__,
                       "pillow": Image.__version__}, sort_keys=True) + "\n"


def check_out(out):
    """Darknet finds a label by replacing the first 'images' or 'raw'."""
    if any(word in out for word in ("images", "raw", "JPEGImages", ".jpg")):
        raise Problem("-out %s: the path must not hold 'images', 'raw' or "
                      "'.jpg', which Darknet replaces to find the labels"
                      % out)
    if any(letter.isspace() for letter in out):
        raise Problem("-out '%s': Darknet's lists allow no blanks in a path"
                      % out)


def run(args):
    args.out = args.out.rstrip("/") or "/"
    check_out(args.out)
    stamp, wanted = os.path.join(args.out, STAMP), stamp_text(args)
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read() == wanted:
                print("%s is up to date" % args.out)
                return
    elif os.path.lexists(args.out) and (not os.path.isdir(args.out)
                                        or os.listdir(args.out)):
        raise Problem("%s exists and was not made by this program; remove it "
                      "or choose another folder" % args.out)
    temporary = "%s.tmp.%d" % (args.out, os.getpid())
    old = temporary + ".old"
    try:
        os.makedirs(temporary)
        items, seconds = make_all(temporary, args)
        with open(os.path.join(temporary, STAMP), "w",
                  encoding="utf-8") as file:
            file.write(wanted)
        if os.path.isdir(args.out):
            os.rename(args.out, old)
        os.rename(temporary, args.out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    print("%s: %d training and %d test scenes, %d items, %.0f s"
          % (args.out, args.train, args.test, items, seconds))


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Problem(message)


def count(text):
    value = int(text)
    if value < 0 or value > 999999:
        raise ValueError(text)
    return value


def main():
    parser = Parser(description=__doc__.split("\n\n", maxsplit=1)[0],
                    allow_abbrev=False)
    parser.add_argument("-out", required=True, metavar="DIR")
    parser.add_argument("-seed", type=count, default=1, metavar="N")
    parser.add_argument("-train", type=count, default=6000, metavar="N",
                        help="training scenes (%(default)s)")
    parser.add_argument("-test", type=count, default=1000, metavar="N",
                        help="test scenes (%(default)s)")
    parser.add_argument("-source", default=os.environ.get("FASHION_MNIST", SOURCE),
                        metavar="DIR",
                        help="where the IDX files are (%(default)s)")
    parser.add_argument("-jobs", type=int, metavar="N",
                        default=min(os.cpu_count() or 1, 16),
                        help="processes (%(default)s)")
    try:
        args = parser.parse_args()
        if args.jobs < 1:
            raise Problem("-jobs must be at least 1")
        run(args)
    except Problem as problem:
        sys.exit("make_fashion_detection.py: %s" % problem)
    except OSError as error:
        sys.exit("make_fashion_detection.py: %s" % error)
    except KeyboardInterrupt:
        sys.exit("\nmake_fashion_detection.py: interrupted; nothing written")


if __name__ == "__main__":
    main()
