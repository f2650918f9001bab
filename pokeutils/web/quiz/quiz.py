"""The quiz: 27 creatures on three panels, real, recoloured and generated. Which ones do
people take for real?

`from_data` makes a quiz, `page` writes it as a web page, `read_answers` collects what
people sent back, and `scores` counts it.
"""

import base64
import collections
import io
import json
import math
import pathlib
import re

import numpy as np
from PIL import Image

from pokeutils.common import files, images
from pokeutils.data import recolour

GROUPS = ("real", "recoloured", "generated")
EACH = 9  # pictures of a group
PANEL = 9  # pictures on a panel, three by three
SMALL = 41  # px; pictures are reduced by a whole factor, as far as that leaves so many
SEEN = 8  # mean change, in levels of 255, from which other colours are noticed
FORMAT = "pokeutils quiz answers 1"
KNOWLEDGE = ("", "few", "some", "most")  # of such creatures, by name; "" was not said
MAX_BYTES = 100_000  # of one file of answers; a real one has about 500

Quiz = collections.namedtuple("Quiz", "id pictures groups labels source")
Answers = collections.namedtuple(
    "Answers", "file quiz response name knowledge judged_real seconds finished"
)


# ------------------------------------------------------------------------ making one


def from_data(data, generated, seed=0):
    """Returns a Quiz of pictures from a PictureSet and of generated ones.

    `generated` are uint8 pictures of the same size, RGB or premultiplied RGBA, in the
    order they came. Half of the species give real pictures, the others well-drawn
    fakes, in other colours. Raises ValueError where `make` does.
    """
    random = np.random.default_rng([seed, 1])
    names = np.array(data.meta["name"]).astype(str)
    species = random.permutation(_one_each(data, random))
    real, others = species[::2], species[1::2]
    before = images.over(data.images[others])
    after = recolour.turn_hues(before, random)
    changed = np.abs(after.astype("int16") - before).mean(axis=(1, 2, 3)) > SEEN
    others = others[changed]
    labels = {"real": names[real].tolist(), "recoloured": names[others].tolist()}
    return make(data.images[real], after[changed], generated, seed, labels, data.source)


def _one_each(data, random):
    """Returns the indices of one picture per species, none in its shiny colours: these
    are real, but look like other colours. One of unknown species counts as its own."""
    species, shiny = data.groups, np.array(data.meta["shiny"])
    species = np.where(species > 0, species, -1 - np.arange(len(species)))
    order = random.permutation(np.flatnonzero(~shiny) if (~shiny).any() else len(shiny))
    return order[np.unique(species[order], return_index=True)[1]]


def make(real, recoloured, generated, seed=0, labels=None, source=""):
    """Returns a Quiz: `EACH` pictures of each group, in random order.

    They are drawn from uint8 arrays (n, size, size, 3 or 4), four channels being
    premultiplied RGBA, and all laid on white and reduced alike. `labels`: {group: what
    each picture shows}, shown at the end. Raises ValueError for other arrays, sizes
    that differ, too few pictures, or a picture that is in two groups.
    """
    random = np.random.default_rng(seed)
    pools = dict(zip(GROUPS, (real, recoloured, generated), strict=True))
    pictures, captions = [], []
    for group, pool in pools.items():
        different = {picture.tobytes(): i for i, picture in enumerate(pool)}
        if len(different) < EACH:
            raise ValueError(
                f"A quiz needs {EACH} different pictures that are {group}; there are "
                f"{len(different)}."
            )
        pool = images.shrink(images.over(images.check(pool)), SMALL)
        drawn = random.permutation(list(different.values()))[:EACH]
        known = (labels or {}).get(group) or [""] * len(pool)
        pictures += list(pool[drawn])
        captions += [known[index] for index in drawn]

    pictures = images.check(pictures)  # all of one size
    if len({picture.tobytes() for picture in pictures}) < len(pictures):
        raise ValueError("One and the same picture is in two groups of the quiz.")
    mixed = random.permutation(len(pictures))
    pictures, groups = pictures[mixed], mixed // EACH
    captions = [captions[index] for index in mixed]
    key = json.dumps([groups.tolist(), captions, pictures.shape])
    name = files.sha256(key.encode() + pictures.tobytes())[:12]
    return Quiz(name, pictures, groups, captions, source)


def png(picture):
    """Returns a PNG as bytes: nothing but the pixels, encoded alike for all."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def seal(quiz):
    """Returns which is which as base64 text that cannot be read at a glance, of one
    length whatever the labels. It is no secret: a page that counts can keep none."""
    plain = json.dumps({"groups": quiz.groups.tolist(), "labels": quiz.labels})
    return base64.b64encode(plain.encode().ljust(4096)).decode()


# --------------------------------------------------------------------------- answers


def read_answers(paths, quizzes):
    """Returns (list of Answers, {file name: why it was refused}).

    `paths` are files, or a folder, in which every .json file counts. Refused are files
    that are broken, unfinished or of another quiz, and whoever answered one quiz twice,
    by file or by name: the first in the order of file names counts.
    """
    known = {quiz.id: quiz for quiz in quizzes}
    if isinstance(paths, (str, pathlib.Path)):
        paths = sorted(pathlib.Path(paths).glob("*.json"))
    accepted, refused, seen = [], {}, {}
    for path in map(pathlib.Path, paths):
        try:
            answers = _check(_read_json(path), known, path.name)
            keys = [("the same answers", answers.response)]
            if answers.name:
                who = (answers.name.casefold(), answers.quiz)
                keys.append((f"another file of {answers.name!r}", who))
            for what, key in keys:
                if key in seen:
                    raise ValueError(f"{what}, already read from {seen[key]}")
        except ValueError as error:
            refused[path.name] = str(error)
            continue
        seen |= {key: path.name for _, key in keys}
        accepted.append(answers)
    return accepted, refused


def _read_json(path):
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("far too large for a file of answers")
        return files.read_json(path)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _check(record, known, file):
    """Returns the Answers in a decoded JSON `record`; `known` is {id: Quiz}. Raises
    ValueError for one that the page has not written, or that is of another quiz."""
    fields = {"format", *Answers._fields[1:]}
    if record.keys() != fields:
        raise ValueError("not a file of answers that the quiz wrote")
    texts = [record[k] for k in ("quiz", "response", "name", "knowledge", "finished")]
    judged, seconds = record["judged_real"], record["seconds"]
    whole = (
        record["format"] == FORMAT
        and all(isinstance(text, str) for text in texts)
        and re.fullmatch("[0-9a-f]{32}", record["response"])
        and record["knowledge"] in KNOWLEDGE
        and type(seconds) in (int, float)
        and 0 <= seconds < math.inf
        and isinstance(judged, list)
        and {type(x) for x in judged} <= {bool}
    )
    if not whole:
        raise ValueError("not as the quiz wrote it: a value was changed, or damaged")
    quiz = known.get(record["quiz"])
    if quiz is None or len(judged) != len(quiz.pictures):
        raise ValueError(f"answers to another quiz, not to {', '.join(known)}")
    name = " ".join(record["name"].split())[:80]
    rest = (record["knowledge"], np.array(judged), float(seconds))
    return Answers(
        file, quiz.id, record["response"], name, *rest, record["finished"][:40]
    )
