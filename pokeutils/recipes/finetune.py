"""A recipe for pictures of your own: it goes on from a pretrained generator.

Twenty pictures are too few to learn what a body is; a generator that knows it has to
learn only what is special about them. Everything is gentler than in a training from
nothing: small rates, the discriminator's first layers frozen (FreezeD, Mo et al. 2020),
and pictures changed the more, the surer the discriminator grows of them.
"""

import dataclasses

from pokeutils.common import backbones, env, saved
from pokeutils.recipes import catalogue, modern

FLAGSHIP = "flagship"
MINUTES = 10.0
RATES = (3e-4, 3e-4)
FROZEN = 2  # layers of the discriminator, those that see edges and spots
ADAPT = (0.6, 3_000)  # see `hybrid.HybridGAN`; images until the changes are the largest
EASE_IN = 3_000  # images in which discriminators that begin anew may learn first
# Images per second of two CPU cores: the rates have to fall within the given minutes.
# A GPU sees more, and needs no more: what follows is learning by heart.
PACE, PLAIN_PACE = 30, 60


def recipe(start=FLAGSHIP, minutes=MINUTES, show=print):
    """Returns the `Recipe` that goes on from a pretrained generator, and from its
    discriminators where they were kept, for about so many minutes of two CPU cores.
    Without the network that a second discriminator looks through, the first one has to
    do, which `show` says. Raises ValueError for a name that is not in `starts`."""
    names = starts()
    if start != FLAGSHIP and start not in names:
        known = ", ".join([FLAGSHIP, *names])
        raise ValueError(f"No trained generator {start!r} to start from: use {known}.")
    name = names[0] if start == FLAGSHIP else start
    trained, _, _ = catalogue.read(saved.folder() / f"{name}.json")
    known = "discriminators" in saved.card(name)
    changes = {
        "name": f"from-{name}",
        "images": _images(minutes, PACE, trained.batch),
        "learning_rates": RATES,
        "decay": 0.5,
        "warm": name,
        "ease_in": 0 if known else EASE_IN,
        "freeze": FROZEN if known else 0,
        "source": "tuxemon",
    }
    if trained.second is not None:
        ramp = {"warm_up": 0, "ramp": 0 if known else EASE_IN}
        changes |= {"adapt": ADAPT, "augment": modern.STRONG, **ramp}
        if not _has_lite0(show):
            changes |= {"adapt": None, "second": None}
    return dataclasses.replace(trained, **changes)


def starts():
    """Returns the names of the generators to start from, unfinished ones as well. First
    come those whose discriminators were kept."""
    stems = [path.stem for path in saved.folder().glob("*.keras")]
    cards = {stem: saved.card(stem) for stem in stems}
    names = [n for n in cards if cards[n].get("kind") in (None, "unfinished")]
    alone = {n: "discriminators" not in cards[n] for n in names}
    return sorted(names, key=lambda name: (alone[name], name != saved.FLAGSHIP, name))


def from_nothing(minutes=MINUTES):
    """Returns the recipe to compare with: the best one here that needs no start."""
    images = _images(minutes, PLAIN_PACE, modern.MODERN64.batch)
    return dataclasses.replace(
        modern.MODERN64, name="from-nothing", images=images, source="tuxemon"
    )


def _has_lite0(show):
    requirement, file, _ = backbones.LITE0
    try:
        env.need(file.partition("/")[0], requirement, show)
    except RuntimeError as error:
        show(f"The second discriminator is left out: {error}")
        return False
    return True


def _images(minutes, pace, batch):
    images = env.pick(tiny=2 * batch, quick=0, full=0) or 60 * minutes * pace
    return max(int(images), 2 * batch)
