"""The tables of benchmarks/README.md, written from a results file.

    python -m benchmarks.tables

replaces what is between `<!-- race sprites64 -->` and `<!-- end -->`, and so on, with
the table of that name; `<!-- results: NAME.json -->` says of which file.
"""

import json
import pathlib
import re

from benchmarks.quality import spread
from pokeutils.common import files

FOLDER = pathlib.Path(__file__).parent
README = FOLDER / "README.md"


def main():
    files.write_text(README, filled(README.read_text("utf-8")))


def filled(text):
    """Returns the text of README.md with its tables as the results file says. Raises
    ValueError for a table that the file has no results for."""
    name = re.search(r"<!-- results: (\S+) -->", text)[1]
    results = json.loads((FOLDER / "results" / name).read_text("utf-8"))

    def replace(match):
        return f"<!-- {match[1]} -->\n{table(match[1], results)}\n<!-- end -->"

    pattern = rf"<!-- ((?:{'|'.join(TABLES)})(?: \w+)?) -->\n.*?<!-- end -->"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def table(key, results):
    """Returns the Markdown table `key`, such as "race sprites64" or "waits"."""
    kind, _, case = key.partition(" ")
    make, source = TABLES[kind]
    name = f"{source} {case}".strip()
    if name not in results:
        raise ValueError(f"No results for {name!r}, only for {sorted(results)}.")
    rows = make(results[name])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def all_of(path):
    """Returns all tables that a results file has something for."""
    results = json.loads(pathlib.Path(path).read_text("utf-8"))
    found = []
    for kind, (_, source) in TABLES.items():
        for name in results:
            if name.partition(" ")[0] == source:
                key = name.replace(source, kind, 1)
                found.append(f"\n{key}\n\n{table(key, results)}")
    return "\n".join(found)


def number(value, digits=2):
    """Two significant digits, as prose has them: 0.0123 -> 0.012, 1234 -> 1,200."""
    value = float(f"{value:.{digits}g}")
    return f"{value:,.0f}" if value >= 10 ** (digits - 1) else f"{value:g}"


def between(spread, digits=2):
    low, high = number(spread["low"], digits), number(spread["high"], digits)
    return f"{number(spread['median'], digits)} ({low} to {high})"


def race(found):
    rows = [
        [
            "",
            "images a CPU second",
            "ours is faster by",
            "images a second",
            "compiling, CPU s",
            "first epoch, CPU s",
            "peak memory, GB",
        ]
    ]
    for name, row in found["rows"].items():
        ratio = "1" if name == "ours" else between(row["ours_over_this_cpu"], 3)
        rows.append(
            [
                name,
                between(row["images_per_cpu_second"]),
                ratio,
                number(row["images_per_second"]["median"]),
                number(row["cpu_seconds_compile"]),
                number(row["cpu_seconds_first_epoch"]),
                number(row["memory_mb"] / 1e3),
            ]
        )
    return rows


def peak(found):
    figures = found["dtypes"]
    rows = [["GFLOP per CPU second", *next(iter(figures.values()))]]
    for name, rates in figures.items():
        rows.append([name, *(number(rate) for rate in rates.values())])
    return rows


def step(found):
    """Where a step's time goes; the peak is the best that any of its work reaches."""
    best, whole = highest(found), found["cpu_seconds"]
    rows = [
        ["", "share of the CPU time", "GFLOP", "GB", "GFLOP per CPU s", "of the peak"]
    ]
    total = {
        name: sum(part[name] for part in found["parts"].values())
        for name in ("gflop", "gigabytes")
    }
    for name, part in {
        **found["parts"],
        "the whole step": {"cpu_seconds": whole, **total},
    }.items():
        row = [name, f"{part['cpu_seconds'] / whole:.0%}"]
        if part["gflop"]:
            rate = part["gflop"] / part["cpu_seconds"]
            row += [number(part["gflop"]), number(part["gigabytes"])]
            row += [number(rate), f"{rate / best:.0%}"]
        rows.append(row + [""] * (len(rows[0]) - len(row)))
    return rows


def highest(found):
    """The highest rate, in GFLOP per CPU second, of products and convolutions measured
    by themselves in the type that the step computes in."""
    rates = found["peak"].get("bfloat16") or found["peak"]["float32"]
    return max(rate for name, rate in rates.items() if "GB" not in name)


def quality(found):
    rows = [["", "KID x 1000: Lite0", "random", "Inception", "seconds a training"]]
    for name, row in found["rows"].items():
        line = [name]
        for judge in ("kid", "kid_random", "kid_inception"):
            mean, deviation = spread(row, judge)
            line.append(f"{number(mean, 3)} ± {number(deviation)}")
        seconds = [one["seconds"] for one in row.values()]
        rows.append([*line, number(sum(seconds) / len(seconds))])
    return rows


def waits(found):
    rows = [["wait", "CPU seconds", "by the clock", ""]]
    for name, taken in found["rows"].items():
        clock = number(taken["wall"])
        rows.append([name, number(taken["cpu"]), clock, taken.get("note", "")])
    return rows


def growth(found):
    rows = [["", "at", "CPU ms a picture", "GFLOP a picture", "memory, GB"]]
    for name, points in found["lines"].items():
        for point in points:
            rows.append(
                [
                    name,
                    f"{point['at']:g}",
                    number(1e3 * point["cpu_seconds"]),
                    number(point["gflop"]),
                    number(point["memory_mb"] / 1e3),
                ]
            )
        powers = found["exponents"][name]
        names = ("cpu_seconds", "gflop", "memory_mb")
        rows.append([f"**{name}**", "power", *(f"{powers[x]:.2f}" for x in names)])
    return rows


TABLES = {  # name in README.md: (function, name in the results)
    "race": (race, "race"),
    "peak": (peak, "peak"),
    "step": (step, "step"),
    "quality": (quality, "quality"),
    "waits": (waits, "waits"),
    "growth": (growth, "growth"),
}


if __name__ == "__main__":
    main()
