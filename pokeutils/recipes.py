"""Named experiments: data, networks, loss, augmentation, optimisers and length.

A recipe is a frozen value. Change one with `dataclasses.replace(recipe, batch=32)`,
train one with `recipe.train("artwork")`.
"""

import dataclasses
import json
import math

import keras

from pokeutils import (
    augment,
    callbacks,
    dataset,
    env,
    files,
    gan,
    losses,
    models,
    plots,
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a run, except its pictures and its seed.

    size: side in pixels; channels: 4 (premultiplied RGBA) or 3 (RGB on `background`)
    batch: pictures a step; images: pictures seen in a whole run
    learning_rates, betas: (generator, discriminator) and (beta 1, beta 2) of Adam
    decay: share of the run, at its end, over which the rates fall to a tenth (cosine)
    reshuffle: a new order every epoch; False repeats the first epoch's order and flips
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

    def build(self, seed=0, dtype=None):
        """Returns a compiled `gan.GAN` with fresh weights from `seed`.

        dtype: a Keras dtype policy; by default the fastest safe one on this device.
        """
        env.seed_everything(seed)
        outside = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype or fastest_dtype())
        try:
            generator = getattr(models, self.generator)(
                size=self.size, channels=self.channels, **dict(self.generator_options)
            )
            discriminator = getattr(models, self.discriminator)(
                size=self.size,
                channels=self.channels,
                **dict(self.discriminator_options),
            )
        finally:
            keras.config.set_dtype_policy(outside)
        changes = (
            None if self.augment is None else augment.DiffAugment(**dict(self.augment))
        )
        model = gan.GAN(
            generator,
            discriminator,
            augment=changes,
            r1_gamma=self.r1_gamma,
            r1_interval=self.r1_interval,
            ema_images=self.ema_images,
            seed=seed,
        )
        model.compile(
            *(self._optimizer(rate) for rate in self.learning_rates),
            losses=losses.get(self.loss),
        )
        return model

    def _optimizer(self, rate):
        if self.decay:
            rate = CosineTail(rate, self.images // self.batch, self.decay)
        return keras.optimizers.Adam(rate, beta_1=self.betas[0], beta_2=self.betas[1])

    def pictures(self, data):
        """The training pictures of a prepared set, as this recipe wants them: uint8
        (n, size, size, channels)."""
        pictures = data.images[data.train]
        if self.channels == 3:
            pictures = plots.over(pictures, self.background)
        return pictures

    def train(self, source="artwork", seed=0, run=None, minutes=None, show=print):
        """Trains on a picture set and returns the run folder.

        run: an existing run folder to go on with, bit for bit; None starts a new one.
        minutes: stop after that time, even if `images` are not reached.
        """
        data = dataset.load(source, self.size)
        model = self.build(seed)
        if run is None:
            run = start_run(self, data, seed)
        else:
            check_params(run, self, data, seed)
            if not callbacks.load_state(model, run):
                show(f"{run.name} has no checkpoint yet: starting from the beginning.")
        fit(self, model, data, run, seed, minutes, show)
        return run


def start_run(recipe, data, seed):
    """Makes a run folder for `recipe` on the prepared set `data`; fills params.json."""
    run = callbacks.new_run(recipe.name)
    files.write_json(run / "params.json", params(recipe, data, seed))
    pictures = data.images[data.train][: callbacks.GRID]
    plots.save_png(run / "samples" / "reals.png", plots.tile(pictures))
    return run


def params(recipe, data, seed):
    """What has to be known to make a run again, as a dict for params.json."""
    return {
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "data": {
            "source": data.source,
            "size": data.size,
            "pictures": len(data.images),
            "training_pictures": int(data.train.sum()),
            "fingerprint": data.fingerprint,
        },
        "backend": env.backend(),
        "dtype": fastest_dtype(),
        "device": env.device_name(),
        "versions": env.versions(),
        "git_commit": env.git_commit(),
    }


def check_params(run, recipe, data, seed):
    """Raises ValueError with the differences if `run` was made from something else."""
    before = callbacks.read_params(run)
    now = json.loads(json.dumps(params(recipe, data, seed)))
    differences = [
        f"{key}.{name}: was {before[key].get(name)!r}, now {value!r}"
        for key in ("recipe", "data")
        for name, value in now[key].items()
        if before[key].get(name) != value
    ]
    if before["seed"] != seed:
        differences.append(f"seed: was {before['seed']}, now {seed}")
    if differences:
        raise ValueError(
            f"{run.name} cannot go on, it was started differently: "
            + "; ".join(differences)
            + ". Use the same values, or start a new run."
        )


def fit(recipe, model, data, run, seed=0, minutes=None, show=print):
    """Trains `model` to the end of `recipe` (or of `minutes`), filling `run`."""
    pictures = recipe.pictures(data)
    dataset.check_range(data.images)
    steps_per_epoch = max(len(pictures) // recipe.batch, 1)
    epochs = math.ceil(recipe.images / (steps_per_epoch * recipe.batch))
    make = dataset.numpy_batches if env.backend() == "jax" else dataset.batches
    done = int(model.steps)
    watchers = [
        callbacks.Guard(),
        callbacks.Log(run, recipe.batch, recipe.images, show=show),
        callbacks.Samples(run, recipe.batch, recipe.images),
        callbacks.Checkpoint(run),
    ]
    if minutes:
        watchers.append(callbacks.TimeLimit(minutes, show=show))
    return model.fit(
        make(
            pictures,
            recipe.batch,
            epochs * steps_per_epoch - done,
            seed,
            mirror=recipe.mirror,
            reshuffle=recipe.reshuffle,
            start=done,
        ),
        steps_per_epoch,
        epochs,
        initial_epoch=done // steps_per_epoch,
        callbacks=watchers,
    )


def fastest_dtype():
    """The dtype policy that recipes use here. Cards that know float16 only (T4) compute
    in float32 for now: float16 would need loss scaling in both optimisers."""
    dtype = env.compute_dtype()
    return "float32" if dtype == "mixed_float16" else dtype


@keras.saving.register_keras_serializable(package="pokeutils")
class CosineTail(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, then over the last `share` of `steps` a cosine down to a tenth."""

    def __init__(self, rate, steps, share):
        self.rate, self.steps, self.share = rate, steps, share

    def __call__(self, step):
        tail = self.steps * self.share
        position = (keras.ops.cast(step, "float32") - (self.steps - tail)) / tail
        position = keras.ops.clip(position, 0.0, 1.0)
        cosine = 0.5 * (1.0 + keras.ops.cos(math.pi * position))
        return self.rate * (0.1 + 0.9 * cosine)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps, "share": self.share}


# The recipes --------------------------------------------------------------------------

RGBA80 = Recipe(
    name="rgba80",
    size=80,
    images=4200 * 128,
    generator="tutorial_generator",
    discriminator="tutorial_discriminator",
    batch=128,
    loss="half_bce",
    learning_rates=(1e-4, 1e-4),
    betas=(0.9, 0.999),
    reshuffle=False,
)

COLOUR = (("brightness", 0.2), ("saturation", 0.5), ("contrast", 0.3))

MODERN64 = Recipe(
    name="modern64",
    size=64,
    images=1_500_000,
    r1_gamma=0.3,
    decay=0.3,
    augment=(*COLOUR, ("translation", 0.125)),
    ema_images=15_000,
)

# The same idea at 32 px, for five minutes on two CPU cores: small batches for many
# steps, and no augmentation, which pays only after far more pictures than these.
QUICK32 = Recipe(
    name="quick32",
    size=32,
    images=40_000,
    generator_options=(("widths", (192, 128, 64)), ("detail", 32)),
    discriminator_options=(("widths", (48, 96, 128)),),
    batch=16,
    learning_rates=(3e-4, 3e-4),
    decay=0.3,
    r1_gamma=0.3,
    ema_images=5_000,
)

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

RECIPES = {r.name: r for r in (RGBA80, MODERN64, QUICK32, TINY16)}


def get(name):
    """Returns the recipe called `name`. Raises ValueError for an unknown name."""
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}. Choose one of {sorted(RECIPES)}.")
    return RECIPES[name]


def for_profile():
    """Returns the recipe that the notebooks train in the current profile."""
    return env.pick(tiny=TINY16, quick=QUICK32, full=MODERN64)
