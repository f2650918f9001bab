"""Write the hatchery, a page in which a generator runs: what `make hatchery` calls.

    python tools/hatchery.py                     the pretrained one
    python tools/hatchery.py --if-missing        unless it is there
    python tools/hatchery.py --run 007-modern64  one of your own

The first two write outputs/hatchery/index.html, the last outputs/latest/hatchery.html.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from pokeutils.common import env, saved  # noqa: E402
from pokeutils.studio import restore  # noqa: E402
from pokeutils.training import runs  # noqa: E402
from pokeutils.web.hatchery import build  # noqa: E402


def main(arguments=None):
    """Writes the page of the pretrained generator, or of a run.

    Returns 0, or 1 if that is not there or cannot have a page, or if what the page
    needs cannot be fetched.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="a run folder, or its name")
    parser.add_argument(
        "--if-missing",
        action="store_true",
        help="only if the pretrained generator has no page yet, or an older one",
    )
    options = parser.parse_args(arguments)
    path, source = env.outputs_dir() / "hatchery" / "index.html", "artwork"
    try:
        if options.run:
            run = runs.find_run(options.run)
            path = env.outputs_dir() / "latest" / "hatchery.html"
            source = runs.read_params(run).get("data", {}).get("source", source)
            generator = saved.load_generator(run / "generator.keras")
        elif options.if_missing and up_to_date(path):
            return 0
        else:
            generator = saved.pretrained()
        build.write(generator, path, source, restorer=restore.pretrained())
    except (RuntimeError, OSError, ValueError) as error:
        print(f"No hatchery: {error}", file=sys.stderr)
        return 1
    env.say(f"Hatchery   {path} ({path.stat().st_size / 1e6:.1f} MB)")
    env.say(f"           {path.resolve().as_uri()}")
    return 0


def up_to_date(page):
    """Tells whether `page` is there and not older than the networks in it."""
    paths = [saved.folder() / f"{name}.keras" for name in (saved.FLAGSHIP, "restore64")]
    made = [path.stat().st_mtime for path in paths if path.exists()]
    return page.exists() and page.stat().st_mtime >= max(made)


if __name__ == "__main__":
    sys.exit(main())
