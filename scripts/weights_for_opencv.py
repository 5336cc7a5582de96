#!/usr/bin/python3
"""The weights of a student for OpenCV's dnn module, where scores shall agree with Darknet's beyond the fourth decimal.

    scripts/weights_for_opencv.py CFG WEIGHTS OUT

Batch norm divides by sqrt(variance) + 1e-6 in Darknet and by sqrt(variance + 1e-6) in OpenCV. That tells where a
variance is below about 0.01, as a first layer's can be. OUT has the scales multiplied by the quotient of the two, so
OpenCV computes with OUT what Darknet computes with WEIGHTS. For Darknet itself keep WEIGHTS.
"""
import argparse
import os
import struct
import sys

import numpy

from darknet_cfg import CfgError, convolutions

EPS = 1e-6


def header_size(data, path):
    """Bytes before the first layer: since version 0.2 the count of pictures has 64 bits."""
    if len(data) < 16:
        raise CfgError(f"{path}: the file ends within its header")
    major, minor = struct.unpack_from("<ii", data)
    if major >= 1000 or minor >= 1000:
        raise CfgError(f"{path}: version {major}.{minor} is not supported")
    return 20 if major * 10 + minor >= 2 else 16


def rescale(cfg, weights):
    """The bytes of WEIGHTS with other scales, and the largest relative change."""
    with open(weights, "rb") as file:
        data = file.read()
    start = header_size(data, weights)
    layers = convolutions(cfg)
    expected = sum(layer["n"] * (4 if layer["norm"] else 1) + layer["n"] * layer["in_channels"] * layer["size"] ** 2
                   for layer in layers)
    if len(data) - start != 4 * expected:
        raise CfgError(f"{weights}: found {len(data) - start} bytes of weights, expected {4 * expected} for {cfg}")
    values = numpy.frombuffer(data, "<f4", offset=start).copy()
    at, largest = 0, 0.0
    for layer in layers:
        n = layer["n"]
        if layer["norm"]:
            variances = values[at + 3 * n:at + 4 * n].astype(numpy.float64)
            factors = numpy.sqrt(variances + EPS) / (numpy.sqrt(variances) + EPS)
            values[at + n:at + 2 * n] *= factors
            largest = max(largest, float(abs(factors - 1).max()))
        at += n * (4 if layer["norm"] else 1) + n * layer["in_channels"] * layer["size"] ** 2
    return data[:start] + values.tobytes(), largest


def main():
    parser = argparse.ArgumentParser(description="a student's weights for OpenCV's dnn module")
    for name in ("cfg", "weights", "out"):
        parser.add_argument(name)
    options = parser.parse_args()
    try:
        data, largest = rescale(options.cfg, options.weights)
        with open(f"{options.out}.part", "wb") as file:
            file.write(data)
        os.replace(f"{options.out}.part", options.out)
    except (CfgError, OSError, KeyError, ValueError) as error:
        sys.exit(f"weights_for_opencv.py: {error}")
    print(f"{options.out}: scales changed by {largest:.1e} at most")


if __name__ == "__main__":
    main()
