#!/usr/bin/python3
"""Random weights for a Darknet cfg: the right length, and features that stay finite and of sane size.

    scripts/make_random_weights.py CFG OUT [--seed N]

For what needs a network and not what it knows: shapes, memory, speed, and whether two programs compute the same.
Weights are drawn as He et al. draw them (deviation sqrt(2 / fan-in)), batch norm's scales lie near 1, its means at 0,
its variances at 1, biases near 0. Two things keep the sums of a deep network in range: the convolution before a
[shortcut] has small scales, and one without batch norm, which is a head, small weights. The vkd sections of a cfg are
left out. Layers with weights of another kind than [convolutional] are refused.
"""
import argparse
import os
import struct
import sys

import numpy

from darknet_cfg import CfgError, convolutions

HEADER = struct.pack("<iiiQ", 0, 2, 0, 0)  # version 0.2.0, no picture seen
def random_layer(rng, layer):
    """The layer's arrays in the file's order: biases, (scales, means, variances,) weights."""
    n, fan_in = layer["n"], layer["in_channels"] * layer["size"] ** 2
    yield 0.1 * rng.standard_normal(n, numpy.float32)
    if layer["norm"]:
        scale = 0.3 if layer["before_shortcut"] else 1
        yield scale * (1 + 0.1 * rng.standard_normal(n, numpy.float32))
        yield numpy.zeros(n, numpy.float32)
        yield numpy.ones(n, numpy.float32)
    gain = 2 if layer["norm"] else 0.1
    yield numpy.sqrt(numpy.float32(gain / fan_in)) * rng.standard_normal(n * fan_in, numpy.float32)


def write_weights(cfg, out, seed):
    """Writes OUT whole or not at all; returns the number of parameters."""
    layers = convolutions(cfg)
    rng = numpy.random.default_rng(seed)
    count, part = 0, f"{out}.part"
    with open(part, "wb") as file:
        file.write(HEADER)
        for layer in layers:
            for array in random_layer(rng, layer):
                file.write(array.astype("<f4").tobytes())
                count += array.size
    os.replace(part, out)
    return count


def main():
    parser = argparse.ArgumentParser(description="random weights for a Darknet cfg")
    parser.add_argument("cfg")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        count = write_weights(options.cfg, options.out, options.seed)
    except (CfgError, OSError) as error:
        sys.exit(f"make_random_weights.py: {error}")
    except (KeyError, ValueError) as error:
        sys.exit(f"make_random_weights.py: {options.cfg}: {error}")
    print(f"{options.out}: {count} parameters")


if __name__ == "__main__":
    main()
