#!/usr/bin/env bash
# Every message that a cfg can bring about stands in a test with the exact line: those about the vkd sections in
# tests/cfg_errors/*.expected, those about Darknet's own sections in tests/host/test_darknet_cfg.c. A new message
# without a case fails here.
set -euo pipefail
cd "$(dirname "$0")/../.."

python3 - <<'END'
import glob
import re
import sys

LITERAL = r'"(?:[^"\\]|\\.)*"'


def joined(text):
    """The string literals of C source, neighbours put together."""
    for group in re.finditer(r"%s(?:\s*%s)*" % (LITERAL, LITERAL), text):
        yield "".join(part[1:-1] for part in re.findall(LITERAL, group.group())).replace('\\"', '"')


def calls(source, names):
    """The text between the parentheses of each call."""
    for start in re.finditer(r"\b(?:%s)\(" % names, source):
        depth, at, quoted = 1, start.end(), False
        while depth:
            c = source[at]
            if c == '"' and source[at - 1] != "\\":
                quoted = not quoted
            depth += 0 if quoted else (c == "(") - (c == ")")
            at += 1
        if source[at] == ";" or source[at : at + 2] == "\n ":  # no definition, no declaration
            yield source[start.end() : at - 1]


def uncovered(files, names, cases):
    count = 0
    for file in files:
        source = re.sub(r"//[^\n]*", "", open(file).read())
        for call in calls(source, names):
            for message in joined(call):
                if " " not in message:  # a key's name, "%s"
                    continue
                count += 1
                pattern = re.sub(r"%[-.0-9*]*(?:ll|z)?[a-z]", "\0", message)
                pattern = ".*".join(re.escape(part) for part in pattern.split("\0"))
                if not any(re.search(pattern, case) for case in cases):
                    yield f"{file}: no case for \"{message}\""
    if count < 10:
        yield f"{files}: only {count} messages found"


pairs = [open(f).read() for f in glob.glob("tests/cfg_errors/*.expected")]
core = ["darknet_vkd/core/" + f for f in ("options.c", "option_table.c", "cfg_text.c")]
rules = [case for test in ("darknet_cfg", "teacher") for case in joined(open(f"tests/host/test_{test}.c").read())]
host = ["darknet_vkd/host/darknet_cfg.c", "darknet_vkd/host/darknet_layers.c"]
failed = 0
for name, missing in (
    ("messages_of_vkd_sections", list(uncovered(core, "vkd_error_at|refuse_section|vkd_tap_error", pairs))),
    ("messages_of_darknet_sections", list(uncovered(host, "vkd_refuse|vkd_fail|need\\w*", rules))),
):
    print("not ok" if missing else "ok", name)
    for line in missing:
        print("#", line)
    failed |= bool(missing)
sys.exit(failed)
END
