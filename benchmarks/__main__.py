"""`make bench`: measures and writes benchmarks/results/<machine>.json.

    python -m benchmarks [--parts race] [--cases sprites64] [--rounds 5] [--seconds 4]

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
PARTS = "race", "waits"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--cases", nargs="+", default=cases.CASES)
    parser.add_argument("--only", nargs="+", help="contestants of the race")
    parser.add_argument("--batch", type=int, help="pictures per step in the race")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of CPU, per turn")
    options = parser.parse_args(arguments)
    path = RESULTS / f"{machine()['name']}.json"
    for part in options.parts:
        module = importlib.import_module(f"benchmarks.{part}")
        for name, result in module.measure(options, say):
            merge(path, name, result)
    say(f"{path.relative_to(env.ROOT)} is written. Its tables:")
    print(tables.all_of(path))


def machine():
    """Returns what was measured on, as a dict; "name" is that of the results file."""
    name = device.device_name()
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "device": name,
        "dtype": device.compute_dtype(),
    }


def merge(path, name, result):
    """Puts one measurement into the results file, beside those that are there."""
    results = json.loads(path.read_text("utf-8")) if path.exists() else {}
    results["machine"] = machine()
    path.parent.mkdir(exist_ok=True)
    results[name] = {"date": time.strftime("%Y-%m-%d"), **result}
    files.write_json(path, rounded(results))


def rounded(value):
    """Returns the same with floats of four digits: more are not known."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def say(line):
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


if __name__ == "__main__":
    main()
