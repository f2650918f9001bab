"""The tables of benchmarks/README.md, written from a results file.

    python -m benchmarks.tables

replaces what is between `<!-- race sprites64 -->` and `<!-- end -->`, and so on, with
the table of that name; `<!-- results: NAME.json -->` says of which file.
"""

import json
import pathlib
import re

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
    """Returns the Markdown table `key`, such as "race sprites64" or "waits". Raises
    ValueError without results for it."""
    if key not in results:
        raise ValueError(f"No results for {key!r}, only for {sorted(results)}.")
    rows = TABLES[key.partition(" ")[0]](results[key]["rows"])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def all_of(path):
    """Returns all tables of a results file."""
    results = json.loads(pathlib.Path(path).read_text("utf-8"))
    keys = [key for key in results if key.partition(" ")[0] in TABLES]
    return "\n".join(f"\n{key}\n\n{table(key, results)}" for key in keys)


def number(value, digits=2):
    """Two significant digits, as prose has them: 0.0123 -> 0.012, 1234 -> 1,200."""
    value = float(f"{value:.{digits}g}")
    return f"{value:,.0f}" if value >= 10 ** (digits - 1) else f"{value:g}"


def between(spread, digits=2):
    low, high = number(spread["low"], digits), number(spread["high"], digits)
    return f"{number(spread['median'], digits)} ({low} to {high})"


def race(contestants):
    rows = [
        [
            "",
            "images per CPU second",
            "ours is faster by",
            "images per second",
            "compiling, CPU s",
            "first epoch, CPU s",
            "peak memory, GB",
        ]
    ]
    for name, row in contestants.items():
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


def waits(measured):
    rows = [["wait", "CPU seconds", "by the clock", ""]]
    for name, taken in measured.items():
        clock = number(taken["wall"])
        rows.append([name, number(taken["cpu"]), clock, taken.get("note", "")])
    return rows


TABLES = {"race": race, "waits": waits}


if __name__ == "__main__":
    main()
