"""A short film of a run at its seed's own milestones, from the sheets in its folder."""

import bisect

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pokeutils import plots, runs

WIDTH = 700  # px; wider sheets are made two or more times smaller
STRIP = 18  # px above the sheet, for the words


def frames(run, milestones):
    """Returns [(epoch of the seed, images seen, path of the sheet)]: for each milestone
    the first sheet at or after it; those that the run has not come to are left out.

    milestones: {epoch of the seed: images seen}, as `Recipe.shown` gives it.
    """
    sheets = runs.sample_files(run)
    seen = [images for images, _ in sheets]
    places = {
        epoch: bisect.bisect_left(seen, images) for epoch, images in milestones.items()
    }
    return [(e, *sheets[place]) for e, place in places.items() if place < len(sheets)]


def write(run, milestones):
    """Writes <run>/milestones.gif, two seconds a milestone; returns its path, or None
    if the run has not come to the first one."""
    pictures = [
        _captioned(path, f"epoch {epoch} of {max(milestones)}: {seen:,} images seen")
        for epoch, seen, path in frames(run, milestones)
    ]
    if not pictures:
        return None
    return plots.gif(run / "milestones.gif", pictures, milliseconds=2000, last=4000)


def _captioned(path, words):
    """The sheet at `path`, at most `WIDTH` wide, below a strip with `words`."""
    sheet = Image.open(path).convert("RGB")
    sheet = sheet.reduce(-(-sheet.width // WIDTH))
    frame = Image.new("RGB", (sheet.width, sheet.height + STRIP), "white")
    frame.paste(sheet, (0, STRIP))
    font = ImageFont.load_default(12)
    ImageDraw.Draw(frame).text((4, 2), words, fill=plots.INK, font=font)
    return np.asarray(frame)
