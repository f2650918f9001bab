"""Put a run's generator into the repository: its file, its card and its pictures.

A generator is stored in half precision (`outputs/pretrained/<name>.keras`) and computes
in single precision. Its card says what it was made from and how good it is
(`<name>.json`, and for readers `<name>.md`).
"""

import json
import sys

import numpy as np

from pokeutils.common import files, plots, saved
from pokeutils.common.saved import in_precision, load_generator
from pokeutils.evaluation.likeness import largest_piece
from pokeutils.sampling import sample
from pokeutils.training import runs

WHOLE = 0.9  # share of its mass in one piece with which a creature is whole
POINTS, FRAMES, STEPS = 120, 12, 6  # of the curves, the film, and the way there
CURVES = ("images", "seconds", "d_loss", "g_loss", "d_real", "d_fake")


# Publishing ---------------------------------------------------------------------------


def publish(run, flaws, name=None):
    """Puts the generator of a run folder into outputs/pretrained, with its card, and
    pictures of it into outputs/gallery: <name>.jpg, .gif and -on-the-way.jpg.

    flaws: sentences on what is wrong with its pictures, for the card. Scores come from
    the run's metrics.json, which notebook 6 writes, and those on the way from its
    on_the_way.json (`report.on_the_way`). A run that was made in other ways than its
    recipe says tells of that in its params.json: "parts", a list of sentences, which
    the card repeats. Raises ValueError if half precision would change a picture
    visibly.
    """
    run = runs.find_run(run)
    params, log = runs.read_params(run), runs.read_log(run)
    name = name or params["recipe"]["name"]
    network = load_generator(run / "generator.keras")
    half = in_precision(network, "float16")
    difference = _difference(network, in_precision(half, "float32"))
    if difference > 4:
        raise ValueError(
            f"Half precision would change pixels by up to {difference} of 255; at most "
            "4 are let through."
        )
    path = saved.folder() / f"{name}.keras"
    with files.atomic(path) as temporary:
        half.save(temporary)
    kept = _spread(len(log["step"]), POINTS)
    facts = {
        **params,
        "name": name,
        # A run that was stopped within an epoch has seen more than its log says.
        "images_seen": max(int(log["images"][-1]), runs.sample_files(run)[-1][0]),
        "hours": round(float(log["seconds"][-1]) / 3600, 2),
        "weights": int(network.count_params()),
        "largest_pixel_change_by_half_precision": int(difference),
        "sha256": files.sha256(path),
        "whole": _whole(network),
        "scores": _scores(run),
        "on_the_way": _on_the_way(run, log),
        "flaws": list(flaws),
        "owners": saved.OWNERS,
        "log": {c: [float(f"{x:.5g}") for x in log[c][kept]] for c in CURVES},
    }
    files.write_json(saved.folder() / f"{name}.json", facts)
    files.write_text(saved.folder() / f"{name}.md", _readable(facts))
    _show(run, name, network)
    return path


def _spread(count, most):
    """At most `most` of the indices 0 to count - 1, the last one among them."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def _show(run, name, network):
    """Puts pictures of the run into outputs/gallery: its creatures, what the first ones
    looked like on the way there, and all of that as a film."""
    gallery = saved.folder().parent / "gallery"
    gallery.mkdir(parents=True, exist_ok=True)
    sheet = plots.tile(sample(network, 64), columns=16)  # wide: the page goes on below
    with files.atomic(gallery / f"{name}.jpg") as path:
        path.write_bytes(plots.to_jpeg(sheet))
    sheets = runs.sample_files(run)
    side = network.output_shape[1]
    # The first half of the sheet above, in its order.
    frames = [
        plots.tile(plots.cut(sheets[i][1], side)[:32], columns=16)
        for i in _spread(len(sheets), FRAMES)
    ]
    plots.gif(gallery / f"{name}.gif", frames, colours=96)
    way = [sheets[i] for i in _spread(len(sheets), STEPS)]
    figure = plots.labelled(
        [plots.tile(plots.cut(path, side)[:8]) for _, path in way],
        [f"{seen:,} images" for seen, _ in way],
        columns=1,
    )
    with files.atomic(gallery / f"{name}-on-the-way.jpg") as path:
        path.write_bytes(plots.to_jpeg(figure))


def _difference(one, other, count=32):
    """The largest difference of any pixel, of 255, over `count` creatures."""
    a, b = (sample(network, count).astype("int16") for network in (one, other))
    return np.abs(a - b).max()


def _whole(network, counts=(64, 512)):
    """{count: how many of the first so many creatures are in one piece}."""
    if network.output_shape[-1] != 4:
        return {}
    whole = largest_piece(sample(network, max(counts))) >= WHOLE
    return {str(count): int(whole[:count].sum()) for count in counts}


def _scores(run):
    """{space: {row: KID x 1000}} from the run's metrics.json; {} if it has none."""
    path = run / "metrics.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text("utf-8"))
    return {
        space: {row: round(1000 * one["kid"]["value"], 1) for row, one in table.items()}
        for space, table in (
            (space, part["rows"]) for space, part in found["spaces"].items()
        )
    }


def _on_the_way(run, log):
    """{"images", "seconds", and for each space KID x 1000: a list each} of the run's
    on_the_way.json; {} if it has none."""
    path = run / "on_the_way.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text("utf-8"))
    seen = found.pop("images")
    seconds = np.interp(seen, [0, *log["images"]], [0, *log["seconds"]])
    scores = {title: [round(1000 * v, 1) for v in one] for title, one in found.items()}
    return {"images": seen, "seconds": seconds.round().tolist(), **scores}


def _readable(facts):
    data, recipe = facts["data"], facts["recipe"]
    rows = [
        ("What", f"generator of `{recipe['name']}`, {facts['weights']:,} weights"),
        (
            "Data",
            f"`{data['source']}` at {data['size']} px: {data['training_pictures']} "
            f"training pictures of {data['pictures']}, fingerprint "
            f"`{data['fingerprint'][:12]}`",
        ),
        ("Images seen", f"{facts['images_seen']:,} of {recipe['images']:,}"),
        *(("In parts", part) for part in facts.get("parts", ())),
        ("Hardware", f"{facts['device']}, {facts['hours']:.1f} hours"),
        ("Seed", str(facts["seed"])),
        (
            "Half precision",
            "changes pixels by at most "
            f"{facts['largest_pixel_change_by_half_precision']} of 255",
        ),
    ]
    if facts["whole"]:
        words = " and ".join(f"{n} of the first {m}" for m, n in facts["whole"].items())
        rows.append((f"With {100 * WHOLE:.0f} % of their mass in one piece", words))
    for space, found in facts["scores"].items():
        kid = ", ".join(f"{row} {value}" for row, value in found.items())
        rows.append((f"KID x 1000, {space}", kid))
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    flaws = "\n".join(f"- {flaw}" for flaw in facts["flaws"])
    return (
        f"# {facts['name']}\n\n| | |\n|---|---|\n{table}\n\n"
        f"## What is wrong with its pictures\n\n{flaws}\n\n"
        "## Use and make again\n\n```python\nfrom pokeutils.common import saved\n\n"
        f'generator = saved.pretrained("{facts["name"]}")\n```\n\n'
        f"    make train PARAMS=outputs/pretrained/{facts['name']}.json\n\n"
        f"{facts['owners']}\n"
    )


if __name__ == "__main__":  # python tools/publish.py RUN "A sentence on a flaw." ...
    print(publish(sys.argv[1], sys.argv[2:]))
