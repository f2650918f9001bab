"""A few frames of an animation, as different from one another as can be.

Animations repeat themselves: of fifty frames, half are copies and most of the rest
differ by a breath. Farthest-point choice takes the first frame, then again and again
the one that is farthest from all that were taken (Gonzalez, 1985).
"""

import io
import struct

import numpy as np
from PIL import Image

from pokeutils import images

LEAST, MOST = 4, 8
# Share of the body that has to change for a fifth frame and more. At 0.12 two frames
# differ as a raised arm does.
FAR = 0.12
MAX_PIXELS = 10**6  # of a frame; sprites have 10,000
GRID = 3  # px; frames are compared by the mean of blocks of this size


def read(data, side, count=None):
    """Returns {number: frame} of the first `count` distinct frames of a GIF (bytes).

    Frames are straight RGBA, as played: laid over one another where the GIF says so.
    Compared and cut out are bodies, wherever they are; a body larger than `side` px and
    an empty frame are left out. ValueError for a damaged GIF, or one of many pixels.
    """
    found, seen = {}, set()
    for number, rgba in _played(data):
        rgba[rgba[..., 3] == 0] = 0  # lime and magenta hide below
        try:
            body = images.crop(rgba, images.HARD)
        except ValueError:
            continue
        key = body.shape, body.tobytes()
        if max(body.shape) <= side and key not in seen:
            seen.add(key)
            found[number] = body
        if len(found) == count:
            break
    return found


def _played(data):
    """Yields (number, straight RGBA) of every frame of a GIF."""
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} px is too large")
        for number in range(image.n_frames):
            image.seek(number)
            yield number, np.array(image.convert("RGBA"))
    except (OSError, SyntaxError, EOFError, IndexError, struct.error) as error:
        raise ValueError(f"not a whole animation: {error}") from None


def choose(bodies, side, least=LEAST, most=MOST, far=FAR):
    """Returns the numbers of the frames to take, the first first.

    At least `least`, if there are so many, and at most `most`; beyond `least` only
    those whose pixels differ from all that were taken by `far` of the body's.
    """
    numbers = list(bodies)
    blocks = np.stack([_blocks(images.place(body, side)) for body in bodies.values()])
    body = blocks[..., 3].sum(axis=1).mean()
    nearest, taken = np.full(len(numbers), np.inf), [0]
    while len(taken) < min(most, len(numbers)):
        change = np.abs(blocks - blocks[taken[-1]]).sum(axis=1).mean(axis=1)
        nearest = np.minimum(nearest, change / body)
        farthest = int(nearest.argmax())
        if len(taken) >= least and nearest[farthest] < far:
            break
        taken.append(farthest)
    return [numbers[index] for index in taken]


def _blocks(canvas):
    """Returns the means of the blocks of a canvas, (blocks, 4) float32."""
    count = len(canvas) // GRID
    cut = canvas[: count * GRID, : count * GRID].astype(np.float32)
    return cut.reshape(count, GRID, count, GRID, 4).mean(axis=(1, 3)).reshape(-1, 4)
