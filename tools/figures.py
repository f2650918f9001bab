"""The measured figures of the pages, and where each comes from.

    python tools/figures.py    rewrites the figures in README.md that have changed

`outputs/gallery/figures.json` names each figure, the words around it ("says", with a
{name:format} in place of every number), and the numbers: "values", where they were
measured by hand, with command, data, machine and date; else "from", a JSON file or a
rendered notebook of this repository, and where in it they stand. So a figure has one
place; a test compares the pages with it. The table of results is made from
outputs/gallery/recipes.csv, which `make compare` writes.
"""

import csv
import json
import pathlib
import re
import string
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pokeutils.common import files  # noqa: E402

FIGURES = ROOT / "outputs" / "gallery" / "figures.json"
NUMBER = r"\d(?:[\d,]*\d)?(?:\.\d+)?"
TABLE = re.compile(r"(?s)(?<=<!-- results -->\n).*?(?=<!-- end -->)")
FLOOR = {"name": "real halves", "size": "64", "ground": "255"}  # that is shown
GIVEN = {"values", "spread", "command", "data", "machine", "date"}


def main():
    known = load()
    for page in sorted({figure["page"] for figure in known["figures"].values()}):
        path = ROOT / page
        text = path.read_text("utf-8")
        new, changes = rewritten(text, known["figures"], page)
        new = with_results(new)
        for change in changes:
            print(f"{page}: {change}")
        if new != text:
            files.write_text(path, new)


def load(path=FIGURES):
    """Returns {"figures": {name: figure}, "chosen": [regular expressions]}, each figure
    with "page", "says" and "values", wherever these come from. Raises ValueError for
    one whose numbers are not where it says."""
    known = json.loads(path.read_text("utf-8"))
    for name, figure in known["figures"].items():
        figure.setdefault("page", "README.md")
        if "from" in figure:
            figure["values"] = look_up(name, figure)
        elif missing := GIVEN - set(figure):
            raise ValueError(f"{name} does not say its {', '.join(sorted(missing))}.")
    return known


def look_up(name, figure):
    """Returns {field: number} of a figure read from another file: by "at", the names
    of its keys with slashes between, or by "find", a regular expression with a group
    (?P<field>...) for each, in its text (of a notebook, what its cells printed)."""
    path = ROOT / figure["from"]
    if path.suffix == ".ipynb":
        text = printed(path)
    else:
        text = path.read_text("utf-8")
    found = {}
    if "find" in figure:
        match = re.search(figure["find"], text)
        if not match:
            raise ValueError(f"{name}: {figure['from']} has no {figure['find']!r}.")
        found |= {key: number(value) for key, value in match.groupdict().items()}
    for field, place in figure.get("at", {}).items():
        value = json.loads(text)
        for key in place.split("/"):
            value = value[int(key) if isinstance(value, list) else key]
        found[field] = value
    return found


def printed(path):
    """Returns all that the cells of a notebook printed, as one text."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join("".join(text) for text in texts)


def number(text):
    """Returns "1,234" as 1234 and "-0.5" as -0.5."""
    plain = text.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def pieces(says):
    """Yields (words, field or None, format) of a "says"."""
    for words, field, form, _ in string.Formatter().parse(says):
        yield words, field, form


def pattern(says):
    """Returns a regular expression for the words, with a group for each number; a line
    may end wherever a space is."""
    parts = []
    for words, field, _ in pieces(says):
        parts += [r"\s+".join(map(re.escape, re.split(r"\s+", words)))]
        parts += [f"({NUMBER})"] if field else []
    return re.compile("".join(parts))


def shown(figure):
    """Returns the numbers of a figure as its page should show them, in order: halves
    rounded up, and 0 without a sign."""
    texts = []
    for _, field, form in pieces(figure["says"]):
        if field:
            value = figure["values"][field]
            value = value * (1 + 1e-9) if isinstance(value, float) else value
            texts.append(format(value, form))
    return [text if number(text) else text.lstrip("-") for text in texts]


def rewritten(text, figures, page="README.md"):
    """Returns (the page's text with all its figures as they should be, what changed, a
    sentence each). Raises ValueError for a figure whose words are not there once."""
    changes = []
    for name, figure in figures.items():
        if figure["page"] != page:
            continue
        matches = list(pattern(figure["says"]).finditer(text))
        if len(matches) != 1:
            raise ValueError(
                f"{page} has the words of the figure {name!r} {len(matches)} times; "
                f"expected once: {figure['says']!r}. Edit the page, or these words in "
                "outputs/gallery/figures.json."
            )
        match, new = matches[0], shown(figure)
        if list(match.groups()) != new:
            changes.append(f"{name}: {', '.join(match.groups())} is {', '.join(new)}")
        for group in reversed(range(len(new))):  # from the end: places stay valid
            begin, end = match.span(group + 1)
            text = text[:begin] + new[group] + text[end:]
    return text, changes


def unaccounted(text, known, page="README.md"):
    """Returns the numbers in a page's prose that are neither a figure nor chosen, such
    as a size in pixels, each with the words around it."""
    spans = []
    for figure in known["figures"].values():
        if figure["page"] == page:
            spans += [m.span() for m in pattern(figure["says"]).finditer(text)]
    spans += [match.span() for match in TABLE.finditer(text)]
    # Code, addresses of links, and lines that are commands are not prose.
    for other in (r"(?s)```.*?```", r"`[^`]*`", r"\]\([^)]*\)", r"(?m)^    .*$"):
        spans += [m.span() for m in re.finditer(other, text)]
    for words in known["chosen"]:
        spans += [m.span() for m in re.finditer(words, text)]
    found = []
    for match in re.finditer(NUMBER, text):
        begin, end = match.span()
        if not any(a <= begin and end <= b for a, b in spans):
            around = text[max(0, begin - 30) : end + 30]
            found.append(" ".join(around.split()))
    return found


# The table of results ---------------------------------------------------------------


def with_results(text, path=ROOT / "outputs" / "gallery" / "recipes.csv"):
    """Returns the text of a page with its table of results made from a CSV file, as
    `scoreboard.publish` writes it."""
    return TABLE.sub(lambda _: results(path), text)


def results(path):
    """Returns the table: real pictures (`FLOOR`), then the finished runs of each recipe
    and the generators that come along, from the best to the worst by Inception, or
    after these by Lite0. A share is a mean over runs; where not all of them have one,
    it says how many do."""
    with open(path, newline="", encoding="utf-8") as file:
        file.readline()  # the command
        rows = list(csv.DictReader(file))
    groups = {}
    for row in rows:
        if row["name"] == FLOOR["name"]:
            chosen = FLOOR.items() <= row.items()
        else:
            chosen = row["final"] == "1" or not row["kid"]
        if chosen:
            groups.setdefault(row["name"], []).append(row)
    judges = "kid_inception", "kid"  # without the first one, by the second
    order = sorted(groups, key=lambda n: [_middle(groups[n], j) for j in judges])
    lines = [
        "| | images | KID x 1000: Inception | Lite0 | random | recall | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in order:
        mine = groups[name]
        seen = f"{float(mine[0]['images']):,.0f}" if mine[0]["images"] else ""
        columns = {"kid_inception": 0, "kid": 0, "kid_random": 1}
        numbers = [_each(mine, column, digits) for column, digits in columns.items()]
        shares = [_share(mine, f"{name}_inception") for name in ("recall", "coverage")]
        cells = name if not seen else f"`{name}`", seen, *numbers, *shares
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _middle(rows, column):
    """The mean of a column; infinite where it is empty, so that it sorts last."""
    values = _known(rows, column)
    return sum(values) / len(values) if values else float("inf")


def _known(rows, column):
    values = [float(row[column]) for row in rows if row.get(column)]
    return [value for value in values if value == value]  # not NaN: not known


def _share(rows, column):
    """The mean of a column as "0.29", or "0.29 (1 of 2)" if one of two runs has it."""
    count = len(_known(rows, column))
    if not count:
        return ""
    some = "" if count == len(rows) else f" ({count} of {len(rows)})"
    return f"{_middle(rows, column):.2f}{some}"


def _each(rows, column, digits):
    """All values of a column x 1000, as "12" or "12, 15"; of real pictures the value
    and half of its 95 % interval, two standard deviations."""
    if rows[0]["name"] == FLOOR["name"]:
        value, spread = (1000 * float(rows[0][c]) for c in (column, f"{column}_std"))
        return f"{value:.1f} ± {2 * spread:.1f}".replace("-0.0 ", "0.0 ")
    values = [float(row[column]) for row in rows if row[column]]
    return ", ".join(f"{1000 * value:.{digits}f}" for value in values)


if __name__ == "__main__":
    main()
