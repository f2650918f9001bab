"""Put a run's generator into the repository: its file, its card and its pictures.

    python tools/publish.py RUN "A sentence on a flaw." ...
    python tools/publish.py --unfinished RUN "A sentence on how far it is." ...

A generator is stored in half precision (`outputs/pretrained/<name>.keras`) and computes
in single precision; beside it are the discriminators that it was trained against
(`<name>-discriminators.npz`), from which a training goes on (`Recipe.warm`). Its card
says what it was made from and how good it is (`<name>.json`, and for readers
`<name>.md`). What is unfinished is only there to go on from, and is not listed.
"""

import json
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pokeutils.common import env, files, images, plots, saved  # noqa: E402
from pokeutils.common.saved import in_precision, load_generator  # noqa: E402
from pokeutils.data import traits  # noqa: E402
from pokeutils.evaluation import features, measures, report  # noqa: E402
from pokeutils.recipes import catalogue  # noqa: E402
from pokeutils.sampling import sample  # noqa: E402
from pokeutils.training import checkpoints, runs  # noqa: E402

OWNERS = (
    "The weights were fitted to pictures of Pokémon, which belong to Nintendo, "
    "Creatures Inc. and GAME FREAK inc.: no licence for them is given or implied here "
    "(see NOTICE). For study and play, not for sale."
)
WHOLE = 0.9  # share of its mass in one piece with which a creature is whole
VISIBLE = 4  # levels of 255: a larger change of a pixel is not let through
POINTS, FRAMES, STEPS = 120, 12, 6  # of the curves, the film, and the way there
CURVES = ("images", "seconds", "d_loss", "g_loss", "d_real", "d_fake")


def publish(run, flaws, name=None, finished=True):
    """Puts the generator of a run folder into outputs/pretrained, with its card, and
    pictures of it into outputs/gallery: <name>.jpg, .gif and -on-the-way.jpg. Returns
    the path of the generator.

    flaws: sentences on what is wrong with its pictures, for the card. Scores come from
    the run's metrics.json, which notebook 6 writes, and those on the way from its
    on_the_way.json (`measure_on_the_way`). A run that was made in other ways than its
    recipe says tells of that in its params.json: "parts", a list of sentences, which
    the card repeats. Raises ValueError if half precision would change a picture
    visibly, unless it is unfinished.
    """
    run = runs.find_run(run)
    params, log = runs.read_params(run), runs.read_log(run)
    name = name or params["recipe"]["name"]
    network = load_generator(run / "generator.keras")

    # The weights, in half precision.
    half = in_precision(network, "float16")
    change = _largest_change(network, in_precision(half, "float32"))
    if finished and change > VISIBLE:
        raise ValueError(
            f"Half precision would change pixels by up to {change} of 255; at most "
            f"{VISIBLE} are let through."
        )
    path = saved.folder() / f"{name}.keras"
    with files.atomic(path) as temporary:
        half.save(temporary)
    discriminators = _save_discriminators(run, name)

    # The card, for programs and for people.
    kept = _spread(len(log["step"]), POINTS)
    card = {
        **params,
        "name": name,
        **({} if finished else {"kind": "unfinished"}),
        "images_seen": _images_seen(run, log),
        "hours": round(float(log["seconds"][-1]) / 3600, 2),
        "weights": int(network.count_params()),
        "largest_pixel_change_by_half_precision": int(change),
        "sha256": files.sha256(path),
        **discriminators,
        "whole": _whole(network),
        "scores": _scores(run),
        "on_the_way": _on_the_way(run, log),
        "flaws": list(flaws),
        "owners": OWNERS,
        "log": {c: [float(f"{x:.5g}") for x in log[c][kept]] for c in CURVES},
    }
    files.write_json(saved.folder() / f"{name}.json", card)
    files.write_text(saved.folder() / f"{name}.md", _readable(card))

    # The pictures.
    if finished:
        _show(run, name, network)
    return path


def measure_on_the_way(run, reals, backbones=report.BACKBONES):
    """Returns how quality grew: the KID of every sheet in a run's samples/ against the
    `reals`, as {"images": [...], title: [KID, ...]}.

    run: the folder of a run, or its name; the result is kept there as on_the_way.json.
    reals: uint8 pictures of the run's size; transparent ones go on the run's own
    background. A sheet has only 64 creatures: KID is not biased by that, but neighbours
    in the list differ by chance, and more than in `report.report`.
    """
    run = runs.find_run(run)
    recipe = runs.read_params(run)["recipe"]
    if recipe["channels"] == 3:  # sheets of transparent pictures are on white
        reals = images.over(reals, recipe["background"])
    sheets, size = runs.sample_files(run), reals.shape[1]
    scores = {"images": [seen for seen, _ in sheets]}
    for title, backbone in backbones.items():
        backbone = features.named(backbone)
        real = backbone(reals, cache=env.data_dir() / "features")
        scores[title] = []
        for _, path in sheets:
            fake = backbone(plots.cut(path, size))
            count = min(len(real), len(fake))
            scores[title].append(measures.kid(real, fake, subset_size=count)[0])
    files.write_json(run / "on_the_way.json", scores)
    return scores


def _spread(count, most):
    """Returns at most `most` of the indices 0 to count - 1, the last among them."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def _save_discriminators(run, name):
    """Stores those of the run's newest checkpoint; returns what the card says of them,
    {} for a run without one."""
    if checkpoints.newest_facts(run) is None:
        return {}
    recipe, _, seed = catalogue.read(run / "params.json")
    model, path = recipe.build(seed), saved.folder() / f"{name}-discriminators.npz"
    checkpoints.load(model, run)
    arrays = {k: np.float16(v) for k, v in saved.discriminators(model).items()}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return {"discriminators": {"sha256": files.sha256(path)}}


# What the card says -------------------------------------------------------------------


def _images_seen(run, log):
    """A run that was stopped within an epoch has seen more than its log says."""
    facts = checkpoints.newest_facts(run) or {"images": 0}
    return max(int(log["images"][-1]), runs.sample_files(run)[-1][0], facts["images"])


def _largest_change(network, other, count=32):
    """Returns the largest difference of any pixel, of 255, over `count` creatures."""
    a, b = (sample(generator, count).astype("int16") for generator in (network, other))
    return np.abs(a - b).max()


def _whole(network, counts=(64, 512)):
    """Returns {count: how many of the first so many creatures are in one piece}."""
    if network.output_shape[-1] != 4:
        return {}
    whole = traits.largest_piece(sample(network, max(counts))) >= WHOLE
    return {str(count): int(whole[:count].sum()) for count in counts}


def _scores(run):
    """Returns {space: {row: KID x 1000}} of the run's metrics.json; {} without one."""
    path = run / "metrics.json"
    if not path.exists():
        return {}
    spaces = json.loads(path.read_text("utf-8"))["spaces"]
    return {
        title: {
            name: round(1000 * row["kid"]["value"], 1)
            for name, row in space["rows"].items()
        }
        for title, space in spaces.items()
    }


def _on_the_way(run, log):
    """Returns {"images", "seconds", and for each space KID x 1000: a list each} of the
    run's on_the_way.json; {} without one."""
    path = run / "on_the_way.json"
    if not path.exists():
        return {}
    scores = json.loads(path.read_text("utf-8"))
    seen = scores.pop("images")
    seconds = np.interp(seen, [0, *log["images"]], [0, *log["seconds"]])
    kids = {title: [round(1000 * v, 1) for v in kid] for title, kid in scores.items()}
    return {"images": seen, "seconds": seconds.round().tolist(), **kids}


def _readable(card):
    """Returns the card as a page of Markdown."""
    data, recipe = card["data"], card["recipe"]
    rows = [
        ("What", f"generator of `{recipe['name']}`, {card['weights']:,} weights"),
        (
            "Data",
            f"`{data['source']}` at {data['size']} px: {data['training_pictures']} "
            f"training pictures of {data['pictures']}, fingerprint "
            f"`{data['fingerprint'][:12]}`",
        ),
        ("Images seen", f"{card['images_seen']:,} of {recipe['images']:,}"),
        *(("In parts", part) for part in card.get("parts", ())),
        ("Hardware", f"{card['device']}, {card['hours']:.1f} hours"),
        ("Seed", str(card["seed"])),
        (
            "Half precision",
            "changes pixels by at most "
            f"{card['largest_pixel_change_by_half_precision']} of 255",
        ),
    ]
    if card["whole"]:
        words = " and ".join(f"{n} of the first {m}" for m, n in card["whole"].items())
        rows.append((f"With {100 * WHOLE:.0f} % of their mass in one piece", words))
    for space, scores in card["scores"].items():
        kids = ", ".join(f"{name} {kid}" for name, kid in scores.items())
        rows.append((f"KID x 1000, {space}", kids))
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    flaws = "\n".join(f"- {flaw}" for flaw in card["flaws"])
    name, again = card["name"], f"outputs/pretrained/{card['name']}.json"
    lines = (
        "from pokeutils.common import saved",
        f'generator = saved.pretrained("{name}")',
    )
    title, use = name, "Use and make again"
    if card.get("kind") == "unfinished":
        lines = (
            "import dataclasses\n\n"
            "from pokeutils import training\nfrom pokeutils.recipes import catalogue",
            f'recipe, source, seed = catalogue.read("{again}")\n'
            f'recipe = dataclasses.replace(recipe, warm="{name}", ease_in=0)\n'
            "training.train(recipe, source)",
        )
        title, use = f"{name}, unfinished", "Go on from it, and make it again"
    code = "\n\n".join(lines)
    return (
        f"# {title}\n\n| | |\n|---|---|\n{table}\n\n"
        f"## What is wrong with its pictures\n\n{flaws}\n\n"
        f"## {use}\n\n```python\n{code}\n```\n\n"
        f"    make train PARAMS={again}\n\n{card['owners']}\n"
    )


# What the gallery shows ---------------------------------------------------------------


def _show(run, name, network):
    """Puts pictures of the run into outputs/gallery: its creatures, what the first ones
    looked like on the way there, and all of that as a film."""
    gallery = saved.folder().parent / "gallery"
    creatures = plots.tile(sample(network, 64), columns=16)  # wide: the page goes on
    files.write_bytes(gallery / f"{name}.jpg", plots.to_jpeg(creatures))

    # The first half of the creatures above, in their order.
    sheets, side = runs.sample_files(run), network.output_shape[1]
    frames = [
        plots.tile(plots.cut(sheets[i][1], side)[:32], columns=16)
        for i in _spread(len(sheets), FRAMES)
    ]
    plots.gif(gallery / f"{name}.gif", frames, colours=96)

    chosen = [sheets[i] for i in _spread(len(sheets), STEPS)]
    figure = plots.labelled(
        [plots.tile(plots.cut(path, side)[:8]) for _, path in chosen],
        [f"{seen:,} images" for seen, _ in chosen],
        columns=1,
    )
    files.write_bytes(gallery / f"{name}-on-the-way.jpg", plots.to_jpeg(figure))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--unfinished"]
    print(publish(words[0], words[1:], finished="--unfinished" not in sys.argv))
