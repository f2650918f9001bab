"""The page at the end: one HTML file about one run, its pictures and curves inside.

This module reads the run folder and counts; the words are in gallery.html.
"""

import math
import os
from pathlib import Path

from PIL import Image, ImageSequence

from pokeutils.common import env, files
from pokeutils.training import guards, runs
from pokeutils.web import template

NARROW, WIDE = 820, 1060  # CSS pixels between which the page fits its largest picture
GIF_LIMIT = 2_500_000  # bytes; a larger animation would make the page slow to open
LARGEST = 8_000_000  # bytes of any other picture; sheets have a hundredth
LOGGED = {"images", "seconds", "d_loss", "g_loss", "d_real", "d_fake"}  # of log.csv
CAPTIONS = {
    "Lite0": "As seen by EfficientNet-Lite0, which has learned from photographs",
    "Inception": "As seen by the Inception network of the FID, from photographs too",
    "random": "As seen by a random network, which has learned nothing",
}


def write(run, folder=None, title="Creatures nobody drew", notebooks=()):
    """Writes index.html about the run folder `run` into `folder` (outputs/latest).

    Reads params.json, log.csv, metrics.json, samples/, nearest.png and animation.gif of
    the run; what is missing is left out. Links `folder`/quiz.html, the hatchery (beside
    the page, or the one in outputs/hatchery, if it is there), the web pages or
    notebooks that are in `folder`/notebooks, and those named in `notebooks`, which are
    about to be written there. The page appears whole or not at all. Returns its path.
    """
    run = Path(run)
    folder = env.outputs_dir() / "latest" if folder is None else Path(folder)
    params = _or_nothing(runs.read_params, run / "params.json", run)
    metrics = _json(run / "metrics.json")
    data = {"source": "", **params.get("data", {})}
    log, sheets = _log(run), runs.sample_files(run)
    seen, newest = sheets[-1] if sheets else (0, run / "samples" / "none")
    samples = _picture(newest)
    page = template.render(
        "gallery.html",
        data["source"],
        title=title,
        name=run.name,
        data=data,
        learned_from=data.get("training_pictures") or data.get("pictures"),
        duration=guards.duration(log["seconds"][-1]) if log else "",
        seen=seen,
        samples=samples,
        reals=_picture(run / "samples" / "reals.png", smaller=True),
        animation=_picture(run / "animation.gif", most=GIF_LIMIT),
        charts=_charts(log),
        spaces=metrics.get("spaces", {}),
        captions=CAPTIONS,
        nearest=_picture(run / "nearest.png"),
        copies=metrics.get("copies", {}),
        pretrained=list(_pretrained(params)),
        quiz=(folder / "quiz.html").exists(),
        hatchery=_hatchery(folder),
        facts=_facts(params, log, metrics),
        notebooks=_notebooks(folder, notebooks),
        width=max(samples["shown"], NARROW) if samples else NARROW,
    )
    files.write_text(folder / "index.html", page)
    return folder / "index.html"


# ---------------------------------------------------------------- reading the run


def _or_nothing(read, path, *arguments):
    """Returns what comes of reading a file; {} if it is missing, or is damaged."""
    try:
        return read(*arguments or (path,)) if path.exists() else {}
    except ValueError as error:
        print(f"{error} The page does without it.")
        return {}


def _json(path):
    return _or_nothing(files.read_json, path)


def _log(run):
    """Returns log.csv as {column: float array}; {} if there is nothing in it."""
    log = _or_nothing(runs.read_log, run / "log.csv", run)
    return log if LOGGED <= log.keys() and len(log["images"]) else {}


def _picture(path, smaller=False, most=LARGEST):
    """Returns a picture file for the template; None if it is missing, damaged or has
    `most` bytes. It is enlarged by a whole number, so that all its pixels are equal."""
    if not path.exists() or path.stat().st_size >= most:
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
            kind = f"image/{image.format.lower()}"
            for frame in ImageSequence.Iterator(image):
                frame.load()
    except Exception as error:  # decoders raise nearly every kind there is
        print(f"{path} is damaged ({error}). The page does without it.")
        return None
    times = max(WIDE // width - smaller, 1)
    uri = template.data_uri(path.read_bytes(), kind)
    return {"uri": uri, "width": width, "height": height, "shown": width * times}


def _pretrained(params):
    """Yields what the repository's own generators draw, unless this run is one."""
    outputs = env.ROOT / "outputs"
    for path in sorted((outputs / "pretrained").glob("*.json")):
        card = _json(path)
        sheet = _picture(outputs / "gallery" / f"{path.stem}.jpg")
        same = all(card.get(key) == params.get(key) for key in ("recipe", "seed"))
        if sheet and not same:
            duration = guards.duration(3600 * card["hours"])
            yield {**card, "name": path.stem, "sheet": sheet, "duration": duration}


# ---------------------------------------------------------------- what it links


def _hatchery(folder):
    """Returns the address of the hatchery as seen from `folder`, or ""."""
    shipped = env.outputs_dir() / "hatchery" / "index.html"
    if (folder / "hatchery.html").exists():
        return "hatchery.html"
    return Path(os.path.relpath(shipped, folder)).as_posix() if shipped.exists() else ""


def _notebooks(folder, expected):
    """Returns [(stem, file)] of the notebooks; `expected` stems are still to come."""
    if not (folder / "notebooks").is_dir():
        return []
    found = {stem: f"{stem}.html" for stem in expected}
    for path in sorted((folder / "notebooks").glob("[0-9][0-9]_*.*")):
        if path.suffix == ".html":
            found[path.stem] = path.name
        elif path.suffix == ".ipynb":  # a page, where there is one, reads better
            found.setdefault(path.stem, path.name)
    return sorted(item for item in found.items() if not item[0].endswith(".failed"))


# ---------------------------------------------------------------- numbers


def _facts(params, log, metrics):
    """Returns what the run was made with, as {name: text}, where that is known."""
    data, versions = params.get("data", {}), params.get("versions", {})
    software = ("python", "keras", params.get("backend"))
    size = f"{data.get('size')} px"
    facts = {
        "Recipe": params.get("recipe", {}).get("name"),
        "Pictures": data and f"{data.get('source')}, {data.get('pictures')} at {size}",
        "Device": params.get("device"),
        "Arithmetic": params.get("dtype"),
        "Software": ", ".join(f"{k} {versions[k]}" for k in software if k in versions),
        "Code": str(params.get("git_commit") or "")[:12],
        "Seed": params.get("seed"),
        "Data fingerprint": str(data.get("fingerprint", ""))[:12],
    }
    if log:
        seconds, images = log["seconds"][-1], log["images"][-1]
        facts["Pictures seen"] = f"{images:,.0f}"
        facts["Training time"] = guards.duration(seconds)
        facts["Speed"] = f"{images / max(seconds, 1e-9):,.0f} pictures per second"
    if {"samples", "reals"} <= metrics.keys():
        numbers = f"{metrics['samples']:,} samples, {metrics['reals']:,} reals"
        facts["Judged on"] = numbers
    return {key: fact for key, fact in facts.items() if fact not in (None, "", {})}


# ---------------------------------------------------------------- charts


def _charts(log):
    """Returns the curves of losses and of what the discriminator judges rightly."""
    if len(log.get("images", ())) < 2:
        return {}
    losses = {"discriminator": log["d_loss"], "generator": log["g_loss"]}
    shares = {"real pictures": log["d_real"], "its fakes": log["d_fake"]}
    finite = [v for values in losses.values() for v in values if math.isfinite(v)]
    low, high = min(finite, default=0), max(finite, default=1)
    return {
        "losses": _chart(log["images"], losses, low, high),
        "shares": _chart(log["images"], shares, 0, 1),
    }


def _chart(x, series, low, high):
    """Turns {label: values} against x into points of an SVG, at most 300 per line."""
    left, right, top, bottom = 40, 412, 30, 204
    if high <= low:
        low, high = low - 0.5, low + 0.5
    across = (right - left) / max(x[-1] - x[0], 1)
    down = (bottom - top) / (high - low)
    every = math.ceil(len(x) / 300)
    lines = {
        label: " ".join(
            f"{left + across * (a - x[0]):.1f},{top + down * (high - b):.1f}"
            for a, b in zip(x[::every], values[::every], strict=True)
            if math.isfinite(b)
        )
        for label, values in series.items()
    }
    middle = ((top + bottom) // 2, (low + high) / 2)
    ticks = [(y, f"{v:.2g}") for y, v in ((top, high), middle, (bottom, low))]
    ends = {"first": f"{x[0]:,.0f}", "last": f"{x[-1]:,.0f}"}
    return {"ticks": ticks, "lines": lines, **ends}
