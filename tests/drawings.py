"""Pictures drawn for tests."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from pokeutils.common import images
from pokeutils.data import doodles


def on_white(numbers, size=32):
    """Doodles on white: uint8 (n, size, size, 3)."""
    return images.composite(transparent(numbers, size))


def transparent(numbers, size=32):
    """Doodles, premultiplied: uint8 (n, size, size, 4)."""
    pictures = (np.asarray(doodles.draw(number)) for number in numbers)
    return np.stack([images.fit(picture, size) for picture in pictures])


@functools.cache
def creatures(size=48):
    """80 creatures of ellipses and triangles, premultiplied RGBA. Not to be changed."""
    pictures = np.stack([images.fit(creature(number), size) for number in range(80)])
    pictures.setflags(write=False)
    return pictures


def creature(number):
    """Ellipses and triangles with outlines, at random: straight RGBA, 192 px."""
    random, image = np.random.default_rng(number), Image.new("RGBA", (192, 192))
    pen = ImageDraw.Draw(image)
    for _ in range(7):
        centre, reach = random.uniform(50, 142, 2), random.uniform(10, 48, 2)
        fill = tuple(map(int, random.integers(40, 256, 3)))
        if random.random() < 0.6:
            corners = [*(centre - reach), *(centre + reach)]
            pen.ellipse(corners, fill, "black", 4)
        else:
            corners = centre + random.uniform(-60, 60, (3, 2))
            pen.polygon([tuple(corner) for corner in corners], fill, "black", 4)
    return np.asarray(image)


def traffic_light():
    """A picture (1, 128, 128, 3) that ImageNet has a class for."""
    y, x = np.mgrid[:128, :128]
    picture = np.full((1, 128, 128, 3), 255, "uint8")
    picture[0][(abs(x - 64) < 24) & (abs(y - 64) < 58)] = 30
    lamps = ((26, (235, 40, 35)), (64, (250, 190, 40)), (102, (50, 200, 80)))
    for middle, colour in lamps:
        picture[0][np.hypot(x - 64, y - middle) < 16] = colour
    return picture


def save_disc(path, colour, size=40):
    """Saves a disc on nothing at `path`, whose folder is made."""
    image = Image.new("RGBA", (size, size))
    ImageDraw.Draw(image).ellipse([4, 8, size - 8, size - 4], fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
