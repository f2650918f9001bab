"""A small network that makes washed-out pictures crisp, at the same size or twice that.

It has never seen a pair of a bad and a good sample, for there are none: it learns to
undo what `degrade` does to real pictures, and is then shown what generators draw.
"""

import json

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from pokeutils import degrade, env, files, images, plots
from pokeutils.trusted import load_network

CROP = 32  # px: it learns on pieces of this size, and works on pictures of any


def network(scale=1, width=24):
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

    picture = keras.Input((None, None, 4))
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
    """Mean absolute error of pixels, and of the steps between neighbours, three times:
    a blurred edge costs little in pixels and much in steps."""
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
        degrade.check(clean)
        self.clean, self.strengths = clean, strengths
        self.scale, self.seed = scale, seed
        self.small = plots.shrink(clean, clean.shape[1] // scale)
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
            one = self.spoilt[i, y : y + self.crop, x : x + self.crop]
            y, x, side = (self.scale * value for value in (y, x, self.crop))
            spoilt.append(one[:, ::turn])
            clean.append(self.clean[i, y : y + side, x : x + side][:, ::turn])
        return _to_float(np.stack(spoilt)), _to_float(np.stack(clean))


def train(clean, strengths, steps, scale=1, seed=0, rate=1.5e-3, batch=16, show=print):
    """Returns a sharpener trained on `clean` pictures, spoilt with `strengths`.

    clean: uint8 premultiplied RGBA (n, s, s, 4), of the size that comes out
    strengths: {kind: 0 to 1}, such as `degrade.calibrate` finds
    steps: of `batch` pieces each; a thousand take about two minutes of one CPU core
    show: called with a line now and then; None for silence
    """
    env.seed_everything(seed)
    model = network(scale)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss)
    pairs = Pairs(clean, strengths, steps, batch, scale, seed)
    tell = [_Tell(steps, show)] if show else []
    model.fit(pairs, epochs=1, shuffle=False, verbose=0, callbacks=tell)
    return model


class _Tell(keras.callbacks.Callback):
    """Shows the loss a few times on the way."""

    def __init__(self, steps, show):
        super().__init__()
        self.steps, self.show = steps, show

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % max(1, self.steps // 5) == 0:
            self.show(f"step {batch + 1:5} of {self.steps}: loss {logs['loss']:.4f}")


def _to_float(pictures):
    return pictures.astype("float32") / 127.5 - 1


# ------------------------------------------------------------------ at work


def sharpen(model, pictures, colours=None, batch=64):
    """Returns the pictures as the sharpener `model` redraws them: uint8 premultiplied
    RGBA, at its scale. RGB pictures on white are cut out first.

    colours: see `images.reduce_palette`; None leaves all.
    """
    pictures = degrade.check(degrade.cut_out(pictures))
    if pictures.shape[1] % 4:
        raise ValueError(
            f"Pictures of {pictures.shape[1]} px; the side must be a multiple of 4."
        )
    parts = []
    for start in range(0, len(pictures), batch):
        x = _to_float(pictures[start : start + batch])
        x = np.pad(x, ((0, min(batch, len(pictures)) - len(x)), *[(0, 0)] * 3))
        restored = ops.convert_to_numpy(model.predict_on_batch(x))
        parts.append(restored[: len(pictures) - start])
    done = plots.to_uint8(np.concatenate(parts))
    done[done[..., 3] < 8] = 0  # not to be seen
    done[..., 3][done[..., 3] > 247] = 255
    done[..., :3] = np.minimum(done[..., :3], done[..., 3:])
    return done if colours is None else images.reduce_palette(done, colours)


# ------------------------------------------------------------------ how good it is


def psnr(restored, clean):
    """Peak signal-to-noise ratio of pictures to their originals in dB, mean over them:
    higher is nearer; both uint8 (n, s, s, 4)."""
    error = (restored.astype("float32") - clean.astype("float32")) ** 2
    error = error.reshape(len(error), -1).mean(1)
    return float((10 * np.log10(255**2 / np.maximum(error, 1e-2))).mean())


def enlarge(pictures, scale):
    """Pictures at `scale` times their size, as is done without a network: bicubic."""
    if scale == 1:
        return pictures
    side = scale * pictures.shape[1]
    planes = [
        [
            Image.fromarray(one[..., c].astype("float32")).resize((side, side), 3)
            for c in range(4)
        ]
        for one in pictures
    ]
    done = np.rint(np.clip(np.moveaxis(np.array(planes), 1, -1), 0, 255))
    done[..., :3] = np.minimum(done[..., :3], done[..., 3:])
    return done.astype("uint8")


# ------------------------------------------------------------------ keeping it


def folder(name):
    """Where the sharpener for a generator `name` is kept: outputs/sharpeners/<name>."""
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


def known(target, facts):
    """Returns the sharpener in `target` if made from these `facts`, else None."""
    try:
        model, found = load(target)
    except (OSError, ValueError):
        return None
    return model if found == json.loads(json.dumps(facts)) else None
