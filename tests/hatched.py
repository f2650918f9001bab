"""Small generators with weights, and what they draw in Keras and in a browser."""

import numpy as np

from pokeutils import models
from pokeutils.common import images
from pokeutils.web.hatchery import genome

DESK = {"width": 1280, "height": 800}


def shaken(model, seed=0, scale=1):
    """A network with weights, means and variances as training might leave them."""
    random = np.random.default_rng(seed)

    def change(weight):
        values = random.normal(size=weight.shape)
        if "variance" in weight.path:
            return 0.5 + values**2
        if len(weight.shape) > 1:  # keeps about the spread of what goes through
            gain = 3 if "transpose" in weight.path else 1
            return scale * gain * values / np.sqrt(np.prod(weight.shape[:-1]))
        return ("gamma" in weight.path) + 0.3 * values

    model.set_weights([change(weight) for weight in model.weights])
    return model


def pyramid(**options):
    small = {"size": 16, "latent_dim": 16, "widths": (8, 8), "detail": 8}
    return shaken(models.pyramid_generator(**{**small, **options}))


def straight(generator, names):
    """What Keras draws for them: straight RGBA, and alpha."""
    latents = genome.latents(names, generator.input_shape[-1])
    levels = images.to_uint8(generator(latents, training=False))
    levels[..., :3] = np.minimum(levels[..., :3], levels[..., 3:])
    return images.unpremultiply(levels)


def drawn(page, selector):
    """The pixels of a canvas on a page: straight RGBA."""
    pixels = page.locator(selector).evaluate("""canvas => Array.from(canvas
        .getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)""")
    side = int(np.sqrt(len(pixels) // 4))
    return np.array(pixels, "uint8").reshape(side, side, 4)


def names(page):
    """The genomes of the nest."""
    page.wait_for_selector("html[data-ready]")
    return page.locator("#nest .cell").evaluate_all("all => all.map(c => c.genome)")


def agree(found, wanted, levels=2):
    """Two straight RGBA pictures are alike where one can see it: premultiplied."""
    differences = images.premultiply(found).astype(int) - images.premultiply(wanted)
    return np.abs(differences).max() <= levels
