"""The hatchery: one page in which a generator runs in its reader's browser.

Network, runtime and all else are inside the file, so it opens from a disk, a local
server or any web space, works offline and sends nothing.

    python -m pokeutils.web.hatchery.build                     the pretrained one
    python -m pokeutils.web.hatchery.build --if-missing        unless it is there
    python -m pokeutils.web.hatchery.build --run 007-modern64  one of your own
"""

import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys
import tempfile

import numpy as np

from pokeutils.common import env, files, images, saved
from pokeutils.data import dataset, download, sources
from pokeutils.evaluation import measures
from pokeutils.training import runs
from pokeutils.web.hatchery import genome, portable

FOLDER = pathlib.Path(__file__).parent
LARGEST_MODEL = 8_000_000  # bytes; a page on a phone should not be larger

# TensorFlow.js is 1 MB in all, and does without WebAssembly where it must. ONNX Runtime
# Web and LiteRT.js are faster at work, but 14 and 9 MB: too much to put into a page.
VERSION = "4.22.0"
PACKAGES = {  # with their sha512, as npm writes it
    "tfjs-core": "LEkOyzbknKFoWUwfkr59vSB68DMJ4cjwwHgicXN0DUi3a0Vh"
    "1Er3JQqCI1Hl86GGZQvY8ezVrtDIvqR1ZFW55A==",
    "tfjs-backend-cpu": "1u0FmuLGuRAi8D2c3cocHTASGXOmHc/4OvoVDENJayjYkS11"
    "9fcTcQf4iHrtLthWyDIPy3JiPhRrZQC9EwnhLw==",
    "tfjs-backend-wasm": "/IYhReRIp4jg/wYW0OwbbJZG8ON87mbz0PgkiP3CdcACRSvU"
    "N0h8rvC0O3YcDtkTQtFWF/tcXq/KlVDyV49wmA==",
}
RUNTIME = {  # file: its package, its sha256
    "tf-core.min.js": (
        "tfjs-core",
        "0924438788ff7da57b14d0f7c45a05d81611a5a4b52653da6d065e86d348757c",
    ),
    "tf-backend-cpu.min.js": (
        "tfjs-backend-cpu",
        "4f232e90455e04cc5f69a691295d07a881a4ad93d7f229598459b9b533259d83",
    ),
    "tf-backend-wasm.min.js": (
        "tfjs-backend-wasm",
        "691bbec0ef8b5a7f17f212e9c5d85832030f90d030b46e99acb4dea1fb16f009",
    ),
    "tfjs-backend-wasm-simd.wasm": (
        "tfjs-backend-wasm",
        "77ebb28a6d34f371dbbf2086b7f2de8994acd8ea5a3cf1fa24d2c26c840cac7b",
    ),
}
OWNERS = {
    "Pokémon": "Pokémon and their names belong to Nintendo, Creatures Inc., GAME FREAK "
    "inc. and The Pokémon Company, who have nothing to do with this page. The network "
    "learned from their pictures, so what it draws derives from them: it is here to "
    "learn from and to play with, not to sell. No picture of theirs is in this page.",
    "drawn": "The network learned from creatures that its makers' own code drew.",
    "": "What the network draws derives from the pictures that it learned from, and "
    "belongs to whoever made those.",
}


# ------------------------------------------------------------------------ the page


def write(generator, path, source="artwork", index=None, runtime=None):
    """Writes the page for a Keras generator to `path`, whole or not at all; returns it.

    generator: latents (n, d) -> pictures (n, s, s, 3 or 4) in [-1, 1], see `portable`
    source: the pictures that it learned from, for the words of the page
    index: what `species_index` returns; None: the page names no nearest species
    runtime: what `fetch_runtime` returns; None fetches it
    Raises ValueError for a generator that cannot be converted or is too large.
    """
    graph, weights = _network(generator)
    runtime = runtime or fetch_runtime()
    size, channels = generator.output_shape[-2:]
    dimensions = generator.input_shape[-1]
    facts = {
        "size": size,
        "channels": channels,
        "dimensions": dimensions,
        "graph": graph,
        "check": _check(generator),
        "index": index,
    }
    scripts = [re.sub(r"(?m)^//# sourceMappingURL=.*$", "", runtime[name].decode())
               for name in RUNTIME if name.endswith(".js")]  # fmt: skip
    scripts += [
        (FOLDER / name).read_text("utf-8") for name in ("network.js", "page.js")
    ]
    tags, hashes = zip(*map(_script, scripts), strict=True)
    owner = _owner(source)
    parts = {
        "hashes": " ".join(hashes),
        "taught": {"Pokémon": "Pokémon", "drawn": "creatures drawn by code"}.get(
            owner, "pictures"
        ),
        "size": size,
        "dimensions": dimensions,
        "weights": f"{generator.count_params():,}",
        "index": INDEX if index else "",
        "owners": OWNERS[owner],
        "version": VERSION,
        "model": _base64(weights),
        "wasm": _base64(runtime["tfjs-backend-wasm-simd.wasm"]),
        "facts": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
        "scripts": "\n".join(tags),
    }
    template = (FOLDER / "page.html").read_text("utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: str(parts[found[1]]), template)
    files.write_text(path, page)
    return pathlib.Path(path)


def _network(generator):
    """What `portable.convert` returns; ValueError if it is too large for a page."""
    graph, weights = portable.convert(generator)
    if len(weights) > LARGEST_MODEL:
        raise ValueError(
            f"This generator takes {len(weights) / 1e6:.1f} MB; a page should not ask "
            f"for more than {LARGEST_MODEL / 1e6:.0f} MB. Train a narrower one, such "
            "as modern64."
        )
    return graph, weights


def _owner(source):
    """Whose the pictures of a source are, as one of OWNERS; Pokémon if any are that."""
    owner = sources.describe(source).owner
    if sources.OWNER in owner:
        return "Pokémon"
    return "drawn" if source == "doodles" else ""


def _script(code):
    """A script's tag, and its hash for the content security policy."""
    code = f"\n{code.strip()}\n"
    if re.search(r"</script|<!--", code, re.IGNORECASE):
        raise ValueError("A script with </script or <!-- in it cannot go into a page.")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"<script>{code}</script>", f"'sha256-{digest}'"


def _base64(data):
    return base64.b64encode(data).decode()


def _check(generator):
    """Some pixels of one creature, by which a browser sees that it computes right."""
    count = 200
    latents = genome.latents(["check"], generator.input_shape[-1])
    values = np.asarray(generator(latents, training=False), "float32").reshape(-1)
    places = np.linspace(0, len(values) - 1, count).astype(int)
    return {
        "genome": "check",
        "places": places.tolist(),
        "values": [round(float(one), 4) for one in values[places]],
        "tolerance": 6 / 127.5,
        "allowed": count // 20,  # a palette may choose another colour here and there
    }


# ------------------------------------------------------------------------ the nearest

LEVELS, BANDS, OUTLINE = 5, 8, 0.3  # levels a colour, bands a side, weight of outlines
INDEX = (
    "<em>Nearest</em> compares how much there is of each colour, and how wide a "
    "creature is at each height, not what is drawn: it names the species that one "
    "might think of at a glance. Nothing else of the real ones is in this page."
)


def likeness(pictures):
    """Describes uint8 premultiplied RGBA (n, s, s, 4) by colours and outline: float64
    (n, 137), compared by Euclidean distance; a mirrored picture has the same.

    The first 125 are the square roots of the shares of 5 x 5 x 5 colours, with soft
    borders; the others how full the rows and columns are. It found the artwork of a
    species by its pixel sprite, among 645, in 14 % of cases at once and in 30 % among
    the nearest five; features of EfficientNet-Lite0 at 128 px in 6 % and 16 %. Its
    numbers were chosen on the same species, which flatters it.
    """
    rgba = images.unpremultiply(pictures).astype("float64") / 255
    alpha, count = rgba[..., 3], len(pictures)
    total = np.maximum(alpha.sum((1, 2), keepdims=True), 1e-6)
    position = rgba[..., :3] * (LEVELS - 1)
    place = np.minimum(position.astype(int), LEVELS - 2)
    rest = position - place
    bins = np.zeros((count, LEVELS**3))
    rows = np.broadcast_to(np.arange(count)[:, None, None], alpha.shape)
    for corner in range(8):
        share, where = alpha / total, 0
        for channel in range(3):
            up = corner >> channel & 1
            one = rest[..., channel]
            share = share * (one if up else 1 - one)
            where = where * LEVELS + place[..., channel] + up
        np.add.at(bins, (rows, where), share)
    side = alpha.shape[1]
    band = np.arange(side) * BANDS // side
    sums = [np.zeros((count, BANDS)) for _ in range(2)]
    for axis, found in zip((2, 1), sums, strict=True):
        np.add.at(found.T, band, alpha.sum(axis).T)
    tall, wide = (OUTLINE * one / (side * side / BANDS) for one in sums)
    wide = (wide + wide[:, ::-1])[:, : BANDS // 2] / 2
    return np.concatenate([np.sqrt(bins), tall, wide], axis=1)


def index_of(pictures, names):
    """The index of named pictures, for `write`: descriptions, no pictures.

    "usual" has the distance of each to the nearest of another name, in ascending order,
    to say what near means.
    """
    vectors = np.rint(likeness(pictures).clip(0, 1) * 255).astype("uint8")
    far = measures.distances(vectors / 255, vectors / 255)
    far[np.asarray(names)[:, None] == np.asarray(names)[None]] = np.inf
    return {
        "names": [str(name) for name in names],
        "vectors": _base64(vectors.tobytes()),
        "usual": [round(float(one), 4) for one in np.sort(far.min(1))],
        "levels": LEVELS,
        "weight": OUTLINE,
        "bands": BANDS,
    }


def species_index(source, size):
    """The index of a source's species, its first ordinary picture each; None for
    pictures that have no species."""
    data = dataset.load(source, size)
    numbers = data.meta["species_id"]
    plain = (numbers > 0) & ~data.meta["shiny"] & (data.meta["form"] == "")
    _, first = np.unique(np.where(plain, numbers, 0), return_index=True)
    first = np.array([row for row in first if plain[row]], int)
    named = source != "doodles" and ":" not in source
    if not named or len(first) < 10:
        return None
    return index_of(data.images[first], data.meta["name"][first])


# ------------------------------------------------------------------------ the runtime


def fetch_runtime(folder=None):
    """Returns {file: bytes} of TensorFlow.js, fetched through npm the first time.

    Every file is checked against the hash written down here, kept or fetched. Kept in
    `folder`, by default data/tensorflowjs. Raises packages.SourceUnavailable.
    """
    folder = folder or env.data_dir() / "tensorflowjs"
    found = _kept(folder)
    for package in sorted({RUNTIME[name][0] for name in RUNTIME.keys() - found}):
        for name, data in _fetch(package).items():
            download.check(files.sha256(data), RUNTIME[name][1], name)
            files.write_bytes(folder / name, data)
            found[name] = data
    return found


def _kept(folder):
    paths = {name: folder / name for name in RUNTIME}
    found = {name: path.read_bytes() for name, path in paths.items() if path.exists()}
    return {n: data for n, data in found.items() if files.sha256(data) == RUNTIME[n][1]}


def _fetch(package):
    spec, sha512 = f"@tensorflow/{package}@{VERSION}", f"sha512-{PACKAGES[package]}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            wanted = download.Package(spec, sha512, "")
            tarball = download.npm_pack(wanted, pathlib.Path(scratch))
        except download.SourceUnavailable as error:
            reason = str(error).removesuffix(download.OFFLINE).strip()
            raise download.SourceUnavailable(
                f"The hatchery's runtime could not be fetched: {reason} Once it has "
                "been, no network is needed."
            ) from None
        names = [name for name in RUNTIME if RUNTIME[name][0] == package]
        inside = download.unpack(tarball, *(f"dist/{re.escape(n)}$" for n in names))
    return {name: inside[f"dist/{name}"] for name in names}


# ------------------------------------------------------------------------ the command


def main(arguments=None):
    """Writes the page of the pretrained generator, or of a run; returns 0, or 1 if this
    is not there or cannot have a page, or what that needs cannot be fetched."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="a run folder, its name, or a .keras file")
    parser.add_argument(
        "--if-missing",
        action="store_true",
        help="only if the pretrained generator has no page yet, or an older one",
    )
    parser.add_argument("--source", help="the pictures that the generator learned from")
    parser.add_argument("--to", type=pathlib.Path, help="the page")
    options = parser.parse_args(arguments)
    outputs, source = env.outputs_dir(), options.source
    try:
        if options.run is None:
            path = outputs / "hatchery" / "index.html"
            if options.if_missing and up_to_date(path):
                return 0
            generator = saved.pretrained()
        else:
            file, path = pathlib.Path(options.run), outputs / "latest" / "hatchery.html"
            if file.suffix != ".keras":
                run = runs.find_run(options.run)
                file = run / "generator.keras"
                source = source or runs.read_params(run).get("data", {}).get("source")
            generator = saved.load_generator(file)
        _network(generator)  # what cannot have a page shall not fetch anything first
        source = source or "artwork"
        index = species_index(source, generator.output_shape[1])
        path = write(generator, options.to or path, source, index)
    except (download.SourceUnavailable, FileNotFoundError, ValueError) as error:
        print(f"No hatchery: {error}", file=sys.stderr)
        return 1
    print(f"Hatchery   {path} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"           {path.resolve().as_uri()}")
    return 0


def up_to_date(page):
    """Whether `page` is there, and not older than the pretrained generator."""
    made_from = saved.folder() / f"{saved.FLAGSHIP}.keras"
    return page.exists() and page.stat().st_mtime >= made_from.stat().st_mtime


if __name__ == "__main__":
    sys.exit(main())
