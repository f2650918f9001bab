"""Named experiments: data, networks, loss, augmentation, optimisers and length.

A recipe is a frozen value. Change one with `dataclasses.replace(recipe, batch=32)`,
train one with `recipe.train("artwork")`.
"""

import dataclasses
import functools
import json
import math
import os
import pathlib
import re

import keras
import numpy as np

from pokeutils import (
    adam,
    augment,
    conditional,
    env,
    film,
    gan,
    guards,
    losses,
    models,
    plots,
    projected,
    recolour,
    seed_models,
    seeds,
    training,
)

FIELDS = {  # what some of a recipe's fields have to be, and whether a value is that
    "name": ("a plain word", lambda x: re.fullmatch(r"[\w.-]+", str(x))),
    "size": ("8 pixels or more", lambda x: x >= 8),
    "images": ("a positive number", lambda x: x > 0),
    "channels": ("3 or 4", lambda x: x in (3, 4)),
    "batch": ("a positive number", lambda x: x > 0),
    "learning_rates": (
        "two positive numbers",
        lambda x: np.shape(x) == (2,) and min(x) > 0,
    ),
    "decay": ("a share from 0 to 1", lambda x: 0 <= x <= 1),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, except its pictures and its seed.

    size: side in pixels; channels: 4 (premultiplied RGBA) or 3 (RGB on `background`)
    batch: pictures a step; images: pictures seen in a whole run
    learning_rates, betas: (generator, discriminator) and (beta 1, beta 2) of Adam
    decay: share of the run, at its end, over which the rates fall to a tenth (cosine)
    reshuffle: a new order every epoch; False repeats the first epoch's order and flips
    copies: changed copies of all pictures to add to them, see `recolour.with_copies`
    gate, two_phase: of the step, see `gan.GAN`
    fused_norm: False for Keras' own batch norm, to measure what the fused one is worth
    as_written: train although the generator cannot reach all colours, see `build`
    second: options of `projected.projected_discriminator` if such a one joins the plain
        one; None: it does not. second_weight, second_interval, warm_up, ramp: see
        `projected.HybridGAN`
    balanced: every species counts alike, however many pictures it has
    types: creatures of chosen types, from pictures whose types are known; rare types
        are shown more often than they come. type_weight: see
        `conditional.ConditionalGAN`
    source: the pictures of the seed; epochs, milestones: its length and the epochs
        whose pictures it shows, in epochs of its own
    """

    name: str
    size: int
    images: int
    generator: str = "pyramid_generator"
    generator_options: tuple = ()
    discriminator: str = "pyramid_discriminator"
    discriminator_options: tuple = ()
    channels: int = 4
    background: int = 255
    batch: int = 64
    loss: str = "nonsaturating"
    learning_rates: tuple = (2e-4, 2e-4)
    betas: tuple = (0.5, 0.99)
    decay: float = 0.0
    mirror: bool = True
    reshuffle: bool = True
    augment: tuple | None = None
    r1_gamma: float = 0.0
    r1_interval: int = 16
    ema_images: int | None = None
    copies: tuple = ()
    gate: float | None = None
    two_phase: bool = False
    fused_norm: bool = True
    as_written: bool = False
    second: tuple | None = None
    second_weight: float = 1.0
    second_interval: int = 1
    warm_up: int = 0
    ramp: int = 20_000
    balanced: bool = True
    types: bool = False
    type_weight: float = 0.0
    source: str = "artwork"
    epochs: int | None = None
    milestones: tuple = ()

    def __post_init__(self):
        for name, (wanted, fits) in FIELDS.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"A recipe has {wanted} as its {name}, not {value!r}.")

    def build(self, seed=0, dtype=None):
        """Returns a compiled `gan.GAN` with fresh weights from `seed`.

        dtype: a Keras dtype policy; by default the fastest safe one on this device.
        Raises ValueError if the generator cannot reach black or white, where most
        pictures are, unless `as_written` asks for it; for a second discriminator with
        types or without transparency; or for a batch that cannot be shared into the
        groups that the discriminator compares.
        """
        if self.second is not None and (self.types or self.channels != 4):
            raise ValueError(
                "A second discriminator knows no types and sees pictures on changing "
                "grounds: use types=False and channels=4, or second=None."
            )
        types = {"types": conditional.COUNT} if self.types else {}
        if self.batch <= 16:
            gan.two_operations_at_a_time()
        env.seed_everything(seed)
        outside = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype or env.training_dtype())
        try:
            generator = _network(self.generator)(
                size=self.size,
                channels=self.channels,
                **dict(self.generator_options),
                **types,
            )
            discriminator = _network(self.discriminator)(
                size=self.size,
                **{"channels": self.channels, **dict(self.discriminator_options)},
                **types,
            )
            if not self.fused_norm:
                generator = seed_models.unfused(generator)
                discriminator = seed_models.unfused(discriminator)
            kind = self._kind()
        finally:
            keras.config.set_dtype_policy(outside)
        if not self.as_written:
            seed_models.check_reach(generator)
        model = kind(
            generator,
            discriminator,
            augment=self._changes(discriminator),
            r1_gamma=self.r1_gamma,
            r1_interval=self.r1_interval,
            ema_images=self.ema_images,
            gate=self.gate,
            two_phase=self.two_phase,
            seed=seed,
        )
        if self.batch > model.members and self.batch % model.members:
            raise ValueError(
                f"A batch of {self.batch} cannot be shared into groups of "
                f"{model.members}, which the discriminator compares. Use a multiple of "
                f"{model.members}."
            )
        optimizers = [self._optimizer(rate) for rate in self.learning_rates]
        if self.second is not None:
            # It counts only the steps that it takes part in, yet ends with the others.
            rest = self.images - self.warm_up
            optimizers.append(
                self._optimizer(
                    self.learning_rates[1],
                    max(rest // (self.batch * self.second_interval), 1),
                    min(self.decay * self.images / max(rest, 1), 1.0),
                )
            )
        model.compile(*optimizers[:2], losses.get(self.loss), *optimizers[2:])
        return model

    def _kind(self):
        """`gan.GAN`, or the one with types, or with a second discriminator."""
        if self.types:
            return functools.partial(
                conditional.ConditionalGAN, type_weight=self.type_weight
            )
        if self.second is None:
            return gan.GAN
        return functools.partial(
            projected.HybridGAN,
            second=projected.projected_discriminator(self.size, **dict(self.second)),
            second_augment=augment.OnBackground(self._diff_augment()),
            second_losses=losses.get("hinge"),
            second_weight=self.second_weight,
            second_interval=self.second_interval,
            warm_up=self.warm_up,
            ramp=self.ramp,
        )

    def _changes(self, discriminator):
        """What is done to the pictures before the discriminator sees them."""
        if discriminator.input_shape[-1] == self.channels:
            return self._diff_augment()
        return augment.OnBackground(self._diff_augment())

    def _diff_augment(self):
        """What fills an RGB picture that is shifted: the colour of its ground."""
        ground = {"background": self.background / 127.5 - 1}
        return self.augment and augment.DiffAugment(**{**ground, **dict(self.augment)})

    def _optimizer(self, rate, steps=None, decay=None):
        """Adam. steps: those that it counts in a whole run, and decay: over which share
        of them, at their end, the rate falls; by default the recipe's own."""
        if self.decay:
            steps = steps or self.images // self.batch
            rate = adam.CosineTail(rate, steps, decay or self.decay)
        return adam.Adam(rate, beta_1=self.betas[0], beta_2=self.betas[1])

    def check(self, data):
        """Raises ValueError unless this recipe can learn from a prepared set."""
        if data.size != self.size:
            raise ValueError(
                f"{self.name} learns from pictures of {self.size} px, and these have "
                f"{data.size}. Use dataset.load({data.source!r}, {self.size})."
            )
        count = int(data.train.sum()) * (1 + len(self.copies))
        if count < self.batch:
            raise ValueError(
                f"{self.name} learns from {self.batch} pictures at a time, and "
                f"{data.source} has {count} to learn from. Add pictures, or use "
                f"dataclasses.replace(recipe, batch={2 ** int(math.log2(count))})."
            )
        self.labels(data)

    def pictures(self, data):
        """The training pictures of a prepared set, as this recipe wants them: uint8
        (n, size, size, channels)."""
        pictures = data.images[data.train]
        if self.channels == 3:
            pictures = plots.over(pictures, self.background)
        return recolour.with_copies(pictures, self.copies) if self.copies else pictures

    def weights(self, data):
        """How often to show each of `pictures`, relative to the others: float32 (n,);
        None: all alike."""
        if not (self.balanced or self.types):
            return None
        weights = data.weights[data.train]
        if not self.balanced:
            weights = np.ones_like(weights)
        if self.types:
            weights = weights * conditional.rarity(data.types[data.train], weights)
        return np.tile(weights, 1 + len(self.copies))

    def labels(self, data):
        """The types of each of `pictures`: float32 (n, 18); None without `types`.

        Raises ValueError if fewer than half of them are known.
        """
        if not self.types:
            return None
        types = data.types[data.train]
        conditional.check_known(types, data.source, self.name)
        return np.tile(types, (1 + len(self.copies), 1))

    def shown(self):
        """{epoch of the seed: images seen} of its milestones, on this run's scale."""
        return {e: round(self.images * e / self.epochs) for e in self.milestones}

    def train(
        self, source=None, seed=0, run=None, halve_batch=False, show=print, **options
    ):
        """Trains on a picture set and returns the run folder. The same call starts a
        run or goes on with it, bit for bit, after whatever ended it.

        source: the pictures; None for the recipe's own.
        run: None: the newest run of this recipe, seed and pictures if it is unfinished,
            or a new one; "new": always a new one; a folder or its name: that one.
        show: takes the lines that are printed, and `flush=True` with some of them.
        halve_batch: when the memory is too small for the batch, try half of it.
        options: `minutes` and others, see `training.Training`.
        """
        recipe, source = self, source or self.source
        while True:
            try:
                run = training.train(recipe, source, seed, run, show, **options)
                break
            except guards.OutOfMemory as error:
                if not (halve_batch and error.new and recipe.batch > 1):
                    raise
                show(f"{error} Trying that.")
            recipe = dataclasses.replace(recipe, batch=recipe.batch // 2)
        if self.milestones and run:  # not in a second process of one training
            film.write(run, self.shown())
        return run


def _network(name):
    """The function of `models` or `projected` that builds the network `name`."""
    found = getattr(models, name, None) or getattr(projected, name, None)
    if found is None:
        raise ValueError(
            f"No network {name!r}. Use a function of pokeutils.models or "
            "pokeutils.projected, such as 'pyramid_generator'."
        )
    return found


# The recipes --------------------------------------------------------------------------

CPU_IMAGES = 60_000  # of a recipe that would take days on a CPU

# Those of the seeds, documented in `seeds`.
SEEDS = [
    Recipe(**{"name": name, "balanced": False, **system()})
    for name, system in seeds.SYSTEMS.items()
] + [Recipe(balanced=False, **seeds.sprites64(as_written=True))]

COLOUR = (("brightness", 0.2), ("saturation", 0.5), ("contrast", 0.3))

MODERN64 = Recipe(
    name="modern64",
    size=64,
    images=1_500_000,
    generator_options=(("widths", (144, 80, 48)), ("start", 8)),
    batch=8,  # what counts is steps: half the images of a batch of 32 get as far
    learning_rates=(2.5e-4, 2.5e-4),
    r1_gamma=0.3,
    decay=0.3,
    augment=(*COLOUR, ("translation", 0.125)),
    ema_images=15_000,
)

# Two discriminators: the plain one, and after 15,000 images, in every other step, one
# that has seen ImageNet. With a quarter of its weight, tried once for 14,000 images
# after 202,464, KID x 1000 is 78 by Inception instead of 65 (+- 3), and 93 % of the
# creatures are in one piece instead of 90 %.
HYBRID64 = dataclasses.replace(
    MODERN64,
    name="hybrid64",
    images=1_500_000,
    learning_rates=(5e-4, 5e-4),  # ahead of half of them by all judges of the sweep
    decay=0.86,  # at the full rates KID came to a stand after 130,000 images
    second=(("input_size", 96),),
    second_interval=2,
    warm_up=15_000,
    ramp=10_000,
)

# Only the one that has seen ImageNet, as in Projected GAN. Tried once, for 30,000
# images, it was always right, and the samples were red patches on green (notebook 7).
PROJECTED64 = dataclasses.replace(
    MODERN64,
    name="projected64",
    discriminator="projected_discriminator",
    discriminator_options=(("channels", 3), ("input_size", 96)),
    loss="hinge",
    r1_gamma=0.0,
    betas=(0.0, 0.99),
)

# Pixel art: every picture is painted with 16 flat colours of its own choice.
PIXELS32 = Recipe(
    name="pixels32",
    source="sprites",
    size=32,
    images=400_000,
    generator_options=(
        ("widths", (128, 64)),
        ("detail", 32),
        ("start", 8),
        ("palette", 16),
    ),
    discriminator_options=(("widths", (48, 96, 128)),),
    batch=32,
    learning_rates=(2.5e-4, 2.5e-4),
    decay=0.3,
    r1_gamma=0.3,
    augment=(*COLOUR, ("translation", 0.125)),
    ema_images=10_000,
)

PIXELS64 = dataclasses.replace(
    MODERN64,
    name="pixels64",
    source="sprites",
    generator_options=(*MODERN64.generator_options, ("palette", 16)),
)

# The same idea at 32 px, for five minutes on two CPU cores: small batches for many
# steps, and no augmentation, which pays only after far more pictures than these.
QUICK32 = Recipe(
    name="quick32",
    size=32,
    images=40_000,
    generator_options=(("widths", (128, 64)), ("detail", 32), ("start", 8)),
    discriminator_options=(("widths", (48, 96, 128)),),
    batch=16,
    learning_rates=(3e-4, 3e-4),
    decay=0.3,
    r1_gamma=0.3,
    ema_images=5_000,
)

# Creatures of chosen types.
TYPES32 = dataclasses.replace(
    QUICK32, name="types32", images=60_000, types=True, type_weight=1.0
)
TYPES64 = dataclasses.replace(MODERN64, name="types64", types=True, type_weight=1.0)

# For tests: all parts, hardly any work.
TINY16 = Recipe(
    name="tiny16",
    size=16,
    images=640,
    generator_options=(("latent_dim", 16), ("widths", (8, 8)), ("detail", 8)),
    discriminator_options=(("widths", (8, 8)),),
    batch=32,
    r1_gamma=0.1,
    ema_images=200,
    augment=(("translation", 0.125),),
)

RECIPES = {
    r.name: r
    for r in (
        *SEEDS,
        MODERN64,
        HYBRID64,
        PROJECTED64,
        PIXELS32,
        PIXELS64,
        QUICK32,
        TYPES32,
        TYPES64,
        TINY16,
    )
}


def get(name, **options):
    """Returns the recipe called `name`. Raises ValueError for an unknown name, or
    for options of one that takes none.

    options: arguments of the seed's function in `seeds`, such as `kernel=5`.
    """
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}. Choose one of {sorted(RECIPES)}.")
    if not options:
        return RECIPES[name]
    if name not in seeds.SYSTEMS:
        raise ValueError(f"{name} takes no options. Use dataclasses.replace(it, ...).")
    return Recipe(**{"name": name, "balanced": False, **seeds.SYSTEMS[name](**options)})


def read(path):
    """Returns (recipe, source, seed) of the run that a params.json tells of, or of the
    trained generator that a card such as outputs/pretrained/hybrid64.json belongs to.

    `recipe.train(source, seed)` makes that run again (how exactly: outputs/README.md).
    Raises ValueError if the file is something else, or of a version with other fields.
    """
    try:
        params = json.loads(pathlib.Path(path).read_text("utf-8"))
        fields, seed = params["recipe"], params["seed"]
        source = params["data"]["source"]
        recipe = Recipe(**{name: _frozen(value) for name, value in fields.items()})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} does not say how to train ({error}). Expected the params.json of "
            "a run folder of this version, or the card of a generator."
        ) from error
    return recipe, source, seed


def _frozen(value):
    """Lists as JSON has them, as the tuples that a recipe has."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def for_profile():
    """Returns the recipe that the notebooks train in the current profile.

    POKEUTILS_RECIPE names another: it is trained at its own length in the full profile,
    and for `CPU_IMAGES` in the quick one.
    """
    name = os.environ.get("POKEUTILS_RECIPE")
    if not name:
        return env.pick(tiny=TINY16, quick=QUICK32, full=MODERN64)
    recipe = get(name)
    images = env.pick(tiny=2 * recipe.batch, quick=CPU_IMAGES, full=recipe.images)
    return dataclasses.replace(recipe, images=min(images, recipe.images))
