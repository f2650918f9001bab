"""Frames of an animation: played right, and chosen to differ."""

import io

import numpy as np
from PIL import Image

from pokeutils.data import packs


def animation(pictures, **options):
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], **options
    )
    return buffer.getvalue()


def bar(length, where=5, size=40, colour=(200, 60, 20, 255)):
    image = Image.new("RGBA", (size, size), (0, 255, 0, 0))  # lime, if it were seen
    image.paste(colour, (where, 10, where + length, 20))
    return image


def test_copies_and_moved_copies_are_one_frame():
    data = animation([bar(8), bar(8, where=9), bar(20), bar(8)], disposal=2)
    found = packs.read(data, 40)
    assert [body.shape[:2] for body in found.values()] == [(10, 8), (10, 20)]
    assert list(found)[0] == 0 and (found[0][..., 3] == 255).all()


def test_what_a_frame_leaves_behind_belongs_to_the_next():
    # Disposal 1: the second frame draws only what is new, over the first.
    first, both = bar(8), bar(8)
    both.paste((20, 60, 200, 255), (25, 10, 30, 20))
    found = packs.read(animation([first, both], disposal=1), 40)
    last = list(found.values())[-1]
    assert last.shape == (10, 25, 4) and tuple(last[0, 0]) == (200, 60, 20, 255)
    assert tuple(last[0, 24]) == (20, 60, 200, 255) and tuple(last[0, 12]) == (0,) * 4


def test_what_is_too_large_or_empty_is_left_out():
    pictures = [bar(30), bar(8), Image.new("RGBA", (40, 40)), bar(9)]
    found = packs.read(animation(pictures, disposal=2), 20)
    assert [body.shape[1] for body in found.values()] == [8, 9]
    assert len(packs.read(animation(pictures, disposal=2), 20, count=1)) == 1


def bodies(lengths):
    return {
        number: np.asarray(bar(length))[10:20, 5 : 5 + length]
        for number, length in enumerate(lengths)
    }


def test_farthest_first():
    # Centred bars differ by their lengths: from 12, the farthest is 36, then 24.
    assert packs.choose(bodies([12, 15, 36, 24, 33]), 40, least=3, most=3) == [0, 2, 3]


def test_beyond_the_least_only_what_differs_is_taken():
    alike = bodies([20, 20, 20, 20, 20, 20])
    assert len(packs.choose(alike, 40)) == packs.LEAST
    varied = bodies([3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36])
    assert len(packs.choose(varied, 40, far=0.02)) == packs.MOST
    assert packs.LEAST < len(packs.choose(varied, 40)) < packs.MOST
    assert packs.choose(bodies([7]), 40) == [0]
