"""`make bench`: measures and writes benchmarks/results/<machine>.json.

    python -m benchmarks [--cases sprites64] [--rounds 5] [--seconds 4]
    python -m benchmarks --parts quality [--images 60000] [--seeds 3]

Each race replaces what the file has of it, so they can be run one at a time.
"""

import argparse
import importlib
import json
import pathlib
import re
import time

from benchmarks import cases, tables
from pokeutils.common import device, env, files

RESULTS = pathlib.Path(__file__).parent / "results"
PARTS = ("race", "roofline", "waits", "growth")
HOURS = ("quality",)  # only where it is named


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS + HOURS, default=PARTS)
    parser.add_argument(
        "--cases", nargs="+", default=sorted([*cases.SYSTEMS, cases.OWN])
    )
    parser.add_argument("--only", nargs="+", help="contestants of the race")
    parser.add_argument("--batch", type=int, help="pictures a step in the race")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of CPU, a turn")
    parser.add_argument("--images", type=int, default=60_000, help="of quality")
    parser.add_argument("--seeds", type=int, default=3, help="of quality")
    options = parser.parse_args(arguments)
    path = RESULTS / f"{machine()['name']}.json"
    for part in options.parts:
        module = importlib.import_module(f"benchmarks.{part}")
        for name, found in module.measure(options, say):
            merge(path, name, found)
    say(f"{path.relative_to(env.ROOT)} is written. Its tables:")
    print(tables.all_of(path))


def machine():
    """What the figures belong to, as a dict; "name" is that of the results file."""
    known = device.device_name()
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", known.lower()).strip("-"),
        "device": known,
        "dtype": device.compute_dtype(),
    }


def merge(path, name, found):
    """Puts one measurement into the results file, beside those that are there."""
    results = json.loads(path.read_text("utf-8")) if path.exists() else {}
    results["machine"] = machine()
    path.parent.mkdir(exist_ok=True)
    results[name] = {"date": time.strftime("%Y-%m-%d"), **found}
    files.write_json(path, rounded(results))


def rounded(value):
    """The same with floats of four digits: more are not known, and files stay small."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def say(line):
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


if __name__ == "__main__":
    main()
