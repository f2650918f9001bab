"""Creatures by name: a text decides which latent a creature hatches from (NumPy only).

In the browser, network.js computes the same from the same text, so a link shows
everybody the same creature. A genome is one of three:

    mubako              a name: any words; its letters seed the numbers
    mubako~3            the third small change of mubako
    (mubako*ritel*40)   40 % of the way from mubako to ritel, along the sphere
"""

import re
import unicodedata

import numpy as np

from pokeutils import sampling

STEP = 0.35  # of a small change: how much of the new latent is new
LONGEST = 300  # characters of a genome
NAME = r"(?:[^()*~\n]+|\n)"
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def latents(genomes, dimensions):
    """Returns the latents of a list of genomes: float32 (n, dimensions)."""
    return np.stack([_read(clean(text), dimensions) for text in genomes])


def clean(text):
    """Returns the spelling that counts: lower case, single spaces, not too long.

    What is no genome becomes a name, without the signs that genomes are made of.
    """
    text = unicodedata.normalize("NFKC", str(text)).lower()
    text = " ".join(text.split())[:LONGEST].strip()
    return text if _is_genome(text) else re.sub(r"[()*~]", "", text).strip() or "egg"


def nest(text, count=9):
    """Returns the genomes that hatch together for a seed: itself, then names."""
    text = clean(text)
    words = _words(f"{text}/nest", 6 * (count - 1)).reshape(-1, 6)
    names = []
    for row in words:
        pairs = zip([CONSONANTS, VOWELS] * 3, row, strict=True)
        names.append("".join(signs[int(word) % len(signs)] for signs, word in pairs))
    return [text, *names]


def brood(text, count=9):
    """Returns a genome and its first `count - 1` small changes."""
    text = clean(text)
    return [text] + [f"{text}~{number}" for number in range(1, count)]


def normals(text, count):
    """Returns `count` numbers from N(0, 1), float64, decided by the text.

    The text's 32-bit FNV-1a hash plus multiples of a constant, each through the last
    step of MurmurHash3, are uniform; Box and Muller (1958) make them normal.
    """
    words = _words(text, count + count % 2).astype("float64")
    first, second = ((words.reshape(-1, 2) + 0.5) / 2**32).T
    radius, angle = np.sqrt(-2 * np.log(first)), 2 * np.pi * second
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count]


def _words(text, count):
    """Returns integers below 2**32, decided by the text: uint64 (count,)."""
    value = 2166136261
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    words = (value + np.arange(count, dtype="uint64") * 0x9E3779B9) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = ((words ^ words >> np.uint64(shift)) * factor) & 0xFFFFFFFF
    return words ^ words >> np.uint64(16)


def _is_genome(text):
    # Innermost first: changes fall away, a crossing becomes a line break, which no
    # name has; what is left of a genome is one name or one line break.
    while True:
        shorter = re.sub(r"(?<=[^()*~])~[0-9]{1,3}(?=[~*)]|$)", "", text)
        shorter = re.sub(rf"\({NAME}\*{NAME}\*[0-9]{{1,3}}\)", "\n", shorter)
        if shorter == text:
            return bool(re.fullmatch(NAME, text))
        text = shorter


def _read(text, dimensions):
    """Returns the latent of a genome; walks the text, no deeper than it is long."""
    changed = re.fullmatch(r"(.+)~([0-9]{1,3})", text)
    if changed:
        parent = _read(changed[1], dimensions).astype("float64")
        fresh = normals(text, dimensions)
        return (np.sqrt(1 - STEP**2) * parent + STEP * fresh).astype("float32")
    if text.startswith("("):
        first, second, share = _parts(text[1:-1])
        ends = _read(first, dimensions), _read(second, dimensions)
        return sampling.slerp(*ends, min(int(share), 100) / 100)
    return normals(text, dimensions).astype("float32")


def _parts(text):
    """Returns the text split at the stars that are in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "*" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
