#!/usr/bin/python3
"""The demo's tables, from what `darknet detector map` prints.

  demo_table.py show TEACHER.map ALONE.map DISTILLED.map
  demo_table.py one NAME FILE.map
  demo_table.py add RESULTS.csv SEED BATCHES INPUTS ALONE.map DISTILLED.map
  demo_table.py summary RESULTS.csv INPUTS TEACHER.map SEED...

Values are printed in points (hundredths).
"""

import csv
import math
import os
import sys

COLUMNS = ("seed", "batches", "inputs", "alone_ap", "alone_ap50",
           "distilled_ap", "distilled_ap50")


class Problem(Exception):
    """Something the user can mend; shown as one line."""


def read_map(path):
    """{'AP': points, 'AP50': points} of one file: lines of a key and a value
    from 0 to 1."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) < 2 or words[0] not in ("AP", "AP50"):
                continue
            try:
                value = float(words[1])
            except ValueError:
                raise Problem("%s: '%s' is not a number" % (path, words[1]))
            if not 0 <= value <= 1:
                raise Problem("%s: %s is %s, not from 0 to 1"
                              % (path, words[0], words[1]))
            if words[0] in found:
                raise Problem("%s: a second line %s" % (path, words[0]))
            found[words[0]] = 100 * value
    for key in ("AP", "AP50"):
        if key not in found:
            raise Problem("%s: no line %s" % (path, key))
    return found


def row(name, values, sign=False):
    form = "%-20s" + (" %+7.1f" if sign else " %7.1f") * len(values)
    return form % ((name,) + tuple(values))


def show(teacher, alone, distilled):
    teacher, alone, distilled = map(read_map, (teacher, alone, distilled))
    keys = ("AP", "AP50")
    print("%-20s %7s %7s" % (("",) + keys))
    print(row("teacher", [teacher[k] for k in keys]))
    print(row("student alone", [alone[k] for k in keys]))
    print(row("student distilled", [distilled[k] for k in keys]))
    print(row("difference", [distilled[k] - alone[k] for k in keys], True))


def one(name, path):
    values = read_map(path)
    print("%s: AP %.1f, AP50 %.1f" % (name, values["AP"], values["AP50"]))


def read_results(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="ascii") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise Problem("%s: not the columns %s" % (path, ",".join(COLUMNS)))
        return list(reader)


def add(path, seed, batches, inputs, alone, distilled):
    alone, distilled = read_map(alone), read_map(distilled)
    new = dict(zip(COLUMNS, (seed, batches, inputs) + tuple(
        "%.3f" % value for value in (alone["AP"], alone["AP50"],
                                     distilled["AP"], distilled["AP50"]))))
    rows = [old for old in read_results(path)
            if (old["seed"], old["inputs"]) != (seed, inputs)] + [new]
    with open(path + ".new", "w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".new", path)
    print("seed %s: AP alone %.1f, distilled %.1f, difference %+.1f"
          % (seed, alone["AP"], distilled["AP"],
             distilled["AP"] - alone["AP"]))


def mean_and_deviation(values):
    """Mean and sample standard deviation (n - 1; nan for one value)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))


def summary(path, inputs, teacher, *seeds):
    wanted = list(dict.fromkeys(seeds))
    rows = {r["seed"]: r for r in read_results(path) if r["inputs"] == inputs}
    missing = [seed for seed in wanted if seed not in rows]
    if missing:
        raise Problem("%s: no row for seed %s" % (path, ", ".join(missing)))
    print("%-20s %s   (%d seeds: mean, standard deviation; batches: %s)"
          % ("", "     AP           AP50    ", len(wanted),
             rows[wanted[0]]["batches"]))
    teacher = read_map(teacher)
    print("%-20s %7.2f       %7.2f" % ("teacher", teacher["AP"],
                                       teacher["AP50"]))
    table = {}
    for kind in ("alone", "distilled"):
        table[kind] = [[float(rows[seed]["%s_%s" % (kind, key)])
                        for seed in wanted] for key in ("ap", "ap50")]
    table["difference"] = [[d - a for a, d in zip(alone, distilled)]
                           for alone, distilled in zip(table["alone"],
                                                       table["distilled"])]
    for name, kind in (("student alone", "alone"),
                       ("student distilled", "distilled"),
                       ("paired difference", "difference")):
        line = "%-20s" % name
        for values in table[kind]:
            form = " %+7.2f %5s" if kind == "difference" else " %7.2f %5s"
            mean, deviation = mean_and_deviation(values)
            line += form % (mean, "-" if math.isnan(deviation)
                            else "%.2f" % deviation)
        print(line)


def main():
    commands = {"show": (show, 3, 3), "one": (one, 2, 2), "add": (add, 6, 6),
                "summary": (summary, 4, 1000)}
    name, args = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name not in commands:
        sys.exit(__doc__.strip())
    function, least, most = commands[name]
    if not least <= len(args) <= most:
        sys.exit(__doc__.strip())
    try:
        function(*args)
    except (Problem, OSError) as problem:
        sys.exit("demo_table.py: %s" % problem)


if __name__ == "__main__":
    main()
