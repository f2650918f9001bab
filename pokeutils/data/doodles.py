"""Creatures drawn by code: for tests, and for machines without a network.

Number n is always the same creature. It is a plan (a body, a head, limbs, a tail, a
pattern, a palette) drawn as outlined shapes three times too large and then reduced.
"""

import colorsys
import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw

COUNT = 256
SIZE = 128  # pixels of the finished picture
SCALE = 3  # drawn this much larger, then reduced: smooth edges
LINE = 5  # width of the outline, in large pixels
INK, WHITE, PINK = (45, 38, 56, 255), (255, 255, 255, 255), (255, 140, 150, 255)


def draw(number):
    """Returns creature `number` as a straight RGBA Pillow image of 128 x 128 px."""
    rng = np.random.Generator(np.random.Philox(key=[number, 20]))
    pen = _Pen(_palette(rng))
    plans = (_walker, _stander, _blob, _bird, _serpent)
    plans[rng.choice(len(plans))](pen, rng)

    # Reduced premultiplied ("RGBa"), so that no edge darkens or lightens.
    small = pen.canvas.convert("RGBa").resize((SIZE, SIZE), Image.Resampling.BOX)
    return small.convert("RGBA")


def _palette(rng):
    # One hue for the body, a lighter belly, and an accent across the colour wheel.
    hue, spice = rng.uniform(0, 1), rng.choice([0.08, 0.33, 0.5, 0.92])
    rich, light = rng.uniform(0.35, 0.72), rng.uniform(0.66, 0.96)

    def colour(hue, saturation, value):
        red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
        return round(255 * red), round(255 * green), round(255 * blue), 255

    return {
        "body": colour(hue, rich, light),
        "shade": colour(hue + 0.03, min(1, rich + 0.15), light * 0.8),
        "belly": colour(hue + 0.04, rich * 0.3, min(1, light + 0.15)),
        "accent": colour(hue + spice, 0.68, 0.94),
    }


class _Pen:
    """Lays outlined shapes over each other on one large canvas (units: -110 to 110). A
    shape is a list of discs (x, y, radius) and polygons (lists of points). What is
    drawn `inside` another shape is clipped to it, and has no outline."""

    def __init__(self, palette):
        self.palette = palette
        self.canvas = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE))

    def oval(self, colour, x, y, width, height, turn=0, **how):
        return self.fill(colour, _oval(x, y, width, height, turn), **how)

    def polygon(self, colour, points, **how):
        return self.fill(colour, [points], **how)

    def stroke(self, colour, points, start, end, **how):
        """A soft line along a curve, from radius `start` to radius `end`."""
        path = _smooth(points)
        radii = np.linspace(start, end, len(path))
        discs = [(x, y, radius) for (x, y), radius in zip(path, radii, strict=True)]
        return self.fill(colour, discs, **how)

    def fill(self, colour, shape, inside=None, line=True):
        """Paints a shape with a dark outline around it; returns the shape."""
        colour = self.palette.get(colour, colour)
        if inside is None:
            if line:
                _paint(self.canvas, shape, INK, grow=LINE)
            _paint(self.canvas, shape, colour)
            return shape
        masks = [Image.new("L", self.canvas.size) for _ in range(2)]
        for mask, part in zip(masks, (shape, inside), strict=True):
            _paint(mask, part, 255)
        mask = ImageChops.multiply(*masks)
        if box := mask.getbbox():  # elsewhere it would only cost time
            self.canvas.paste(colour, box, mask.crop(box))
        return shape


def _paint(image, shape, colour, grow=0):
    """Fills a shape, `grow` px larger on each side."""
    draw, unit = ImageDraw.Draw(image), image.width / 220
    for part in shape:
        if isinstance(part, tuple):
            x, y, radius = (part[0] + 110) * unit, (part[1] + 110) * unit, part[2]
            radius = radius * unit + grow
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
            continue
        points = [((x + 110) * unit, (y + 110) * unit) for x, y in part]
        draw.polygon(points, fill=colour)
        if grow:
            joint = "curve" if len(part) < 20 else None  # ovals are smooth already
            draw.line(points + points[:2], fill=colour, width=2 * grow, joint=joint)


def _oval(x, y, width, height, turn=0):
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    points = np.stack([np.cos(angles) * width, np.sin(angles) * height], axis=1)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return [points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)]


def _smooth(points, count=40):
    # A Bezier curve through the control polygon: any number of points.
    points = np.asarray(points, float)
    t = np.linspace(0, 1, count)[:, None]
    while len(points) > 1:
        if points.ndim == 2:
            points = np.repeat(points[:, None], count, axis=1)
        points = points[:-1] * (1 - t) + points[1:] * t
    return points[0]


def _walker(pen, rng):
    """Four legs, seen from the side."""
    long, tall = rng.uniform(42, 55), rng.uniform(26, 36)
    leg, x, y = rng.uniform(20, 32), -12, 22
    _tail(pen, rng, x - long + 8, y - 6, -1)
    for foot in (-0.62, 0.5):  # the far legs, in shade
        at = x + foot * long + 12
        pen.stroke("shade", [(at, y), (at, y + tall + leg - 14)], 10, 11)
    for foot in (-0.7, 0.55):
        at = x + foot * long
        pen.stroke("body", [(at, y), (at, y + tall + leg - 8)], 12, 13)
    body = pen.oval("body", x, y, long, tall)
    _pattern(pen, rng, body, x - 6, y - tall * 0.35, long, tall)
    pen.oval("belly", x, y + tall * 0.75, long * 0.8, tall * 0.6, inside=body)
    _back(pen, rng, x, y - tall, long)
    _head(pen, rng, x + long * 0.85, y - tall - 12, rng.uniform(32, 42), side=True)


def _stander(pen, rng):
    """Two legs, two arms, seen from the front."""
    wide, tall = rng.uniform(30, 44), rng.uniform(34, 44)
    y, reach, lift = 42, rng.uniform(18, 34), rng.uniform(-26, 24)
    _tail(pen, rng, wide * 0.6, y + tall * 0.5, 1)
    if rng.random() < 0.3:
        _wings(pen, rng, wide * 0.6, y - tall * 0.4)
    for side in (-1, 1):
        foot = side * wide * 0.6
        pen.oval("shade", foot, y + tall * 0.95, 19, 13)
        arm = [(side * wide * 0.8, y - 14), (side * (wide + reach), y + lift)]
        pen.stroke("body", arm, 12, 9)
    body = pen.oval("body", 0, y, wide, tall)
    _pattern(pen, rng, body, 0, y - tall * 0.2, wide, tall * 0.7)
    pen.oval("belly", 0, y + 10, wide * 0.66, tall * 0.7, inside=body)
    _head(pen, rng, 0, y - tall - 14, rng.uniform(36, 48))


def _blob(pen, rng):
    """All head: a round thing with stubs for feet."""
    wide, tall = rng.uniform(52, 68), rng.uniform(48, 62)
    y = 18
    _tail(pen, rng, wide * 0.7, y + tall * 0.4, 1)
    if rng.random() < 0.35:
        _wings(pen, rng, wide * 0.75, y - tall * 0.2)
    for side in (-1, 1):
        pen.oval("shade", side * wide * 0.5, y + tall * 0.93, 19, 13)
        if rng.random() < 0.6:
            arm = [(side * wide * 0.9, y + 8), (side * (wide + 16), y + 20)]
            pen.stroke("body", arm, 11, 9)
    _ears(pen, rng, 0, y - tall * 0.75, wide * 0.9)
    body = pen.oval("body", 0, y, wide, tall)
    _pattern(pen, rng, body, 0, y - tall * 0.55, wide * 0.8, tall * 0.4)
    pen.oval("belly", 0, y + tall * 0.8, wide * 0.8, tall * 0.6, inside=body)
    _face(pen, rng, body, 0, y - 4, wide * 0.8)


def _bird(pen, rng):
    """Two legs, two wings and a beak."""
    wide, tall = rng.uniform(34, 46), rng.uniform(40, 50)
    y = 16
    for side in (-1, 1):
        leg = [(side * 14, y + tall - 6), (side * 16, y + tall + 24)]
        pen.stroke("accent", leg, 5, 5)
        pen.oval("accent", side * 19, y + tall + 27, 13, 6)
    _wings(pen, rng, wide * 0.7, y - 4)
    body = pen.oval("body", 0, y, wide, tall)
    _pattern(pen, rng, body, 0, y + tall * 0.1, wide * 0.8, tall * 0.4)
    pen.oval("belly", 0, y + tall * 0.55, wide * 0.7, tall * 0.55, inside=body)
    _head(pen, rng, 0, y - tall * 0.8, rng.uniform(30, 38), beak=True)


def _serpent(pen, rng):
    """No legs: one long curve that rises into a head."""
    turn = 1 if rng.random() < 0.5 else -1
    thick, low = rng.uniform(17, 23), rng.uniform(60, 74)
    curve = [(58, low), (-10, low + 26), (-124, low - 8), (30, 20), (24, -34)]
    path = [(turn * x, y) for x, y in curve]
    _tail(pen, rng, turn * 54, low, turn)
    body = pen.stroke("body", path, 8, thick)
    for index, (x, y) in enumerate(_smooth(path)[4:-6:6]):
        spot = (x, y, thick * 0.34, thick * 0.34)
        pen.oval("accent" if index % 2 else "belly", *spot, inside=body)
    _head(pen, rng, turn * 22, -42, rng.uniform(30, 40))


def _head(pen, rng, x, y, size, side=False, beak=False):
    _ears(pen, rng, x, y - size * 0.6, size)
    head = pen.oval("body", x, y, size, size * rng.uniform(0.82, 0.98))
    if rng.random() < 0.35:
        pen.oval("accent", x, y - size * 0.8, size * 0.7, size * 0.45, inside=head)
    _face(pen, rng, head, x + (size * 0.2 if side else 0), y + 4, size, beak)


def _ears(pen, rng, x, y, size):
    kind = rng.choice(["pointed", "long", "round", "horns", "leaf", "none"])
    tall = rng.uniform(0.7, 1.15) * size
    if kind == "leaf":
        pen.stroke("shade", [(x, y), (x, y - size * 0.4)], 4, 4)
        for side in (-1, 1):
            pen.oval("accent", x + side * 16, y - size * 0.5, 19, 10, side * -25)
        return
    for side in (-1, 1):
        at = x + side * size * 0.55
        if kind == "pointed":
            tip = (at + side * size * 0.3, y - tall * 0.75)
            inner, outer = (at - side * 17, y + 2), (at + side * 16, y + 22)
            pen.polygon("body", [inner, tip, outer])
            core = np.mean([inner, tip, outer], axis=0)
            small = [core + (np.array(p) - core) * 0.45 for p in (inner, tip, outer)]
            pen.polygon("accent", small, line=False)
        elif kind == "long":
            turn, wide, high = side * 14, size * 0.24, tall * 0.62
            pen.oval("body", at, y - tall * 0.45, wide, high, turn)
            core = (at, y - tall * 0.45, wide * 0.45, high * 0.65)
            pen.oval("accent", *core, turn, line=False)
        elif kind == "round":
            pen.oval("body", at + side * 6, y, size * 0.38, size * 0.38)
            pen.oval("accent", at + side * 6, y, size * 0.2, size * 0.2, line=False)
        elif kind == "horns":
            middle, tip = (at + side * 12, y - 14), (at + side * 4, y - tall * 0.5)
            pen.stroke("belly", [(at, y + 10), middle, tip], 8, 1)


def _face(pen, rng, face, x, y, size, beak=False):
    apart, eye = size * rng.uniform(0.4, 0.52), size * rng.uniform(0.15, 0.23)
    for side in (-1, 1):
        at = x + side * apart
        pen.oval(WHITE, at, y, eye, eye * 1.25, line=False)
        pen.oval(INK, at, y + eye * 0.1, eye * 0.8, eye * 1.05, line=False)
        shine = (at - eye * 0.25, y - eye * 0.4, eye * 0.34, eye * 0.38)
        pen.oval(WHITE, *shine, line=False)
        if size > 30:
            cheek = (at + side * eye, y + eye * 1.9, eye * 0.7, eye * 0.45)
            pen.oval(PINK, *cheek, inside=face)
    low = y + size * 0.42
    if beak:
        wide = size * 0.26
        points = [(x - wide, y + 8), (x + wide, y + 8), (x, y + 12 + wide * 1.6)]
        pen.polygon("accent", points)
    elif rng.random() < 0.6:
        smile = [(x - size * 0.18, low), (x, low + size * 0.22), (x + size * 0.18, low)]
        pen.stroke(INK, smile, 2.4, 2.4, line=False)
    else:
        pen.oval((200, 70, 90, 255), x, low + 2, size * 0.14, size * 0.12)


def _tail(pen, rng, x, y, side):
    kind = rng.choice(["bushy", "flame", "thin", "bolt", "none"])
    far, high = x + side * 38, y - rng.uniform(20, 44)
    if kind == "bushy":
        pen.stroke("body", [(x, y), (x + side * 34, y + 6), (far, high)], 8, 16)
        pen.oval("belly", far, high, 14, 14, line=False)
    elif kind == "flame":
        pen.stroke("body", [(x, y), (x + side * 36, y + 6), (far, high)], 8, 5)
        drop = [(far - 12, high), (far - side * 4, high - 34), (far + 12, high)]
        pen.fill("accent", [drop] + _oval(far, high, 13, 12))
    elif kind == "thin":
        pen.stroke("shade", [(x, y), (x + side * 40, y), (far, high)], 6, 4)
        pen.oval("accent", far, high, 10, 10)
    elif kind == "bolt":
        steps = [(0, -7), (20, -22), (16, -10), (38, -34), (30, -8), (14, 4), (0, 9)]
        pen.polygon("accent", [(x + side * dx, y + dy) for dx, dy in steps])


def _wings(pen, rng, x, y):
    span, lift = rng.uniform(36, 48), rng.uniform(8, 42)
    rim = [(0, -12), (1, -lift), (0.86, 2), (0.62, 0), (0.5, 20), (0.26, 14), (0, 28)]
    for side in (-1, 1):
        feathers = [(side * (x + span * out), y + down) for out, down in rim]
        pen.polygon("accent", feathers)


def _back(pen, rng, x, y, long):
    kind = rng.choice(["spikes", "shell", "none"])
    if kind == "spikes":
        for step in (-0.6, -0.2, 0.2):
            at = x + step * long
            spike = [(at - 11, y + 9), (at - 4, y - 16), (at + 11, y + 7)]
            pen.polygon("accent", spike)
    elif kind == "shell":
        shell = pen.oval("accent", x - 4, y + 8, long * 0.7, 24)
        pen.oval("belly", x - 8, y, long * 0.4, 8, inside=shell)


def _pattern(pen, rng, body, x, y, wide, tall):
    kind = rng.choice(["spots", "stripes", "none"])
    if kind == "spots":
        for _ in range(5):
            at = x + rng.uniform(-0.8, 0.8) * wide, y + rng.uniform(-0.5, 0.5) * tall
            dot = rng.uniform(5, 9)
            pen.oval("shade", *at, dot, dot, inside=body)
    elif kind == "stripes":
        for step in (-0.55, 0, 0.55):
            at = x + step * wide
            stripe = [(at, y - tall), (at + 6, y + tall * 0.2)]
            pen.stroke("shade", stripe, 7, 2, inside=body)
