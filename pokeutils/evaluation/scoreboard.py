"""The table of a comparison of recipes, outputs/gallery/recipes.csv: written and read.

A row is a finished run, with KIDs by several judges; `make compare` makes it.
"""

import csv

from pokeutils.common import files

COLUMNS = (  # "ground" is the grey level of the background
    "name seed size ground images seconds kid kid_std kid_random kid_random_std "
    "kid_inception kid_inception_std d_real d_fake images_per_second final source "
    "device"
).split()
WORDS = "name", "source", "device", "backend"  # columns that are no numbers


def write_table(path, rows, command):
    """Writes `rows` as CSV, after a comment line with the command that made them."""
    with files.atomic(path) as temporary, open(temporary, "w", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, COLUMNS, "", "ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = {k: f"{v:.6g}" for k, v in row.items() if isinstance(v, float)}
            writer.writerow({**row, **cells})


def read_table(path):
    """Returns (rows, command) as `write_table` wrote them; empty numbers are NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        command = file.readline().removeprefix("# ").strip()
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {k: float(v or "nan") for k, v in row.items() if k not in WORDS}
    return rows, command
