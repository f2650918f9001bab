"""Pictures for people: curves, films, and sheets. A sheet is one uint8 RGB array, shown
as one JPEG: 64 separate axes would make a notebook ten times larger.
"""

import importlib.util
import io
import itertools
import math

import numpy as np
from PIL import Image

from pokeutils.common import files, images

INK, GOLD, TEAL, GREY = "#3b4252", "#d08770", "#4c9a8f", "#aab2bd"
PALE = "#e5e9f0"  # grids, and what stands back
_TYPES = (
    "normal #a8a593 fire #e4673d water #4b8fd1 electric #eec22f grass #63a94b "
    "ice #74cbc9 fighting #b8433f poison #9655a8 ground #cfa955 flying #97a9e2 "
    "psychic #ea6690 bug #9cab2b rock #a8935a ghost #675d93 dragon #5b5fd0 "
    "dark #5e5148 steel #8d9fae fairy #e39ac6"
).split()
TYPES = dict(zip(_TYPES[::2], _TYPES[1::2], strict=True))  # nearly the games' colours
PAGE = 900  # pixels that a notebook gives a picture, about
LIMIT = 120_000  # bytes of one shown picture: notebooks stay small enough to open


def tile(pictures, columns=8, scale=1, gap=2, background=255):
    """Puts uint8 pictures (n, h, w, 3 or 4) on one RGB uint8 sheet, row by row. Four
    channels are premultiplied RGBA and are put over `background`. `scale` repeats
    pixels, so that they stay sharp. Raises ValueError for anything else."""
    images.at_least(1, columns=columns, scale=scale)
    images.at_least(0, gap=gap)
    pictures = images.over(images.check(pictures), background)
    pictures = pictures.repeat(scale, 1).repeat(scale, 2)
    n, h, w, _ = pictures.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    sheet = np.empty((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), "uint8")
    sheet[:] = np.asarray(background, "uint8")
    for i, picture in enumerate(pictures):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = picture
    return sheet


def cut(sheet, size, gap=2):
    """Cuts a sheet that `tile` made at scale 1, an RGB array or the path of a picture
    file: uint8 pictures (n, size, size, 3). The last row may end in empty ones."""
    images.at_least(1, size=size)
    if not isinstance(sheet, np.ndarray):
        with Image.open(sheet) as file:
            sheet = np.asarray(file.convert("RGB"))
    sheet, side = sheet[gap:, gap:], size + gap
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    cells = sheet.reshape(rows, side, columns, side, 3)[:, :size, :, :size]
    return cells.swapaxes(1, 2).reshape(-1, size, size, 3)


def labelled(sheets, labels, scale=1, gap=8, columns=None):
    """Draws sheets (RGB uint8 arrays) in a grid, pixel by pixel, a label above each;
    returns a figure. Without `columns`, all in one row."""
    import matplotlib.pyplot as plt

    columns = min(columns or len(sheets), len(sheets))
    rows = [sheets[i : i + columns] for i in range(0, len(sheets), columns)]
    widths = [
        scale * max(s.shape[1] for s in sheets[i::columns]) for i in range(columns)
    ]
    heights = [scale * max(sheet.shape[0] for sheet in row) for row in rows]
    width = sum(widths) + gap * (columns + 1)
    zoom = max(1, width / PAGE)  # a page shrinks what is wider, the text with it
    lines = max(label.count("\n") + 1 for label in labels)
    band = round(zoom * (10 + 14 * lines))  # for the text
    height = sum(heights) + (band + 8) * len(rows)
    figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
    for i, (sheet, label) in enumerate(zip(sheets, labels, strict=True)):
        row, column = divmod(i, columns)
        left = gap + sum(widths[:column]) + gap * column
        top = band + sum(heights[:row]) + (band + 8) * row
        wide, tall = scale * sheet.shape[1], scale * sheet.shape[0]
        place = (left / width, 1 - (top + tall) / height, wide / width, tall / height)
        axis = figure.add_axes(place)
        axis.imshow(sheet, interpolation="nearest", aspect="auto")
        axis.set_title(_plain(label), fontsize=9 * zoom, color=INK, pad=4 * zoom)
        axis.axis("off")
    return figure


def scatter(pictures, x, y, side=32, width=800, height=800, apart=0.0):
    """Puts premultiplied RGBA pictures at places on white: one RGB uint8 array. x, y:
    the pictures' centres, 0 to 1 from left to right and from top to bottom; side:
    pixels of one picture. Later ones lie over earlier ones, or are left out if nearer
    than `apart` sides to one."""
    places = np.stack([np.multiply(x, width - side), np.multiply(y, height - side)], 1)
    kept = []
    for i, place in enumerate(places):
        if not kept or np.hypot(*(places[kept] - place).T).min() >= apart * side:
            kept.append(i)
    pictures = images.shrink(np.asarray(pictures)[kept], side)
    times = max(1, math.ceil(side / pictures.shape[1]))
    pictures = pictures.repeat(times, 1).repeat(times, 2)
    size = pictures.shape[1]  # drawn at full size, then reduced as a whole
    wide, tall = (round(length * size / side) for length in (width, height))
    canvas = np.zeros((tall, wide, 4), "uint8")
    for picture, place in zip(pictures, places[kept], strict=True):
        left, top = np.rint(place * size / side).astype(int)
        under = canvas[top : top + size, left : left + size]
        rest = under.astype("uint16") * (255 - picture[..., 3:]) // 255
        under[:] = picture + rest.astype("uint8")
    if size == side:
        return images.over(canvas)
    shown = Image.fromarray(images.over(canvas))
    return np.asarray(shown.resize((width, height), Image.Resampling.LANCZOS))


def wheel(pictures, angles, strengths, width=800):
    """Puts premultiplied RGBA pictures on rings: one RGB uint8 array. `angles` (n,) in
    any unit order them clockwise, equally many in every direction; those with the
    smallest `strengths` (n,) stand in the middle. At most `width` px wide."""
    turns = 2 * np.pi * np.argsort(np.argsort(angles)) / len(angles)
    order = np.argsort(strengths)
    x, y = np.zeros((2, len(order)))
    rings = placed = 0
    while placed < len(order):
        room = max(1, round(2 * np.pi * rings))
        members = order[placed : placed + room]
        members = members[np.argsort(turns[members])]
        slots = 2 * np.pi * np.arange(len(members)) / len(members)
        # The ring is turned as a whole, so that each is as near as can be to its place.
        slots += np.angle(np.exp(1j * (turns[members] - slots)).mean())
        x[members], y[members] = rings * np.sin(slots), -rings * np.cos(slots)
        rings, placed = rings + 1, placed + room
    width = min(width, 120 * rings)
    across = 2 * max(1, rings - 1)  # pictures, from the middle of the first to the last
    x, y, side = 0.5 + x / across, 0.5 + y / across, width // (across + 1)
    return scatter(pictures, x, y, side, width, width)


def smooth(picture, side):
    """Enlarges a picture (h, w, 3), floats or uint8 from 0 to 255, without visible
    pixels: RGB uint8 (side, side, 3)."""
    picture = Image.fromarray(np.uint8(np.rint(np.clip(picture, 0, 255))))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def on_checkerboard(picture, square=8):
    """Lays premultiplied RGBA (h, w, 4) on the usual sign for nothing: RGB uint8."""
    y, x = np.indices(picture.shape[:2]) // square
    return images.composite(picture, np.where((x + y) % 2, 255, 225)[..., None])


def chart(width=8.0, height=3.0, columns=1):
    """Returns a quiet figure and its axis, or axes. Sizes are in hundreds of pixels on
    the page; it is drawn finer, for sharp text."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        *(1, columns),
        figsize=(width, height),
        dpi=160,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes[0]:
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelsize=9, colors=INK)
        axis.xaxis.label.set(size=9, color=INK)
        axis.yaxis.label.set(size=9, color=INK)
        axis.set_axisbelow(True)
    return figure, axes[0] if columns > 1 else axes[0, 0]


def bars(axis, names, values, colours=TEAL, text="{:.0f}"):
    """Draws horizontal bars from the top down, each with its value beside it."""
    if not isinstance(colours, str):
        colours = list(colours)[::-1]
    names = [_plain(name) for name in names]
    drawn = axis.barh(names[::-1], list(values)[::-1], color=colours, height=0.72)
    axis.bar_label(drawn, fmt=text, fontsize=8, padding=3, color=INK)
    axis.set_xticks([])
    axis.margins(x=0.08, y=0.01)
    return axis


def heat_maps(tables, titles, rows, columns, ylabel="", xlabel="", text=None):
    """Draws tables of shares (r, c), 0 to 1, beside each other; returns the matplotlib
    figure. rows, columns: the names along their sides; text: how each share is written
    into its cell, such as "{:.0%}"; without it, the colour says it alone."""
    width = 1.4 + len(tables) * max(0.2 * len(columns), 2.2)
    figure, axes = chart(width, 1.3 + 0.2 * len(rows), len(tables))
    for axis, table, title in zip(np.atleast_1d(axes), tables, titles, strict=True):
        axis.imshow(table, cmap="GnBu", vmin=0, vmax=1, aspect="auto")
        axis.set_title(title, fontsize=10, color=INK)
        axis.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
        axis.set_yticks(range(len(rows)), rows, fontsize=8)
        axis.set(xlabel=xlabel, ylabel=ylabel if axis is np.atleast_1d(axes)[0] else "")
        for (row, column), share in np.ndenumerate(np.asarray(table) if text else []):
            colour = "white" if share > 0.6 else INK
            place = {"ha": "center", "va": "center", "fontsize": 8, "color": colour}
            axis.text(column, row, text.format(share), **place)
    return figure


def _plain(text):
    """Text that matplotlib takes for no formula, as it would what lies between dollars:
    file names may have some."""
    return text.replace("$", r"\$")


def curves(x, series, xlabel="images seen", ylabel="", smooth=1):
    """Draws {label: values} against `x`; returns the matplotlib figure. `smooth` is a
    running mean over that many points, drawn over the faint raw curve."""
    import matplotlib.pyplot as plt

    _, axis = plt.subplots(figsize=(6.4, 3.0), dpi=100, layout="constrained")
    # Four colours, then the same ones dashed, dotted, and both.
    styles = itertools.product(("-", "--", ":", "-."), (TEAL, GOLD, INK, GREY))
    styles = itertools.cycle(styles)
    for label, values in series.items():
        dashes, colour = next(styles)
        values = np.asarray(values, "float64")
        window = max(1, min(smooth, len(values)))
        if window > 1:
            axis.plot(x, values, color=colour, alpha=0.25, linewidth=0.8)
            padded = np.pad(values, (window // 2, (window - 1) // 2), "edge")
            values = np.convolve(padded, np.ones(window) / window, "valid")
        axis.plot(x, values, color=colour, linestyle=dashes, label=label, linewidth=1.6)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    # 1,200,000, not 1.2 1e6, and room for it.
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.10g}")
    axis.locator_params(axis="x", nbins=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=PALE, linewidth=0.6)
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8)
    return axis.figure


def to_jpeg(picture, quality=88, limit=LIMIT):
    """Returns an RGB uint8 array or a matplotlib figure as JPEG bytes. `quality` gives
    way, down to 40, to `limit`."""
    picture = _as_image(picture)
    while True:
        buffer = io.BytesIO()
        fine = 0 if quality >= 80 else 2  # full or half resolution of the colours
        picture.save(buffer, "JPEG", quality=quality, subsampling=fine)
        if buffer.tell() <= limit or quality <= 40:
            return buffer.getvalue()
        quality -= 6


def show(picture, quality=88, display=None):
    """Shows an RGB uint8 array or a matplotlib figure in a notebook, as one JPEG.
    display: what shows it, such as `update` of an IPython DisplayHandle."""
    from IPython.display import Image as Shown
    from IPython.display import display as in_a_new_place

    on_page = None
    if hasattr(picture, "savefig") and picture.dpi > 100:  # drawn finer than shown
        on_page = round(100 * picture.get_figwidth())
    data = to_jpeg(picture, quality)
    (display or in_a_new_place)(Shown(data=data, format="jpeg", width=on_page))


def sliders(draw, **ranges):
    """Calls `draw` with what a reader chooses below a notebook's cell: ipywidgets'
    `interact`, with (low, high, step) for a slider or a list for a menu. Shows nothing
    where ipywidgets is not installed, or nobody can be asked, as in `make run`."""
    try:
        from IPython import get_ipython
        from ipywidgets import interact
    except ImportError:
        return
    kernel = getattr(get_ipython(), "kernel", None)
    if getattr(kernel, "_allow_stdin", False):  # what a front end says of itself
        interact(draw, **ranges)


def save_png(path, picture):
    """Writes an RGB(A) uint8 array as PNG, atomically."""
    with files.atomic(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG", optimize=True)
    return path


def gif(path, frames, milliseconds=200, last=1500, colours=128):
    """Writes RGB uint8 frames as a looping GIF, atomically; the last one stays. One
    palette for all frames, made from the last one and a middle one, or colours flicker;
    the corner's colour is kept exactly. Raises ValueError without frames."""
    import imageio.v3 as iio  # a quarter of a second that few have to wait for

    frames = _frames(frames)
    key = np.concatenate([frames[len(frames) // 2], frames[-1]])
    palette = Image.fromarray(key).quantize(colours, Image.Quantize.MEDIANCUT)
    entries, background = palette.getpalette(), palette.getpixel((0, 0))
    entries[3 * background : 3 * background + 3] = key[0, 0].tolist()
    palette.putpalette(entries)
    plain = Image.Dither.NONE
    indices = np.stack(
        [Image.fromarray(f).quantize(palette=palette, dither=plain) for f in frames]
    )
    # Pillow rounds a colour before it looks it up, and may miss an equal entry.
    indices[(frames == key[0, 0]).all(-1)] = background
    with files.atomic(path) as temporary:
        iio.imwrite(
            temporary,
            indices,
            extension=".gif",
            plugin="pillow",
            mode="P",
            palette=bytes(entries),
            duration=[milliseconds] * (len(frames) - 1) + [last],
            loop=0,
        )
    return path


def mp4(path, frames, milliseconds=200, last=1500):
    """Writes RGB uint8 frames as an MP4, atomically; the last one stays. Returns its
    path, or None without imageio-ffmpeg. Raises ValueError without frames."""
    import imageio.v3 as iio

    images.at_least(1, milliseconds=milliseconds)
    frames = _frames(frames)
    if not importlib.util.find_spec("imageio_ffmpeg"):
        return None
    # Players want an even number of pixels.
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    held = frames[-1:].repeat(max(last // milliseconds, 1) - 1, axis=0)
    with files.atomic(path) as temporary:
        iio.imwrite(
            temporary,
            np.concatenate([frames, held]),
            extension=".mp4",
            plugin="FFMPEG",
            fps=1000 / milliseconds,
            macro_block_size=2,
        )
    return path


def _frames(frames):
    """Frames as one array (n, h, w, 3)."""
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError("A film needs at least one frame; the list is empty.")
    return np.stack(frames)


def _as_image(picture):
    if hasattr(picture, "savefig"):
        import matplotlib.pyplot as plt

        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", facecolor="white")
        plt.close(picture)
        return Image.open(buffer).convert("RGB")
    return Image.fromarray(np.asarray(picture))
