#!/usr/bin/python3
"""Labels in Darknet's format, and the list of the pictures, from one of COCO's instances_*.json.

    scripts/coco_labels.py INSTANCES.json IMAGES LABELS LIST

IMAGES is the folder that has the pictures, LABELS the one that gets a text file for each: a line an object, its class
from 0 to 79 and its box's centre, width and height as fractions of the picture. Crowds are left out, as are boxes
without an area; a picture without objects gets an empty file. LIST gets the pictures' paths. A picture that the JSON
names and IMAGES lacks is an error.
"""
import argparse
import json
import os
import sys

# COCO numbers its 80 classes from 1 to 90 with ten gaps; Darknet's data/coco.names has them in the same order.
GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CLASS_OF = {number: index for index, number in enumerate(n for n in range(1, 91) if n not in GAPS)}


class LabelError(Exception):
    """One line for the user."""


def without_outline(pairs):
    """For the JSON parser: outlines are most of the file, and nobody needs them here."""
    return {key: value for key, value in pairs if key != "segmentation"}


def label_line(box, width, height):
    """The numbers behind the class, of a box (left, top, width, height) in pixels; None where no area is left."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(width, box[0] + box[2]), min(height, box[1] + box[3])
    if not (right > left and bottom > top):
        return None
    numbers = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    return " ".join(f"{number:.6f}" for number in numbers)


def labels_of(instances):
    """{image id: lines}, and how many crowds and how many boxes without an area were left out."""
    images = {image["id"]: image for image in instances["images"]}
    lines = {number: [] for number in images}
    crowds = empty = 0
    for annotation in instances["annotations"]:
        if annotation.get("iscrowd"):
            crowds += 1
            continue
        if annotation["category_id"] not in CLASS_OF:
            raise LabelError(f"annotation {annotation['id']}: category_id {annotation['category_id']} is none of COCO's 80")
        image = images.get(annotation["image_id"])
        if image is None:
            raise LabelError(f"annotation {annotation['id']}: there is no image {annotation['image_id']}")
        numbers = label_line(annotation["bbox"], image["width"], image["height"])
        if numbers is None:
            empty += 1
        else:
            lines[image["id"]].append(f"{CLASS_OF[annotation['category_id']]} {numbers}\n")
    return lines, crowds, empty


def write(path, text):
    """Whole or not at all."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.part", path)


def convert(source, images, labels, list_file):
    with open(source, encoding="utf-8") as file:
        instances = json.load(file, object_pairs_hook=without_outline)
    lines, crowds, empty = labels_of(instances)
    pictures = sorted(instances["images"], key=lambda image: image["id"])
    missing = [p["file_name"] for p in pictures if not os.path.isfile(os.path.join(images, p["file_name"]))]
    if missing:
        raise LabelError(f"{images}: {len(missing)} of {len(pictures)} pictures are missing, {missing[0]} for one")
    os.makedirs(labels, exist_ok=True)
    for picture in pictures:
        stem = os.path.splitext(picture["file_name"])[0]
        write(os.path.join(labels, f"{stem}.txt"), "".join(lines[picture["id"]]))
    write(list_file, "".join(os.path.abspath(os.path.join(images, p["file_name"])) + "\n" for p in pictures))
    objects = sum(len(of_one) for of_one in lines.values())
    print(f"{list_file}: {len(pictures)} pictures, {objects} objects; left out: {crowds} crowds, {empty} without an area")


def main():
    parser = argparse.ArgumentParser(description="Darknet's labels from COCO's instances")
    for name in ("instances", "images", "labels", "list"):
        parser.add_argument(name)
    options = parser.parse_args()
    try:
        convert(options.instances, options.images, options.labels, options.list)
    except (LabelError, OSError) as error:
        sys.exit(f"coco_labels.py: {error}")
    except (KeyError, TypeError, ValueError) as error:
        sys.exit(f"coco_labels.py: {options.instances}: not COCO's instances: {error!r}")


if __name__ == "__main__":
    main()
