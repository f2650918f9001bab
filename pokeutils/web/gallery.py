"""The page at the end: one self-contained HTML file about one run.

Everything is inside (pictures as data URIs, curves as SVG, no script, no request), so
it opens from a file, goes by mail to a friend and sits on any web space.
"""

import base64
import html
import json
import math
import os
from pathlib import Path

from PIL import Image

from pokeutils.common import env, files
from pokeutils.training import guards, runs

NARROW, WIDE = 820, 1060  # CSS pixels between which the page fits its largest picture
GIF_LIMIT = 2_500_000  # bytes; a larger animation would make the page slow to open
PICTURES = {
    "artwork": "artworks of Pokémon",
    "sprites": "pixel sprites of Pokémon",
    "doodles": "creatures drawn by code",
}
SPACES = {
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
    params, scores = _json(run / "params.json"), _json(run / "metrics.json")
    log, sheets = _log(run), runs.sample_files(run)
    sections = (
        _header(title, run, params, log),
        _samples(run, params, sheets),
        _learning(run, log, sheets),
        _scores(scores),
        _copies(run, scores),
        _more_time(params),
        _quiz(folder),
        _hatchery(folder),
        _facts(params, log, scores),
        _further(folder, notebooks),
        _owners(params),
    )
    width = max(_width(sheets[-1][1]), NARROW) if sheets else NARROW
    page = PAGE.format(
        title=_text(title), style=STYLE, width=width, body="\n".join(sections)
    )
    files.write_text(folder / "index.html", page)
    return folder / "index.html"


# ---------------------------------------------------------------- sections of the page


def _header(title, run, params, log):
    data = params.get("data", {})
    count = data.get("training_pictures") or data.get("pictures")
    sentence = "These pictures were made by a small neural network."
    if count and log:
        sentence = (
            f"For {guards.duration(log['seconds'][-1])}, a small neural network was "
            f"shown {count:,} {_kind(data)} over and over. Then it was asked for new "
            "ones."
        )
    return (
        f'<header><p class="name">{_text(run.name)}</p><h1>{_text(title)}</h1>'
        f'<p class="lead">{_text(sentence)}</p></header>'
    )


def _samples(run, params, sheets):
    parts = []
    if sheets:
        seen, sheet = sheets[-1]
        alt = f"A sheet of generated creatures on white, after {seen:,} pictures seen."
        caption = "The first ones it makes, in order. None was picked, none left out."
        parts.append(_figure(sheet, alt, caption))
    reals = run / "samples" / "reals.png"
    if reals.exists():
        alt = f"A sheet of {_kind(params.get('data', {}))} from the training set."
        caption = "For comparison: some of the pictures it learned from."
        parts.append(_figure(reals, alt, caption, smaller=True))
    return f"<section>{''.join(parts)}</section>" if parts else ""


def _learning(run, log, sheets):
    parts = []
    animation = run / "animation.gif"
    if animation.exists() and animation.stat().st_size < GIF_LIMIT:
        alt = "An animation of generated creatures as they change during training."
        caption = "The same random inputs from before the first step to the last."
        still = sheets[-1][1] if sheets else None
        parts.append(_figure(animation, alt, caption, still=still))
    if len(log.get("images", ())) > 1:
        losses = {"discriminator": log["d_loss"], "generator": log["g_loss"]}
        right = {"real pictures": log["d_real"], "its fakes": log["d_fake"]}
        parts += [
            '<div class="pair">',
            _chart("The two networks' losses.", log["images"], losses),
            _chart(
                "Share that the discriminator judges rightly.",
                log["images"],
                right,
                limits=(0, 1),
            ),
            "</div><p>One network makes pictures, the other tells them from real ones. "
            "Both improve, so neither loss has to fall; only the pictures say how far "
            "it got.</p>",
        ]
    return _section("How it learned", parts)


def _scores(scores):
    tables = []
    for space, found in scores.get("spaces", {}).items():
        kid = {name: row["kid"] for name, row in found["rows"].items()}
        kid["samples"] = kid.pop("samples")  # last: what is above gives it a meaning
        longest = max(max(one["value"] for one in kid.values()), 1e-9)
        rows = "".join(
            f'<tr{" class=mine" if name == "samples" else ""}><th scope="row">'
            f"{_text(name)}</th><td>{1000 * one['value']:.1f}{_spread(one)}</td>"
            f'<td class="bar"><i style="width:{max(one["value"], 0) / longest:.1%}">'
            "</i></td></tr>"
            for name, one in kid.items()
        )
        caption = _text(SPACES.get(space, f"As seen by {found['network']}"))
        tables.append(f"<table><caption>{caption}</caption>{rows}</table>")
    if not tables:
        return ""
    intro = (
        "<p>The distance from real pictures (KID × 1000) as unrelated networks see it. "
        "At 0 they could not be told apart. The rows above the samples are other real "
        "pictures, untouched and damaged on purpose: they say what a number means. ± "
        "is half of a 95 % interval.</p>"
    )
    return _section(
        "How good they are", [intro, '<div class="pair">', *tables, "</div>"]
    )


def _spread(one):
    if "interval" not in one:
        return ""
    low, high = one["interval"]
    return f" <small>± {500 * (high - low):.1f}</small>"


def _copies(run, scores):
    picture, found = run / "nearest.png", scores.get("copies", {})
    if not picture.exists():
        return ""
    verdict = ""
    if found.get("samples"):
        own = found["samples"]["together"]
        verdict = (
            f"<p>{own['judged']:,} of {own['total']:,} samples are so near to one "
            "training picture, and to no other, that they are taken for copies "
            f"(95&nbsp;% interval: {own['low']:.1%} to {own['high']:.1%})."
        )
        if found.get("held out"):
            unseen = found["held out"]["together"]
            verdict += (
                f" Of {unseen['total']:,} real pictures that the network never saw, "
                f"the same search takes {unseen['judged']:,} for copies."
            )
        planted = [one["together"] for one in found.get("planted", {}).values()]
        if planted:
            verdict += (
                " To try it, copies were planted: exact, mirrored, in other colours, "
                "warped, spoilt and cut off. It found "
                f"{sum(one['judged'] for one in planted):,} of "
                f"{sum(one['total'] for one in planted):,}."
            )
        verdict += "</p>"
    alt = "Generated creatures, each beside the training pictures nearest to it."
    caption = (
        "The first of each group is a sample, unpicked; then follow the training "
        "pictures nearest to it, mirrored where that is nearer: by colours on the "
        "left, by what is drawn on the right."
    )
    return _section("Are they copies?", [verdict, _figure(picture, alt, caption)])


def _more_time(params):
    """What the generators that come with the repository draw, unless this is one."""
    parts = []
    outputs = env.ROOT / "outputs"
    for path in sorted((outputs / "pretrained").glob("*.json")):
        card, sheet = _json(path), outputs / "gallery" / f"{path.stem}.jpg"
        same = all(card.get(key) == params.get(key) for key in ("recipe", "seed"))
        if same or not sheet.exists():
            continue
        alt = f"A sheet of creatures by {path.stem}, which has trained for longer."
        caption = (
            f"{path.stem} after {card['images_seen']:,} pictures, "
            f"{guards.duration(3600 * card['hours'])} on {card['device']}: the first "
            "ones it makes, none picked. It is part of the repository, and "
            "pretrained.hatch makes more."
        )
        parts.append(_figure(sheet, alt, caption))
    return _section("What more time gives", parts)


def _quiz(folder):
    if not (folder / "quiz.html").exists():
        return ""
    text = (
        "<p>Real, put together by hand, or generated: three panels of nine pictures, "
        'two minutes. <a href="quiz.html">Take the quiz</a> before you believe any of '
        "the numbers.</p>"
    )
    return _section("What do you think?", [text])


def _hatchery(folder):
    shipped = env.outputs_dir() / "hatchery" / "index.html"
    if (folder / "hatchery.html").exists():
        address = "hatchery.html"
    elif shipped.exists():
        address = Path(os.path.relpath(shipped, folder)).as_posix()
    else:
        return ""
    text = (
        "<p>A generator in a page of its own: creatures by name, nine at a time, to "
        f'keep, change and cross. <a href="{_text(address)}">Go to the hatchery</a>.'
        "</p>"
    )
    return _section("More of them", [text])


def _facts(params, log, scores):
    data, versions = params.get("data", {}), params.get("versions", {})
    size = f"{data.get('size')} px"
    software = ("python", "keras", params.get("backend"))
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
        facts["Speed"] = f"{images / max(seconds, 1e-9):,.0f} pictures a second"
    if {"samples", "reals"} <= scores.keys():
        facts["Judged on"] = f"{scores['samples']:,} samples, {scores['reals']:,} reals"
    rows = "".join(
        f"<div><dt>{_text(key)}</dt><dd>{_text(value)}</dd></div>"
        for key, value in facts.items()
        if value not in (None, "", {})
    )
    return _section("The numbers", [f'<dl class="facts">{rows}</dl>' if rows else ""])


def _further(folder, notebooks):
    found = {}
    if (folder / "notebooks").is_dir():
        found = {name: f"{name}.html" for name in notebooks}
        for path in sorted((folder / "notebooks").glob("[0-9][0-9]_*.*")):
            if path.suffix == ".html":
                found[path.stem] = path.name
            elif path.suffix == ".ipynb":  # a page, where there is one, reads better
                found.setdefault(path.stem, path.name)
    links = "".join(
        f'<li value="{int(stem[:2])}"><a href="notebooks/{_text(found[stem])}">'
        f"{_text(stem[3:].replace('_', ' ').capitalize())}</a></li>"
        for stem in sorted(found)
        if not stem.endswith(".failed")
    )
    commands = "".join(
        f"<dt><code>{command}</code></dt><dd>{what}</dd>"
        for command, what in (
            ("PROFILE=full make run", "larger pictures and a long training, on a GPU"),
            ("make run SOURCE=sprites", "the same steps on pixel sprites"),
            ("make run SOURCE=folder:/my/pictures", "on pictures of your own"),
            ("make lab", "open the notebooks and change something"),
        )
    )
    steps = f"<p>Each step, with its code:</p><ol>{links}</ol>" if links else ""
    return _section("Go further", [steps, f"<dl>{commands}</dl>"])


def _owners(params):
    source = str(params.get("data", {}).get("source", ""))
    if source == "doodles":
        text = "The training pictures are creatures drawn by this project's own code."
    elif source.startswith("folder"):
        text = "The training pictures, and what derives from them, are their makers'."
    else:
        text = (
            "Pokémon, their names and their pictures belong to Nintendo, Creatures "
            "Inc., GAME FREAK inc. and The Pokémon Company, who have nothing to do "
            "with this project. What a network makes from their pictures derives from "
            "them: it is here to learn from, not to sell."
        )
    return f"<footer><p>{text}</p></footer>"


# ---------------------------------------------------------------- parts of a section


def _section(heading, parts):
    body = "".join(parts)
    return f"<section><h2>{heading}</h2>{body}</section>" if body else ""


def _width(path, smaller=False):
    """CSS width of a picture: enlarged by a whole number, so all pixels are equal."""
    with Image.open(path) as image:
        times = max(WIDE // image.width, 1)
        return image.width * (max(times - 1, 1) if smaller else times)


def _figure(path, alt, caption, smaller=False, still=None):
    with Image.open(path) as image:
        size = f'width="{image.width}" height="{image.height}"'
    style = f'style="width:{_width(path, smaller)}px"'
    picture = f'<img src="{_uri(path)}" alt="{_text(alt)}" {size} {style}>'
    if still:  # for readers who asked their system for less motion
        source = f'<source media="(prefers-reduced-motion)" srcset="{_uri(still)}">'
        picture = f"<picture>{source}{picture}</picture>"
    return f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>"


def _chart(title, x, series, limits=None):
    """A line chart as inline SVG, in the page's colours; `series`: {label: values}."""
    width, height = 420, 230
    left, right, top, bottom = 40, 412, 30, 204
    finite = [v for values in series.values() for v in values if math.isfinite(v)]
    low, high = limits or (min(finite, default=0), max(finite, default=1))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    span = max(x[-1] - x[0], 1)

    def point(a, b):
        across = left + (a - x[0]) / span * (right - left)
        return f"{across:.1f},{top + (high - b) / (high - low) * (bottom - top):.1f}"

    parts = []
    for value, y in (
        (high, top),
        ((low + high) / 2, (top + bottom) / 2),
        (low, bottom),
    ):
        parts.append(f'<path d="M{left} {y}H{right}"/>')
        parts.append(f'<text x="34" y="{y + 4}" class="end">{value:.2g}</text>')
    every = math.ceil(len(x) / 300)
    for number, (label, values) in enumerate(series.items()):
        pairs = list(zip(x, values, strict=True))[::every]
        points = " ".join(point(a, b) for a, b in pairs if math.isfinite(b))
        parts.append(f'<polyline class="line{number}" points="{points}"/>')
        place = f'x="{left + 120 * number}" y="16"'
        parts.append(f'<text class="name{number}" {place}>{_text(label)}</text>')
    parts.append(f'<text x="{left}" y="{height - 8}">{x[0]:,.0f}</text>')
    last = f"{x[-1]:,.0f} pictures seen"
    parts.append(f'<text x="{right}" y="{height - 8}" class="end">{last}</text>')
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_text(title)}">{"".join(parts)}</svg>'
        f"<figcaption>{_text(title)}</figcaption></figure>"
    )


def _uri(path):
    content = base64.b64encode(path.read_bytes()).decode()
    kind = path.suffix[1:].replace("jpg", "jpeg")
    return f"data:image/{kind};base64,{content}"


def _text(value):
    return html.escape(str(value))


def _kind(data):
    return PICTURES.get(data.get("source"), "pictures")


# ---------------------------------------------------------------- reading the run


def _json(path):
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _log(run):
    """log.csv as {column: float array}; {} if there is nothing in it."""
    log = runs.read_log(run) if (run / "log.csv").exists() else {}
    return log if len(log.get("images", ())) else {}


# ---------------------------------------------------------------- looks

STYLE = Path(__file__).with_name("gallery.css").read_text("utf-8")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main style="max-width:calc({width}px + 48px)">
{body}
</main>
</body>
</html>
"""
