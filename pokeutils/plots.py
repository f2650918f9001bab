"""Pictures for people: tiled sheets, curves, GIFs (NumPy, Pillow, matplotlib, imageio).

A sheet is one uint8 RGB array, shown as one JPEG: 64 separate axes would make a
notebook ten times larger.
"""

import io
import math

import numpy as np
from PIL import Image

from pokeutils import files

INK, GOLD, TEAL, GREY = "#3b4252", "#d08770", "#4c9a8f", "#aab2bd"


def to_uint8(x):
    """float in [-1, 1] -> uint8, rounded and clipped; the way out of the networks."""
    return np.clip(np.rint((np.asarray(x, "float32") + 1.0) * 127.5), 0, 255).astype(
        "uint8"
    )


def over(pictures, background=255):
    """Premultiplied RGBA uint8 (..., 4) over a grey level or an RGB colour -> RGB uint8
    (..., 3). RGB pictures come back unchanged."""
    if pictures.shape[-1] == 3:
        return pictures
    ground = np.broadcast_to(np.asarray(background, "float32"), (3,))
    rest = 1.0 - pictures[..., 3:].astype("float32") / 255.0
    return np.clip(np.rint(pictures[..., :3] + rest * ground), 0, 255).astype("uint8")


def tile(pictures, columns=8, scale=1, gap=2, background=255):
    """uint8 (n, h, w, 3 or 4) -> one RGB uint8 array, row by row.

    Four channels are premultiplied RGBA and are put over `background`. `scale` repeats
    pixels, so that they stay sharp.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.dtype != np.uint8 or not len(pictures):
        raise ValueError(
            f"tile needs uint8 pictures (n, h, w, 3 or 4), at least one; got "
            f"{pictures.dtype} {pictures.shape}. Use plots.to_uint8 on network output."
        )
    pictures = over(pictures, background).repeat(scale, 1).repeat(scale, 2)
    n, h, w, _ = pictures.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    sheet = np.empty((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), "uint8")
    sheet[:] = np.asarray(background, "uint8")
    for i, picture in enumerate(pictures):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = picture
    return sheet


def labelled(sheets, labels, scale=1, gap=8):
    """Sheets (RGB uint8 arrays) side by side, a label above each -> a figure."""
    import matplotlib.pyplot as plt

    widths = [sheet.shape[1] * scale for sheet in sheets]
    height = max(sheet.shape[0] for sheet in sheets) * scale
    figure, axes = plt.subplots(
        1,
        len(sheets),
        figsize=((sum(widths) + gap * len(sheets)) / 100, (height + 36) / 100),
        dpi=100,
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    for axis, sheet, label in zip(axes[0], sheets, labels, strict=True):
        axis.imshow(sheet, interpolation="nearest" if scale > 1 else None)
        axis.set_title(label, fontsize=9, color=INK)
        axis.axis("off")
    return figure


def curves(x, series, xlabel="images seen", ylabel="", smooth=1, axis=None):
    """Draws {label: values} against `x`; returns the matplotlib figure.

    smooth: running mean over that many points, drawn over the faint raw curve.
    """
    import matplotlib.pyplot as plt

    if axis is None:
        _, axis = plt.subplots(figsize=(6.4, 3.0), dpi=100, layout="constrained")
    for (label, values), colour in zip(
        series.items(), (TEAL, GOLD, INK, GREY), strict=False
    ):
        values = np.asarray(values, "float64")
        window = max(1, min(smooth, len(values)))
        if window > 1:
            axis.plot(x, values, color=colour, alpha=0.25, linewidth=0.8)
            padded = np.pad(values, (window // 2, (window - 1) // 2), "edge")
            values = np.convolve(padded, np.ones(window) / window, "valid")
        axis.plot(x, values, color=colour, label=label, linewidth=1.6)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e5e9f0", linewidth=0.6)
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8)
    return axis.figure


def to_jpeg(picture, width=None, quality=88):
    """RGB uint8 array or matplotlib figure -> JPEG bytes.

    width: enlarge by whole pixels to at most this width (arrays only).
    """
    picture = _as_image(picture, width)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def show(picture, width=None, quality=88):
    """Shows an RGB uint8 array or a matplotlib figure in a notebook, as one JPEG."""
    from IPython.display import Image as Shown
    from IPython.display import display

    display(Shown(data=to_jpeg(picture, width, quality), format="jpeg"))


def save_png(path, picture):
    """Writes an RGB(A) uint8 array as PNG, atomically."""
    with files.atomic(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG", optimize=True)
    return path


def gif(path, frames, milliseconds=200, last=1500, colours=128):
    """Writes RGB uint8 frames as a looping GIF, atomically; the last one stays.

    One palette for all frames, made from the last one and a middle one: without it,
    colours flicker from frame to frame. Raises ValueError without frames.
    """
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError("A GIF needs at least one frame; the list of frames is empty.")
    key = np.concatenate([frames[len(frames) // 2], frames[-1]])
    palette = Image.fromarray(key).quantize(colours, Image.Quantize.MEDIANCUT)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    durations = [milliseconds] * (len(images) - 1) + [last]
    with files.atomic(path) as temporary:
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            optimize=False,
        )
    return path


def _as_image(picture, width=None):
    if hasattr(picture, "savefig"):
        import matplotlib.pyplot as plt

        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", facecolor="white")
        plt.close(picture)
        return Image.open(buffer).convert("RGB")
    picture = np.asarray(picture)
    if width and width >= 2 * picture.shape[1]:
        times = width // picture.shape[1]
        picture = picture.repeat(times, 0).repeat(times, 1)
    return Image.fromarray(picture)
