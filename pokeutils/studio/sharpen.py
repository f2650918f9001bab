"""A small network that makes washed-out pictures crisp, at the same size or twice that.

It has never seen a pair of a bad and a good sample, for there are none: it learns to
undo what `degrade` does to real pictures, and is then shown what generators draw.
"""

import contextlib
import json

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from PIL import Image

from pokeutils.common import env, files, images
from pokeutils.common.saved import load_network
from pokeutils.data import dataset
from pokeutils.layers import SpectralConv2D
from pokeutils.studio import degrade, flaws

CROP = 32  # px: it learns on pieces of this size, and works on pictures of any
KEEP, LIKE = 0.5, 0.1  # weights: coarse colours of samples stay; the critic's liking
WIDTH, CRITIC = 24, 32  # channels of the first layers: of the sharpener, of its critic


def network(scale=1):
    """Returns an untrained sharpener: premultiplied RGBA in [-1, 1] (n, s, s, 4) ->
    (n, scale * s, scale * s, 4), s a multiple of 4; about 250,000 weights.

    A small U-Net (Ronneberger et al. 2015) that sees 40 px around each pixel and says
    what to add to the picture; untrained, it adds next to nothing. scale: 1 or 2.
    """
    if scale not in (1, 2):
        raise ValueError(f"scale={scale}: the sharpener keeps the size or doubles it.")

    def conv(x, filters, kernel=3, strides=1):
        options = dict(padding="same", activation="relu")
        return layers.Conv2D(filters, kernel, strides, **options)(x)

    def twice(x, filters):
        # Pieces that do not overlap leave no checkerboard.
        return layers.Conv2DTranspose(filters, 2, 2, activation="relu")(x)

    def block(x, filters):
        return layers.Add()([x, conv(conv(x, filters), filters)])

    picture, width = keras.Input((None, None, 4)), WIDTH
    fine = conv(picture, width)
    half = block(conv(fine, 2 * width, 4, 2), 2 * width)
    low = block(conv(half, 3 * width, 4, 2), 3 * width)
    half = conv(layers.Add()([half, twice(low, 2 * width)]), 2 * width)
    x = conv(layers.Add()([fine, twice(half, width)]), width)
    base = picture
    if scale == 2:
        x = twice(x, width)
        base = layers.UpSampling2D(2, interpolation="bilinear")(picture)
    little = keras.initializers.RandomNormal(stddev=1e-3)
    change = layers.Conv2D(4, 3, padding="same", kernel_initializer=little)(x)
    sharper = layers.Add(dtype="float32")([base, change])
    return keras.Model(picture, sharper, name=f"sharpener_x{scale}")


def loss(clean, restored):
    """Returns the mean absolute error of pixels, and of the steps between neighbours,
    three times: a blurred edge costs little in pixels and much in steps."""
    error = restored - clean
    down = error[:, 1:] - error[:, :-1]
    across = error[:, :, 1:] - error[:, :, :-1]
    steps = ops.mean(ops.abs(down)) + ops.mean(ops.abs(across))
    return ops.mean(ops.abs(error)) + 1.5 * steps


# ------------------------------------------------------------------ training


class Pairs(keras.utils.PyDataset):
    """Batches (spoilt, clean), float32 in [-1, 1], the same ones for the same seed.

    clean: uint8 premultiplied RGBA (n, s, s, 4). They are spoilt anew each time round,
    at 1 / scale of their size, and cut to pieces of `CROP` px.
    """

    def __init__(self, clean, strengths, steps, batch=16, scale=1, seed=0):
        super().__init__()
        images.check(clean, channels=(4,))
        self.clean, self.strengths = clean, strengths
        self.scale, self.seed = scale, seed
        self.small = images.shrink(clean, clean.shape[1] // scale)
        self.steps, self.batch, self.round = steps, batch, None
        self.crop = min(CROP, self.small.shape[1])
        pieces = max(1, (self.small.shape[1] // self.crop) ** 2)
        self.per_round = max(1, len(clean) * pieces // batch)

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        number, place = divmod(step, self.per_round)
        if number != self.round:
            self.round = number
            self.spoilt = degrade.degrade(
                self.small, self.strengths, [self.seed, number], vary=True
            )
        random = np.random.default_rng([self.seed, step])
        spoilt, clean = [], []
        for _ in range(self.batch):
            i = random.integers(len(self.clean))
            y, x = random.integers(self.small.shape[1] - self.crop + 1, size=2)
            turn = -1 if random.random() < 0.5 else 1
            piece = self.spoilt[i, y : y + self.crop, x : x + self.crop]
            y, x, side = (self.scale * value for value in (y, x, self.crop))
            spoilt.append(piece[:, ::turn])
            clean.append(self.clean[i, y : y + side, x : x + side][:, ::turn])
        return dataset.to_float(np.stack(spoilt)), dataset.to_float(np.stack(clean))


def critic():
    """Returns an untrained judge of patches: pictures (n, s, s, 4) in [-1, 1] -> one
    number for every patch of 22 px, high for real ones (Isola et al. 2017)."""
    picture = keras.Input((None, None, 4))
    x = picture
    for factor in (1, 2, 3):
        x = SpectralConv2D(factor * CRITIC, 4, 2, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    return keras.Model(picture, SpectralConv2D(1, 1)(x), name="critic")


def train(
    clean,
    strengths,
    steps,
    scale=1,
    seed=0,
    samples=None,
    rate=1e-3,
    batch=16,
    show=print,
):
    """Returns a sharpener trained on `clean` pictures, spoilt with `strengths`.

    clean: uint8 premultiplied RGBA (n, s, s, 4), of the size that comes out
    strengths: {kind: 0 to 1}, such as `degrade.calibrate` finds
    steps: of `batch` pieces each; a thousand take two minutes of one CPU core, or four
        with samples
    samples: uint8 (m, s / scale, s / scale, 4), of a generator: a critic of patches
        then compares them, sharpened, with the clean ones. None: no critic
    show: called with a line now and then; None for silence
    """
    keras.utils.set_random_seed(seed)
    model = network(scale)
    pairs = Pairs(clean, strengths, steps, batch, scale, seed)
    lesson = Lesson(model, steps, rate, samples is not None)
    for step in range(steps):
        extra = () if samples is None else (_pieces(samples, pairs, step),)
        value = lesson(*pairs[step], *extra)
        if show and (step + 1) % max(1, steps // 5) == 0:
            show(f"step {step + 1:5} of {steps}: loss {float(value):.4f}", flush=True)
    return model


def _pieces(samples, pairs, step):
    """Cuts as many pieces of samples as there are pairs: float32 (batch, crop, crop,
    4)."""
    random = np.random.default_rng([pairs.seed, step, 1])
    pieces = []
    for i in random.integers(len(samples), size=pairs.batch):
        y, x = random.integers(samples.shape[1] - pairs.crop + 1, size=2)
        pieces.append(samples[i, y : y + pairs.crop, x : x + pairs.crop])
    return dataset.to_float(np.stack(pieces))


class Lesson:
    """One step of training, compiled: call it with (spoilt, clean) or, with a critic,
    (spoilt, clean, pieces of samples). It returns the loss on the pairs."""

    def __init__(self, model, steps, rate, with_critic):
        self.model, self.scale = model, model.name[-1] == "2"
        schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
        beta = 0.5 if with_critic else 0.9
        self.optimizer = keras.optimizers.Adam(schedule, beta_1=beta, beta_2=0.99)
        self.optimizer.build(model.trainable_variables)
        if with_critic:
            self.critic = critic()
            self.critic_optimizer = keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.99)
            self.critic_optimizer.build(self.critic.trainable_variables)
        self.step = tf.function(self.both if with_critic else self.pairs_only)

    def __call__(self, *batch):
        return self.step(*batch)

    def pairs_only(self, spoilt, clean):
        with tf.GradientTape() as tape:
            error = loss(clean, self.model(spoilt, training=True))
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(error, variables), variables)
        return error

    def both(self, spoilt, clean, pieces):
        count = spoilt.shape[0]

        # The sharpener undoes what was spoilt, keeps the samples' colours, pleases.
        with tf.GradientTape() as tape:
            restored = self.model(ops.concatenate([spoilt, pieces]), training=True)
            error, sharp = loss(clean, restored[:count]), restored[count:]
            kept = ops.mean(ops.abs(_coarse(sharp, 1 + self.scale) - _coarse(pieces)))
            liked = ops.mean(self.critic(sharp, training=False))
            total = error + KEEP * kept - LIKE * liked
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(total, variables), variables)

        # The critic learns to tell real pieces from sharpened ones (hinge loss).
        with tf.GradientTape() as tape:
            real_logits = self.critic(clean, training=True)
            fake_logits = self.critic(ops.stop_gradient(sharp), training=True)
            mistake = ops.mean(ops.relu(1 - real_logits))
            mistake += ops.mean(ops.relu(1 + fake_logits))
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(mistake, variables), variables)
        return error


def _coarse(x, times=1):
    """Returns means of blocks of 4 x 4 px of the smaller size."""
    return ops.average_pool(x, 4 * times, 4 * times)


# ------------------------------------------------------------------ at work


def sharpen(model, pictures, batch=64):
    """Returns the pictures as the sharpener `model` redraws them: uint8 premultiplied
    RGBA, at its scale. RGB pictures on white are cut out first."""
    pictures = images.check(flaws.cut_out(pictures))
    if pictures.shape[1] % 4:
        raise ValueError(
            f"Pictures of {pictures.shape[1]} px; the side must be a multiple of 4."
        )
    parts = []
    for start in range(0, len(pictures), batch):
        x = dataset.to_float(pictures[start : start + batch])
        parts.append(ops.convert_to_numpy(model(x, training=False)))
    done = images.to_uint8(np.concatenate(parts))
    done[done[..., 3] < 8] = 0  # not to be seen
    done[..., 3][done[..., 3] > 247] = 255
    done[..., :3] = np.minimum(done[..., :3], done[..., 3:])
    return done


# ------------------------------------------------------------------ how good it is


def psnr(restored, clean):
    """Returns the mean peak signal-to-noise ratio of pictures to their originals in dB:
    higher is nearer; both uint8 (n, s, s, 4)."""
    error = (restored.astype("float32") - clean.astype("float32")) ** 2
    error = error.reshape(len(error), -1).mean(1)
    return float((10 * np.log10(255**2 / np.maximum(error, 1e-2))).mean())


def enlarge(pictures, scale):
    """Returns pictures at `scale` times their size, without a network: bicubic."""
    if scale == 1:
        return pictures
    bicubic = Image.Resampling.BICUBIC
    larger = np.stack([images.scale(picture, scale, bicubic) for picture in pictures])
    return np.rint(larger).astype("uint8")


# ------------------------------------------------------------------ keeping it


def folder(name):
    """Returns where the sharpeners for a generator `name` are kept."""
    return env.outputs_dir() / "sharpeners" / name


def save(model, target, facts):
    """Writes sharpener.keras and params.json (`facts`) into the folder `target`."""
    with files.atomic(target / "sharpener.keras") as temporary:
        model.save(temporary)
    files.write_json(target / "params.json", facts)


def load(target):
    """Returns (sharpener, facts) as `save` wrote them into the folder `target`.

    No code from the file is run. ValueError if it is damaged, or no sharpener.
    """
    facts = json.loads((target / "params.json").read_text("utf-8"))
    return load_network(target / "sharpener.keras", "a sharpener", _check), facts


def _check(model):
    if model.input_shape != (None, None, None, 4) or model.output_shape[-1] != 4:
        raise ValueError(f"it turns {model.input_shape} into {model.output_shape}.")


def made_for(name, data, strengths, samples, steps, scale=1, seed=0, show=print):
    """Returns the sharpener for the generator `name`: the one in its `folder` if made
    from the same arguments, else a new one, which is kept there.

    data: the PictureSet of the size that comes out; its training pictures are learned
    from. The rest is as in `train`, except that there is always a critic.
    """
    facts = {
        "data": data.fingerprint,
        "samples": files.sha256(samples.tobytes()),
        "strengths": strengths,
        "steps": steps,
        "seed": seed,
    }
    target = folder(name) / ("same size" if scale == 1 else "twice the size")
    with contextlib.suppress(OSError, ValueError):
        model, kept_facts = load(target)
        if kept_facts == facts:
            return model
    clean = data.images[data.train]
    model = train(clean, strengths, steps, scale, seed, samples, show=show)
    save(model, target, facts)
    return model
