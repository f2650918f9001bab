"""The hatchery: one page in which a generator runs in its reader's browser.

Network, runtime and all else are inside the file, so it opens from a disk, a local
server or any web space, works offline and sends nothing.
"""

import base64
import pathlib
import re
import tempfile

import numpy as np

from pokeutils.common import env, files
from pokeutils.data import download
from pokeutils.web import template
from pokeutils.web.hatchery import genome, portable

FOLDER = pathlib.Path(__file__).parent
LARGEST_MODEL = 8_000_000  # bytes; a page on a phone should not be larger

# TensorFlow.js is 1 MB in all, and does without WebAssembly where it must. ONNX Runtime
# Web and LiteRT.js are faster at work, but 14 and 9 MB: too much to put into a page.
VERSION = "4.22.0"
RUNTIME = {  # package: its sha512, as npm writes it, and the sha256 of its files
    "tfjs-core": (
        "LEkOyzbknKFoWUwfkr59vSB68DMJ4cjwwHgicXN0DUi3a0Vh"
        "1Er3JQqCI1Hl86GGZQvY8ezVrtDIvqR1ZFW55A==",
        {
            "tf-core.min.js": "0924438788ff7da57b14d0f7c45a05d8"
            "1611a5a4b52653da6d065e86d348757c"
        },
    ),
    "tfjs-backend-cpu": (
        "1u0FmuLGuRAi8D2c3cocHTASGXOmHc/4OvoVDENJayjYkS11"
        "9fcTcQf4iHrtLthWyDIPy3JiPhRrZQC9EwnhLw==",
        {
            "tf-backend-cpu.min.js": "4f232e90455e04cc5f69a691295d07a8"
            "81a4ad93d7f229598459b9b533259d83"
        },
    ),
    "tfjs-backend-wasm": (
        "/IYhReRIp4jg/wYW0OwbbJZG8ON87mbz0PgkiP3CdcACRSvU"
        "N0h8rvC0O3YcDtkTQtFWF/tcXq/KlVDyV49wmA==",
        {
            "tf-backend-wasm.min.js": "691bbec0ef8b5a7f17f212e9c5d85832"
            "030f90d030b46e99acb4dea1fb16f009",
            "tfjs-backend-wasm-simd.wasm": "77ebb28a6d34f371dbbf2086b7f2de89"
            "94acd8ea5a3cf1fa24d2c26c840cac7b",
        },
    ),
}


# ------------------------------------------------------------------------ the page


def write(generator, path, source="artwork", runtime=None, restorer=None):
    """Writes the page for a Keras generator to `path`, whole or not at all; returns it.

    generator: latents (n, d) -> pictures (n, s, s, 3 or 4) in [-1, 1], see `portable`
    source: the pictures that it learned from, for the words of the page
    runtime: what `fetch_runtime` returns; None fetches it
    restorer: a network (n, s, s, 4) -> (n, s, s, 4), such as those of `studio.restore`,
        which redraws the reader's own pictures; None: the page does without
    Raises ValueError for a generator that cannot be converted or is too large.
    """
    graph, weights = portable.convert(generator)
    if len(weights) > LARGEST_MODEL:
        raise ValueError(
            f"This generator takes {len(weights) / 1e6:.1f} MB; a page should not ask "
            f"for more than {LARGEST_MODEL / 1e6:.0f} MB. Train a narrower one, such "
            "as modern64."
        )
    redraw, redraw_weights = None, b""
    if restorer is not None:
        redraw, redraw_weights = portable.convert(restorer, coarse_kernels=True)
    runtime = dict(runtime or fetch_runtime())
    wasm = runtime.pop("tfjs-backend-wasm-simd.wasm")
    comment = rb"(?m)^//# sourceMappingURL=.*$"
    scripts = [re.sub(comment, b"", script) for script in runtime.values()]
    scripts += [(FOLDER / name).read_bytes() for name in ("network.js", "page.js")]
    size, channels = generator.output_shape[-2:]
    page = template.render(
        "hatchery/page.html",
        source,
        scripts=[script.decode() for script in scripts],
        wasm=True,
        facts={
            "size": size,
            "channels": channels,
            "dimensions": generator.input_shape[-1],
            "graph": graph,
            "redraw": redraw,
            "check": _check(generator),
        },
        weights=f"{generator.count_params():,}",
        version=VERSION,
        model=base64.b64encode(weights).decode(),
        redraw_model=base64.b64encode(redraw_weights).decode(),
        wasm_module=base64.b64encode(wasm).decode(),
    )
    files.write_text(path, page)
    return pathlib.Path(path)


def _check(generator):
    """Returns pixels of one creature, by which a browser checks its arithmetic."""
    count = 200
    latents = genome.latents(["check"], generator.input_shape[-1])
    values = np.asarray(generator(latents, training=False), "float32").reshape(-1)
    places = np.linspace(0, len(values) - 1, count).astype(int)
    return {
        "genome": "check",
        "places": places.tolist(),
        "values": [round(float(value), 4) for value in values[places]],
        "tolerance": 6 / 127.5,
        "allowed": count // 20,  # a palette may choose another colour here and there
    }


# ------------------------------------------------------------------------ the runtime


def fetch_runtime(folder=None):
    """Returns {file: bytes} of TensorFlow.js, fetched through npm the first time.

    Every file is checked against the hash written down here, kept or fetched. Kept in
    `folder`, by default data/tensorflowjs. Raises download.SourceUnavailable.
    """
    folder, runtime = folder or env.data_dir() / "tensorflowjs", {}
    for package, (sha512, hashes) in RUNTIME.items():
        paths = [folder / name for name in hashes if (folder / name).exists()]
        content = {path.name: path.read_bytes() for path in paths}
        if {n: files.sha256(data) for n, data in content.items()} != hashes:
            content = _fetch(package, sha512, hashes)
            for name, data in content.items():
                download.check(files.sha256(data), hashes[name], name)
                files.write_bytes(folder / name, data)
        runtime |= content
    return runtime


def _fetch(package, sha512, names):
    spec = f"@tensorflow/{package}@{VERSION}"
    wanted = download.Package(spec, f"sha512-{sha512}", "")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            tarball = download.npm_pack(wanted, pathlib.Path(scratch))
        except download.SourceUnavailable as error:
            reason = str(error).removesuffix(download.OFFLINE).strip()
            raise download.SourceUnavailable(
                f"The hatchery's runtime could not be fetched: {reason} Once it has "
                "been, no network is needed."
            ) from None
        inside = download.unpack(tarball, *(f"dist/{re.escape(n)}$" for n in names))
    return {name: inside[f"dist/{name}"] for name in names}
