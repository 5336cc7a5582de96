"""The convolutions of a Darknet cfg, in the order of its weights file. What the scripts that write such files share.

A weights file is a header, then for each [convolutional] layer, as float32: biases (n); with batch norm scales, means
and variances (n each); weights (n, channels of a group, size, size). Layers with weights of another kind are refused.
"""

SAME_CHANNELS = {"maxpool", "max", "upsample", "avgpool", "avg", "dropout", "softmax", "soft", "cost", "yolo",
                 "region", "shortcut", "activation", "logistic", "l2norm"}
KEYS_REFUSED = ("numload", "dontload", "dontloadscales")


class CfgError(Exception):
    """One line for the user."""


def read_sections(path):
    """[(line number, name, {key: value})] in order, the vkd sections left out."""
    sections = []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            line = "".join(line.split())  # Darknet strips blanks everywhere
            if not line or line[0] in "#;":
                continue
            if line[0] == "[":
                sections.append((number, line.strip("[]"), {}))
            elif not sections or "=" not in line:
                raise CfgError(f"{path}:{number}: neither a section nor a key=value of one")
            else:
                key, value = line.split("=", 1)
                sections[-1][2][key] = value.split("#")[0]
    sections = [s for s in sections if not s[1].startswith("vkd_")]
    if not sections or sections[0][1] not in ("net", "network"):
        raise CfgError(f"{path}: does not begin with [net]")
    return sections


def convolutions(path):
    """A dict for each convolutional layer: n, in_channels (of one group), size, norm, before_shortcut."""
    sections = read_sections(path)
    channels = int(sections[0][2].get("channels", 3))
    layers, found = [], []  # channels that each layer puts out; the result
    for index, (line, name, keys) in enumerate(sections[1:]):
        here = f"{path}:{line}: [{name}]"

        def at(word):
            place = int(word) + (index if int(word) < 0 else 0)
            if not 0 <= place < index:
                raise CfgError(f"{here} layer {word} does not exist")
            return layers[place]

        if name in ("convolutional", "conv"):
            for key in KEYS_REFUSED:
                if key in keys:
                    raise CfgError(f"{here} {key}: not supported")
            filters, size, groups = (int(keys.get(key, 1)) for key in ("filters", "size", "groups"))
            if min(filters, size, groups) < 1 or channels % groups or filters % groups:
                raise CfgError(f"{here} {filters} filters of size {size} in {groups} groups on {channels} channels")
            following = sections[index + 2][1] if index + 2 < len(sections) else ""
            found.append({"n": filters, "in_channels": channels // groups, "size": size,
                          "norm": int(keys.get("batch_normalize", 0)) != 0,
                          "before_shortcut": following == "shortcut"})
            channels = filters
        elif name == "route":
            channels = sum(at(word) for word in keys["layers"].split(",") if word)
        elif name == "reorg":
            stride = int(keys.get("stride", 1)) ** 2
            channels = channels // stride if int(keys.get("reverse", 0)) else channels * stride
        elif name not in SAME_CHANNELS:
            raise CfgError(f"{here} has weights of a kind that is not supported, or is unknown")
        layers.append(channels)
    return found
