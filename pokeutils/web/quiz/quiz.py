"""The quiz: 27 creatures on three panels, real, faked by hand and generated. Which ones
do people take for real?

`from_data` makes a quiz, `save` and `load` keep it in a folder, `read_answers` collects
what people sent back. `page` writes it as a web page, `scores` counts the answers.
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

from pokeutils.common import files, images, plots
from pokeutils.web.quiz import collages

GROUPS = ("real", "by hand", "generated")
PANEL = 9  # pictures on a panel, three by three
LARGEST = 80  # px of one picture; larger ones are reduced
FORMAT = "pokeutils quiz answers 1"
KNOWLEDGE = ("", "few", "some", "most")  # of such creatures, by name; "" was not said
MAX_BYTES = 100_000  # of one file of answers; a real one has about 500

Quiz = collections.namedtuple("Quiz", "id pictures groups labels source")
Answers = collections.namedtuple(
    "Answers", "file quiz response name knowledge judged_real seconds finished"
)


# ------------------------------------------------------------------------ making one


def from_data(data, generated, panels=3, seed=0):
    """Returns a Quiz of pictures from a PictureSet and of generated ones.

    `generated` are uint8 pictures of the same size, RGB or premultiplied RGBA, in the
    order they came: which of them are asked about is drawn, not picked. The collages
    are made from the same set. Real are regular, not shiny, creatures, of which no part
    is in a collage. Raises ValueError where `make` or `collages.make` does.
    """
    random = np.random.default_rng([seed, 1])
    made = collages.make(data, 3 * panels, seed)

    # Real ones: no creature that lent a shape, nor another form of its species.
    species = np.array(data.meta["species_id"])
    lent = np.unique(species[made.parents])
    real = [
        index
        for index in collages.one_each(data, random)
        if index not in made.parents
        and (species[index] == 0 or species[index] not in lent)
    ]
    real = np.array(real, int)
    names = [str(name) for name in np.array(data.meta["name"])[real]]
    labels = {"real": names, "by hand": made.labels}
    pools = data.images[real], made.pictures, generated
    return make(*pools, panels, seed, labels, data.source)


def make(reals, by_hand, generated, panels=3, seed=0, labels=None, source=""):
    """Returns a Quiz: 3 * panels pictures of each group, in random order.

    They are drawn from uint8 arrays (n, size, size, 3 or 4), four channels being
    premultiplied RGBA. All are put on white alike; pictures over 80 px are reduced by a
    whole factor. `labels`: {group: what each picture shows}, shown at the end. The same
    pictures and seed give the same quiz. Raises ValueError for other arrays, sizes that
    differ, too few pictures, or a picture that is in two groups.
    """
    random = np.random.default_rng(seed)
    pools = dict(zip(GROUPS, (reals, by_hand, generated), strict=True))
    pictures, groups, captions = [], [], []
    for number, (group, pool) in enumerate(pools.items()):
        pool = _on_white(group, np.asarray(pool))
        _, first = np.unique(pool.reshape(len(pool), -1), axis=0, return_index=True)
        if len(first) < 3 * panels:
            raise ValueError(
                f"{panels} panels need {3 * panels} different pictures of the group "
                f"{group!r}; there are {len(first)}."
            )
        drawn = random.permutation(np.sort(first))[: 3 * panels]
        known = (labels or {}).get(group) or [""] * len(pool)
        pictures.append(pool[drawn])
        groups += [number] * len(drawn)
        captions += [known[index] for index in drawn]

    sizes = {group: p.shape[1] for group, p in zip(GROUPS, pictures, strict=True)}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"All pictures must have one size in px; got {sizes}.")
    pictures = np.concatenate(pictures)
    if len({picture.tobytes() for picture in pictures}) < len(pictures):
        raise ValueError("One and the same picture is in two groups of the quiz.")

    mixed = random.permutation(len(pictures))
    pictures, groups = pictures[mixed], np.array(groups)[mixed]
    captions = [captions[index] for index in mixed]
    return Quiz(_id(pictures, groups, captions), pictures, groups, captions, source)


def _on_white(group, pool):
    """Returns RGB of at most LARGEST px; raises ValueError for other arrays."""
    if pool.dtype != np.uint8 or pool.ndim != 4 or pool.shape[-1] not in (3, 4):
        raise ValueError(
            f"The group {group!r} must be uint8 pictures (n, size, size, 3 or 4); got "
            f"{pool.dtype} {pool.shape}."
        )
    if pool.shape[1] != pool.shape[2]:
        raise ValueError(f"The pictures of {group!r} are not square: {pool.shape}.")
    pool = images.over(pool)
    factor = math.ceil(pool.shape[1] / LARGEST)
    if factor == 1 or not len(pool):
        return pool
    return np.stack([np.asarray(Image.fromarray(rgb).reduce(factor)) for rgb in pool])


def _id(pictures, groups, labels):
    key = json.dumps([np.asarray(groups).tolist(), list(labels), pictures.shape])
    return files.sha256(key.encode() + pictures.tobytes())[:12]


# --------------------------------------------------------------------------- keeping


def save(quiz, folder):
    """Writes key.json (which is which) and pictures.png into `folder`; returns it."""
    folder = pathlib.Path(folder)
    plots.save_png(folder / "pictures.png", _sheet(quiz.pictures))
    key = {
        "quiz": quiz.id,
        "groups": [GROUPS[group] for group in quiz.groups],
        "labels": quiz.labels,
        "source": quiz.source,
    }
    files.write_json(folder / "key.json", key)
    return folder


def load(folder):
    """Returns the Quiz that `save` wrote. Raises ValueError when it is not whole."""
    folder = pathlib.Path(folder)
    try:
        key = json.loads((folder / "key.json").read_text("utf-8"))
        groups = np.array([GROUPS.index(group) for group in key["groups"]])
        sheet = np.asarray(Image.open(folder / "pictures.png").convert("RGB"))
        size, rows = sheet.shape[1] // PANEL, len(groups) // PANEL
        cut = sheet.reshape(rows, size, PANEL, size, 3).swapaxes(1, 2)
        pictures = np.ascontiguousarray(cut).reshape(-1, size, size, 3)
        quiz = Quiz(key["quiz"], pictures, groups, key["labels"], key["source"])
        whole = quiz.id == _id(pictures, groups, quiz.labels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"No quiz can be read from {folder}: {error}") from None
    if not whole:
        raise ValueError(
            f"key.json and pictures.png in {folder} do not belong together, or one of "
            "them was changed. Make the quiz anew from its seed."
        )
    return quiz


def _sheet(pictures):
    """Returns the pictures without gaps, one panel per row."""
    count, size = pictures.shape[:2]
    rows = pictures.reshape(count // PANEL, PANEL, size, size, 3).swapaxes(1, 2)
    return np.ascontiguousarray(rows).reshape(-1, PANEL * size, 3)


def png(picture):
    """Returns a PNG as bytes: nothing but the pixels, encoded alike for all."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def seal(quiz):
    """Returns which is which as base64 text that cannot be read at a glance.

    It is no secret: the page that can open it tells everyone how.
    """
    plain = json.dumps({"groups": quiz.groups.tolist(), "labels": quiz.labels})
    data = plain.encode().ljust(4096)  # one length, whatever the labels
    # FNV-1a makes a number of the id, xorshift a stream of bytes from that: both are a
    # line of JavaScript.
    state = 2166136261
    for letter in quiz.id.encode():
        state = (state ^ letter) * 16777619 % 2**32
    sealed = bytearray()
    for value in data:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        sealed.append(value ^ state >> 11 & 0xFF)
    return base64.b64encode(sealed).decode()


# --------------------------------------------------------------------------- answers


def read_answers(paths, quizzes):
    """Returns (list of Answers, {file name: why it was refused}).

    `paths` are files, or a folder, in which every .json file except key.json counts;
    `quizzes` is a Quiz or a list. Refused are files that are broken, unfinished or of
    another quiz, and whoever answered one quiz twice, by file or by name: the first in
    the order of file names counts.
    """
    quizzes = [quizzes] if isinstance(quizzes, Quiz) else list(quizzes)
    known = {quiz.id: quiz for quiz in quizzes}
    if isinstance(paths, (str, pathlib.Path)):
        paths = sorted(pathlib.Path(paths).glob("*.json"))
        paths = [path for path in paths if path.name != "key.json"]
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
        return json.loads(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not a text file") from None
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("not JSON, or cut short") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _check(record, known, file):
    """Returns the Answers in a decoded JSON `record`; `known` is {id: Quiz}.

    Raises ValueError with what is wrong with it.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError("not a file of answers that the quiz wrote")
    fields = ("format", *Answers._fields[1:])
    if set(record) != set(fields):
        wrong = ", ".join(sorted(map(repr, set(record) ^ set(fields))))
        raise ValueError(f"missing or unknown entries: {wrong}")
    for field in ("quiz", "response", "name", "knowledge", "finished"):
        if not isinstance(record[field], str):
            raise ValueError(f"{field!r} is not a text")
    if record["quiz"] not in known:
        raise ValueError(
            f"answers to quiz {record['quiz'][:12]!r}, not to {', '.join(known)}"
        )
    quiz, judged = known[record["quiz"]], record["judged_real"]
    if not isinstance(judged, list) or any(type(x) is not bool for x in judged):
        raise ValueError("'judged_real' is not a list of true and false")
    if len(judged) != len(quiz.pictures):
        raise ValueError(f"{len(judged)} answers to {len(quiz.pictures)} pictures")
    if not re.fullmatch("[0-9a-f]{32}", record["response"]):
        raise ValueError("'response' is not the random number that the quiz gives")
    if record["knowledge"] not in KNOWLEDGE:
        raise ValueError(f"'knowledge' is none of {', '.join(KNOWLEDGE[1:])}")
    seconds = record["seconds"]
    if type(seconds) not in (int, float) or not 0 <= seconds < math.inf:
        raise ValueError("'seconds' is not a number of seconds")
    name = " ".join(record["name"].split())[:80]
    judged = np.array(judged, bool)
    rest = (record["knowledge"], judged, float(seconds), record["finished"][:40])
    return Answers(file, quiz.id, record["response"], name, *rest)
