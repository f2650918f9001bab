"""A recipe: everything that decides a training, except its pictures and its seed."""

import dataclasses
import functools
import math
import re

import keras
import numpy as np

from pokeutils import augment, gan, losses, models
from pokeutils.common import device, images
from pokeutils.data import recolour
from pokeutils.recipes import adam, hybrid, rebuilt_networks, typed
from pokeutils.training import guards, loop, runs

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
    second: options of `hybrid.projected_discriminator` if such a one joins the plain
        one; None: it does not. second_weight, second_interval, warm_up, ramp: see
        `hybrid.HybridGAN`
    balanced: every species counts alike, however many pictures it has
    types: creatures of chosen types, from pictures whose types are known; rare types
        are shown more often than they come. type_weight: see
        `typed.ConditionalGAN`
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
        types = {"types": typed.COUNT} if self.types else {}
        if self.batch <= 16:
            gan.two_operations_at_a_time()
        device.seed_everything(seed)
        outside = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype or device.training_dtype())
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
                generator = rebuilt_networks.unfused(generator)
                discriminator = rebuilt_networks.unfused(discriminator)
            kind = self._kind()
        finally:
            keras.config.set_dtype_policy(outside)
        if not self.as_written:
            rebuilt_networks.check_reach(generator)
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
            return functools.partial(typed.ConditionalGAN, type_weight=self.type_weight)
        if self.second is None:
            return gan.GAN
        return functools.partial(
            hybrid.HybridGAN,
            second=hybrid.projected_discriminator(self.size, **dict(self.second)),
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
            pictures = images.over(pictures, self.background)
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
            weights = weights * typed.rarity(data.types[data.train], weights)
        return np.tile(weights, 1 + len(self.copies))

    def labels(self, data):
        """The types of each of `pictures`: float32 (n, 18); None without `types`.

        Raises ValueError if fewer than half of them are known.
        """
        if not self.types:
            return None
        types = data.types[data.train]
        typed.check_known(types, data.source, self.name)
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
        options: `minutes` and others, see `loop.Training`.
        """
        recipe, source = self, source or self.source
        while True:
            try:
                run = loop.train(recipe, source, seed, run, show, **options)
                break
            except guards.OutOfMemory as error:
                if not (halve_batch and error.new and recipe.batch > 1):
                    raise
                show(f"{error} Trying that.")
            recipe = dataclasses.replace(recipe, batch=recipe.batch // 2)
        if self.milestones and run:  # not in a second process of one training
            runs.write(run, self.shown())
        return run


def _network(name):
    """The function of `models` or `hybrid` that builds the network `name`."""
    places = models, rebuilt_networks, hybrid
    found = next((getattr(m, name) for m in places if hasattr(m, name)), None)
    if found is None:
        raise ValueError(
            f"No network {name!r}. Use a function of pokeutils.models or "
            "pokeutils.recipes.hybrid, such as 'pyramid_generator'."
        )
    return found
