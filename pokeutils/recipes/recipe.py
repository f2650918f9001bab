"""A recipe: everything that decides a training, except its pictures and its seed."""

import dataclasses
import math
import random
import re

import keras
import numpy as np

from pokeutils import augment, gan, layers, losses, models, sampling
from pokeutils.common import device, images, saved
from pokeutils.data import recolour
from pokeutils.recipes import adam, hybrid, rebuilt, rebuilt_networks, typed

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
    "freeze": ("a number of layers", lambda x: x >= 0),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, except its pictures and its seed.

    size: side in pixels; channels: 4 (premultiplied RGBA) or 3 (RGB on `background`)
    batch: pictures per step; images: pictures seen in a whole run
    learning_rates, betas: (generator, discriminator) and (beta 1, beta 2) of Adam
    decay: share of the run, at its end, over which the rates fall to a tenth (cosine)
    warm: the pretrained generator to go on from, see `saved.warm`; ease_in: images over
        which the generator's rate grows from 0, for new discriminators to learn in
    freeze: how many of the discriminator's layers, from the picture on, are not trained
    reshuffle: a new order every epoch; False repeats the first epoch's order and flips
    copies: changed copies of all pictures to add to them, see `recolour.with_copies`
    gate, two_phase: of the step, see `rebuilt.RebuiltGAN`
    as_written: train although the generator cannot reach all colours
    second: options of `hybrid.projected_discriminator`, None without such a one;
        second_weight, second_interval, warm_up, ramp, adapt: see
        `hybrid.HybridGAN`, but adapt is (target, images)
    balanced: every species counts alike, however many pictures it has
    types: learn from types; type_weight: see `typed.ConditionalGAN`
    source: the pictures that it is for
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
    warm: str | None = None
    ease_in: int = 0
    freeze: int = 0
    mirror: bool = True
    reshuffle: bool = True
    augment: tuple | None = None
    r1_gamma: float = 0.0
    r1_interval: int = 16
    ema_images: int | None = None
    copies: tuple = ()
    gate: float | None = None
    two_phase: bool = False
    as_written: bool = False
    second: tuple | None = None
    second_weight: float = 1.0
    second_interval: int = 1
    warm_up: int = 0
    ramp: int = 20_000
    adapt: tuple | None = None
    balanced: bool = True
    types: bool = False
    type_weight: float = 0.0
    source: str = "artwork"

    def __post_init__(self):
        for name, (wanted, fits) in FIELDS.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"A recipe has {wanted} as its {name}, not {value!r}.")

    def build(self, seed=0, dtype=None, step=None):
        """Returns a compiled `gan.GAN`, or a subclass, with fresh weights from `seed`.

        dtype: a Keras dtype policy; by default the fastest safe one on this device.
        step: a class whose methods go before those of the GAN (`training.devices`).
        Raises ValueError for what cannot be built, or trained.
        """
        if self.second is not None and (self.types or self.channels != 4):
            raise ValueError(
                "A second discriminator knows no types and sees pictures on changing "
                "backgrounds: use types=False and channels=4, or second=None."
            )
        dtype = dtype or device.training_dtype()

        # Initialisers draw their seeds from Python's generator: ours, for the moment.
        outside, policy = random.getstate(), keras.config.dtype_policy()
        random.seed(seed)
        keras.config.set_dtype_policy(dtype)
        try:
            generator, discriminator = self._networks()
            kind, options = self._kind()
        finally:
            keras.config.set_dtype_policy(policy)
            random.setstate(outside)
        if not self.as_written:
            rebuilt_networks.check_reach(generator)
        self._check_groups(discriminator)

        if step is not None:
            kind = type(f"{step.__name__}{kind.__name__}", (step, kind), {})
        model = kind(
            generator,
            discriminator,
            augment=self._augmentation(discriminator.input_shape[-1]),
            r1_gamma=self.r1_gamma,
            r1_interval=self.r1_interval,
            ema_images=self.ema_images,
            seed=seed,
            **options,
        )
        if self.warm:
            saved.warm(model, self.warm)
        layers_with_weights = [x for x in discriminator.layers if x.weights]
        for layer in layers_with_weights[: self.freeze]:
            layer.trainable = False
        g_optimizer, d_optimizer, *more = self._optimizers(dtype)
        model.compile(g_optimizer, d_optimizer, self.losses(), *more)
        return model

    def losses(self):
        """The pair (discriminator_loss, generator_loss) that `loss` names."""
        return losses.get(self.loss, rebuilt.LOSSES)

    def _networks(self):
        """The generator and the discriminator, with fresh weights."""
        types = {"types": typed.COUNT} if self.types else {}
        options = {"channels": self.channels, **types}
        generator = _network(self.generator)(
            self.size, **{**options, **dict(self.generator_options)}
        )
        discriminator = _network(self.discriminator)(
            self.size, **{**options, **dict(self.discriminator_options)}
        )
        return generator, discriminator

    def _kind(self):
        """The class of GAN that this recipe needs, and its own arguments."""
        if self.types:
            return typed.ConditionalGAN, {"type_weight": self.type_weight}
        if self.second is not None:
            return hybrid.HybridGAN, {
                "second": hybrid.projected_discriminator(
                    self.size, **dict(self.second)
                ),
                "second_augment": self._augmentation(channels=3),
                "second_losses": losses.get("hinge"),
                "second_weight": self.second_weight,
                "second_interval": self.second_interval,
                "warm_up": self.warm_up,
                "ramp": self.ramp,
                "adapt": self.adapt and (self.adapt[0], self.adapt[1] / self.batch),
            }
        if self.gate is not None or self.two_phase or self.loss in rebuilt.LOSSES:
            return rebuilt.RebuiltGAN, {"gate": self.gate, "two_phase": self.two_phase}
        return gan.GAN, {}

    def _augmentation(self, channels):
        """What is done to pictures before a discriminator of `channels` sees them."""
        augmentation = None
        if self.augment is not None:
            empty = self.background / 127.5 - 1  # what is shifted into an RGB picture
            options = {"background": empty, **dict(self.augment)}
            augmentation = augment.DiffAugment(**options)
        if channels == self.channels:
            return augmentation
        return augment.OnBackground(augmentation)

    def _check_groups(self, discriminator):
        kind = layers.MinibatchStdDev
        groups = [x.group for x in discriminator.layers if isinstance(x, kind)]
        group = max(groups, default=1)
        if self.batch > group and self.batch % group:
            raise ValueError(
                f"A batch of {self.batch} cannot be shared into groups of {group}, "
                f"which the discriminator compares. Use a multiple of {group}."
            )

    def _optimizers(self, dtype):
        """Adam for each network; with loss scaling in float16."""
        first, second = self.learning_rates
        adams = [self._adam(first, ease_in=self.ease_in), self._adam(second)]
        if dtype == "mixed_float16":
            adams = [keras.optimizers.LossScaleOptimizer(adam) for adam in adams]
        if self.second is not None:
            # It counts only the steps that it takes part in, yet ends with the others.
            rest = self.images - self.warm_up
            steps = max(rest // (self.batch * self.second_interval), 1)
            decay = min(self.decay * self.images / max(rest, 1), 1.0)
            adams.append(self._adam(self.learning_rates[1], steps, decay))
        return adams

    def _adam(self, rate, steps=None, decay=None, ease_in=0):
        """steps: of a whole run; decay: the share of them, at their end, over which the
        rate falls; by default the recipe's own. ease_in: see `Recipe`."""
        if self.decay or ease_in:
            steps = steps or self.images // self.batch
            ease_in = ease_in // self.batch
            rate = CosineTail(rate, steps, decay or self.decay, ease_in)
        return adam.Adam(rate, beta_1=self.betas[0], beta_2=self.betas[1])

    def check(self, data):
        """Raises ValueError unless this recipe can learn from a prepared set."""
        if data.size != self.size:
            raise ValueError(
                f"{self.name} learns from pictures of {self.size} px, and these have "
                f"{data.size}. Use dataset.load({data.source!r}, {self.size})."
            )
        self.labels(data)

    def pictures(self, data):
        """The training pictures of a set, as this recipe wants them: uint8 (n, ...)."""
        pictures = data.images[data.train]
        if self.channels == 3:
            pictures = images.over(pictures, self.background)
        return recolour.with_copies(pictures, self.copies) if self.copies else pictures

    def weights(self, data):
        """How often to show each of `pictures`: float32 (n,); None: all alike."""
        if not (self.balanced or self.types):
            return None
        weights = data.weights[data.train]
        if not self.balanced:
            weights = np.ones_like(weights)
        if self.types:
            weights = weights * typed.rarity(data.types[data.train], weights)
        return np.tile(weights, 1 + len(self.copies))

    def labels(self, data):
        """The types of each of `pictures`: float32 (n, 18); None without `types`."""
        if not self.types:
            return None
        types = data.types[data.train]
        typed.check_known(types, data.source, self.name)
        return np.tile(types, (1 + len(self.copies), 1))

    def inputs(self, model, data, count):
        """What the `count` samples that a run shows are made of: latents (count, d)."""
        return sampling.draw(count, model.latent_dim)


class CosineTail(keras.optimizers.schedules.LearningRateSchedule):
    """From 0 over the first `ease_in` steps, then constant, then over the last `share`
    of `steps` a cosine down to a tenth."""

    def __init__(self, rate, steps, share, ease_in=0):
        self.rate, self.steps, self.share = rate, steps, share
        self.ease_in = ease_in

    def __call__(self, step):
        step, tail = keras.ops.cast(step, "float32"), max(self.steps * self.share, 1)
        position = keras.ops.clip((step - (self.steps - tail)) / tail, 0.0, 1.0)
        cosine = 0.5 * (1.0 + keras.ops.cos(math.pi * position))
        rate = self.rate * (0.1 + 0.9 * cosine)
        if self.ease_in:
            rate = rate * keras.ops.minimum(step / self.ease_in, 1.0)
        return rate


def _network(name):
    """The function of `models`, `rebuilt_networks` or `hybrid` of that name."""
    places = models, rebuilt_networks, hybrid
    found = next((getattr(m, name) for m in places if hasattr(m, name)), None)
    if found is None:
        raise ValueError(
            f"No network {name!r}. Use a function of pokeutils.models or "
            "pokeutils.recipes.hybrid, such as 'pyramid_generator'."
        )
    return found
