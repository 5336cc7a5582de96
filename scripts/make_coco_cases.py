#!/usr/bin/env python3
"""Writes tests/core/coco_cases.h: small detection problems and what pycocotools says of them.

Needed only to make the cases anew: pip install pycocotools; scripts/make_coco_cases.py > tests/core/coco_cases.h
"""

import contextlib
import io
import sys

import numpy
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


# IoU and points, as `detector map -iou_thresh IOU -points N`; tests/core/test_average_precision.c has the same.
QUESTIONS = (0.5, 11), (0.75, 101), (0.3, 0), (0.6, 0)


def evaluate(truth, found, classes, images):
    """truth: (image, class, x, y, w, h, area), found: (image, class, x, y, w, h, score); ids count from 0.
    Returns the 12 figures, then AP, AP50 of each class, then the answers to QUESTIONS."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(images)],
        "categories": [{"id": c} for c in range(classes)],
        "annotations": [
            {"id": n + 1, "image_id": i, "category_id": c, "bbox": [x, y, w, h], "area": area, "iscrowd": 0}
            for n, (i, c, x, y, w, h, area) in enumerate(truth)
        ],
    }
    result = COCO()
    result.dataset = dict(
        coco.dataset,
        annotations=[
            {"id": n + 1, "image_id": i, "category_id": c, "bbox": [x, y, w, h], "area": w * h, "score": score}
            for n, (i, c, x, y, w, h, score) in enumerate(found)
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        result.createIndex()
        e = COCOeval(coco, result, "bbox")
        e.evaluate()
        e.accumulate()
        e.summarize()
    precision = e.eval["precision"]  # (IoU, recall, class, area, most detections)
    ap, ap50 = [], []
    for c in range(classes):
        p = precision[:, :, c, 0, 2]
        ap.append(p.mean() if (p > -1).any() else -1)
        ap50.append(p[0].mean() if (p[0] > -1).any() else -1)
    asked = [answer(coco, result, classes, iou, points) for iou, points in QUESTIONS]
    return [float(v) for v in e.stats], [float(v) for v in ap], [float(v) for v in ap50], asked


def answer(coco, result, classes, iou, points):
    """The mean over the classes at one IoU, of so many recalls; 0: of the recall of every object, which makes the
    area under the curve."""
    means = []
    for c in range(classes):
        objects = sum(a["category_id"] == c for a in coco.dataset["annotations"])
        if not objects:
            continue
        e = COCOeval(coco, result, "bbox")
        e.params.catIds = [c]
        e.params.iouThrs = numpy.array([iou])
        e.params.recThrs = numpy.linspace(0, 1, points) if points else (numpy.arange(objects) + 1) / objects
        with contextlib.redirect_stdout(io.StringIO()):
            e.evaluate()
            e.accumulate()
        means.append(e.eval["precision"][0, :, 0, 0, 2].mean())
    return float(numpy.mean(means)) if means else -1.0


class Lcg:
    """Knuth's MMIX generator; tests/core/test_average_precision.c has the same."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def bulk(seed, classes, images, truths, detections):
    """A random problem in multiples of 1/8 and 1/64, exact in a double; the test program makes the same one."""
    r = Lcg(seed)
    truth, found = [], []
    for _ in range(truths):
        image, kind, size = r.below(images), r.below(classes), r.below(3)
        x, y = r.below(4000) / 8, r.below(4000) / 8
        w, h = (8 + r.below(300 << size)) / 8, (8 + r.below(300 << size)) / 8
        area = w * h * (4 + r.below(5)) / 8
        truth.append((image, kind, x, y, w, h, area))
    for n in range(detections):
        if n % 3 == 2:
            image, kind = r.below(images), r.below(classes)
            x, y = r.below(4000) / 8, r.below(4000) / 8
            w, h = r.below(1200) / 8, r.below(1200) / 8
        else:
            image, kind, x, y, w, h, _ = truth[r.below(truths)]
            x, y = x + w * (r.below(33) - 16) / 64, y + h * (r.below(33) - 16) / 64
            w, h = w * (56 + r.below(17)) / 64, h * (56 + r.below(17)) / 64
        found.append((image, kind, x, y, w, h, r.below(64) / 64))
    return truth, found


def cases():
    """name: (classes, images, truth, found)"""
    box = (10, 20, 40, 50, 2000)
    yield "perfect", 2, 2, [(0, 0) + box, (1, 1) + box], [(0, 0) + box[:4] + (0.9,), (1, 1) + box[:4] + (0.8,)]
    yield "tied_scores", 1, 2, [(0, 0) + box, (1, 0) + box], [
        (1, 0, 200, 200, 40, 50, 0.5),
        (1, 0, 10, 20, 40, 50, 0.5),
        (0, 0, 12, 20, 40, 50, 0.5),
        (0, 0, 10, 20, 40, 50, 0.5),
        (0, 0, 300, 20, 40, 50, 0.5),
    ]
    yield "tied_overlaps", 1, 1, [(0, 0, 0, 0, 20, 40, 800), (0, 0, 10, 0, 20, 40, 800)], [
        (0, 0, 5, 0, 20, 40, 0.9),
        (0, 0, 2, 0, 20, 40, 0.8),
        (0, 0, 12, 0, 20, 40, 0.7),
    ]
    yield "empty_classes", 4, 2, [(0, 1) + box, (1, 3) + box], [
        (0, 0) + box[:4] + (0.9,),
        (0, 1) + box[:4] + (0.9,),
        (1, 2) + box[:4] + (0.9,),
    ]
    yield "pictures_without_objects", 2, 6, [(2, 0) + box, (4, 1) + box], [
        (0, 0) + box[:4] + (0.95,),
        (2, 0) + box[:4] + (0.9,),
        (3, 1) + box[:4] + (0.4,),
        (4, 1) + box[:4] + (0.3,),
        (5, 0) + box[:4] + (0.2,),
    ]
    yield "no_detections", 2, 2, [(0, 0) + box, (1, 0) + box], []
    yield "no_objects", 2, 2, [], [(0, 0) + box[:4] + (0.5,), (1, 1) + box[:4] + (0.5,)]
    yield "nothing", 3, 0, [], []
    # 150 detections of one class in one picture, the right ones at places 0, 9, 10, 99 and 100
    row = [(0, 0, 30 * i, 0, 20, 20, 400) for i in range(5)]
    right = dict(zip((0, 9, 10, 99, 100), range(5)))
    crowd = [
        (0, 0, 30 * right[n] if n in right else 1000, 0, 20, 20, (1000 - n) / 1024) for n in range(150)
    ]
    yield "more_than_100", 1, 2, row, crowd[75:] + crowd[:75] + [(1, 0, 1000, 0, 20, 20, 0.001)]
    # areas on the bounds, objects and detections on different sides of one
    edge = [(0, 0, 0, 0, 32, 32, 1024), (0, 0, 100, 0, 96, 96, 9216), (0, 0, 300, 0, 33, 32, 1056)]
    yield "area_bounds", 1, 1, edge, [
        (0, 0, 0, 0, 32, 33, 0.9),
        (0, 0, 100, 0, 96, 97, 0.8),
        (0, 0, 300, 0, 32, 31, 0.7),
        (0, 0, 600, 0, 32, 32, 0.6),
        (0, 0, 700, 0, 10, 10, 0.95),
        (0, 0, 800, 0, 200, 200, 0.97),
    ]
    # one detection between a small object that overlaps less and a large one that overlaps more: the area range decides
    yield "ignored_overlap_more", 1, 1, [(0, 0, 0, 0, 40, 40, 1600), (0, 0, 0, 0, 31, 33, 1023)], [
        (0, 0, 0, 0, 38, 38, 0.9),
        (0, 0, 0, 0, 32, 34, 0.8),
        (0, 0, 0, 0, 40, 40, 0.7),
    ]
    yield "ignored_overlap_more_once", 1, 1, [(0, 0, 0, 0, 40, 40, 1600), (0, 0, 0, 0, 31, 33, 1023)], [
        (0, 0, 0, 0, 38, 38, 0.9)
    ]
    yield "duplicates", 1, 1, [(0, 0) + box], [(0, 0) + box[:4] + (s,) for s in (0.9, 0.8, 0.7, 0.6)]
    yield "empty_boxes", 1, 1, [(0, 0, 5, 5, 0, 0, 0), (0, 0) + box], [
        (0, 0, 5, 5, 0, 0, 0.9),
        (0, 0, 5, 5, 10, 0, 0.8),
        (0, 0) + box[:4] + (0.7,),
    ]
    yield "overlap_at_threshold", 1, 2, [(0, 0, 0, 0, 16, 16, 256), (1, 0, 0, 0, 16, 16, 256)], [
        (0, 0, 0, 0, 16, 8, 0.9),
        (1, 0, 0, 0, 16, 12, 0.8),
    ]


def numbers(values):
    return ", ".join(f"{v!r}" for v in values)


def write(out):
    out.write("// Written by scripts/make_coco_cases.py: detection problems and pycocotools' figures for them.\n")
    out.write("#ifndef VKD_TESTS_COCO_CASES_H\n#define VKD_TESTS_COCO_CASES_H\n// clang-format off\n\n")
    table = []
    for name, classes, images, truth, found in cases():
        for kind, type_name, rows in (("truth", "vkd_ground_truth", truth), ("found", "vkd_detection", found)):
            if rows:
                body = "".join(f"    {{{numbers(row)}}},\n" for row in rows)
                out.write(f"static const {type_name} {name}_{kind}[] = {{\n{body}}};\n")
        table.append((name, classes, images, len(truth), len(found), 0, evaluate(truth, found, classes, images)))
    for seed, classes, images, truths, detections in (1, 3, 12, 60, 200), (2, 5, 40, 500, 3000), (3, 2, 3, 60, 900):
        truth, found = bulk(seed, classes, images, truths, detections)
        table.append((f"bulk_{seed}", classes, images, truths, detections, seed, evaluate(truth, found, classes, images)))
    out.write(
        "\n// With a seed the boxes are made, not listed. figures: AP, AP50, AP75, AP small, medium, large,\n"
        "// AR 1, 10, 100, AR small, medium, large. asked: IoU .5 with 11 points, .75 with 101, .3 and .6 with 0.\n"
        "static const struct coco_case {\n"
        "    const char *name;\n    int classes, images, truths, detections, seed;\n"
        "    const vkd_ground_truth *truth;\n    const vkd_detection *found;\n"
        "    double figures[12], class_ap[5], class_ap50[5], asked[4];\n} coco_cases[] = {\n"
    )
    for name, classes, images, truths, detections, seed, (figures, ap, ap50, asked) in table:
        truth = f"{name}_truth" if truths and not seed else "NULL"
        found = f"{name}_found" if detections and not seed else "NULL"
        out.write(
            f'    {{"{name}", {classes}, {images}, {truths}, {detections}, {seed}, {truth}, {found},\n'
            f"     {{{numbers(figures)}}},\n     {{{numbers(ap)}}},\n     {{{numbers(ap50)}}},\n     {{{numbers(asked)}}}}},\n"
        )
    out.write("};\n\n// clang-format on\n#endif\n")


if __name__ == "__main__":
    write(sys.stdout)
