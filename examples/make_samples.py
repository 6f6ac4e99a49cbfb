"""Draw the sample images that ship with softcomp_codec.

Every image is drawn by this script alone, from strokes, outlines and noise: nothing was scanned or
photographed. The same script gives the same pixels everywhere, because the noise comes from the raw
64-bit words of PCG64, whose stream NumPy keeps fixed.

    python examples/make_samples.py            # write softcomp_codec/samples/*.png
    python examples/make_samples.py --check    # compare the pixels with the files, write nothing
"""

import argparse
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SAMPLES = Path(__file__).parent.parent / "softcomp_codec" / "samples"

Field = NDArray[np.float64]
Line = NDArray[np.float64]  # points (x, y), shape (n, 2)


# ---- Tools ---------------------------------------------------------------------------------------


class Noise:
    """Random numbers that are the same on every machine and with every NumPy."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.PCG64(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between the limits."""
        return low + (high - low) * int(self.generator.random_raw()) / 2**64

    def normal(self, *shape: int) -> Field:
        """About normal (a sum of twelve uniform numbers), mean 0, deviation 1."""
        words = np.atleast_1d(self.generator.random_raw(3 * math.prod(shape)))
        parts = words.astype("<u8").view("<u2").astype(np.int64).reshape(*shape, 12)
        total: Field = (parts.sum(axis=-1) - 6 * 0xFFFF) / 65536.0
        return total

    def clouds(self, shape: tuple[int, int], radius: int) -> Field:
        """Smooth noise, mean about 0, deviation about 1."""
        margin = 3 * radius
        field = self.normal(shape[0] + 2 * margin, shape[1] + 2 * margin)
        field = blurred(field, radius)[margin:-margin, margin:-margin]
        return field * (1.75 * radius + 0.6)


def blurred(field: Field, radius: int) -> Field:
    """Blur by three box filters, which is nearly a Gaussian."""
    for axis in (0, 1) * 3:
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis)
        length = field.shape[axis]
        upper = np.take(total, np.arange(2 * radius + 1, 2 * radius + 1 + length), axis=axis)
        field = (upper - np.take(total, np.arange(length), axis=axis)) / (2 * radius + 1)
    return field


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Return x and y of the centre of each pixel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return x + 0.5, y + 0.5


def spline(points: Line, steps: int = 8) -> Line:
    """Return a smooth line through the points (Catmull-Rom)."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = (np.arange(steps) / steps)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def distance(x: Field, y: Field, line: Line) -> Field:
    """Return the distance of each pixel from a line."""
    nearest = np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1) in pairwise(line):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        nearest = np.minimum(nearest, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2)
    root: Field = np.sqrt(nearest)
    return root


def coverage(signed_distance: Field, softness: float = 1.0) -> Field:
    """Return how much of each pixel lies inside: 1 inside, 0 outside, smooth at the edge."""
    return np.clip(0.5 - signed_distance / softness, 0, 1)


def inside(x: Field, y: Field, outline: Line) -> NDArray[np.bool_]:
    """Return whether each point lies in a polygon."""
    found = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            found ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return found


def filled(size: int, outline: Line, supersampling: int = 4) -> Field:
    """Return the coverage of a polygon in a square image."""
    x, y = grid(size * supersampling, size * supersampling)
    hits = inside(x / supersampling, y / supersampling, outline).astype(np.float64)
    counts: Field = hits.reshape(size, supersampling, size, supersampling).sum(axis=(1, 3))
    return counts / supersampling**2


def read_points(text: str) -> list[tuple[Line, bool]]:
    """Read points ``x,y`` by spaces, lines by ``;``, and whether a ``~`` marks a curve."""
    lines = []
    for part in text.split(";"):
        points = [[float(n) for n in pair.split(",")] for pair in part.strip(" ~").split()]
        lines.append((np.array(points), part.strip().startswith("~")))
    return lines


def strokes(text: str) -> list[Line]:
    """Return the lines of a text; see `read_points`."""
    return [spline(points) if curved else points for points, curved in read_points(text)]


def to_bytes(field: Field) -> NDArray[np.uint8]:
    return np.clip(np.floor(field + 0.5), 0, 255).astype(np.uint8)


# ---- Handwritten digits --------------------------------------------------------------------------

DIGITS = (  # in a box 10 wide and 14 high, y downwards
    "~5,0 2,1.5 .6,6 1.2,11 4.3,13.8 7.8,12.4 9.4,7.5 8.4,2 5.2,.2 4.2,.6",
    "~3.8,2.4 5.4,.3 5.2,5 4.8,10 4.6,14",
    "~.8,3.2 3,.4 6.8,.4 8.6,3.2 7,7 3.6,10.6 .6,13.6 2.6,13 5.6,13.2 9.8,13.4",
    "~1,1.8 4,0 7.6,1.2 7.6,4.4 4.2,6.4 7.4,7 9.2,9.8 7,13 3.4,13.8 .6,12.2",
    "~2.6,.4 2,3.6 1,7.4 4,7.8 9.4,7; ~7.6,.6 7.2,6 6.6,10 6.2,14",
    "~2.6,.8 2.2,3.4 1.6,6.4 4.4,5.6 7.8,6.8 8.6,10 6.4,13.2 3.2,13.8 .6,12.6; 2.6,.9 5,.6 8.8,.3",
    "~7.2,.2 4,2.6 1.4,7.4 1.2,11.4 3.8,13.9 7.2,12.8 8.2,9.8 6.2,7.6 3.2,8.2 1.4,10.6",
    "~.6,1.4 3.4,.8 9,.6 7.4,4.8 5.4,9.6 4.6,14",
    "~8.2,1.6 5.4,0 2,1.4 2.2,4.4 5.4,6.6 8.4,9.4 7.6,12.8 4.4,14 1.6,12 2.6,8.8 6.4,6 "
    "8.4,3.2 7.8,1.2",
    "~8.2,2 5.6,.2 2,1.6 1.2,4.8 3.6,7 6.8,5.6 8.4,2.2 8,6 7.2,10.4 6.6,14",
)


def draw_digit(digit: int, noise: Noise) -> NDArray[np.uint8]:
    """Return a digit as one of many hands may write it, 28 x 28."""
    slant, turn = noise.uniform(-0.15, 0.45), noise.uniform(-0.2, 0.12)
    stretch, width = noise.uniform(0.75, 1.1), noise.uniform(2.0, 3.3)
    lines = []
    for ideal, _ in read_points(DIGITS[digit]):
        points = ideal + 0.6 * noise.normal(*ideal.shape)
        across = (points[:, 0] - 5) * stretch - slant * (points[:, 1] - 7)
        down = points[:, 1] - 7 + turn * (points[:, 0] - 5)
        lines.append(spline(np.stack([across, down], axis=1)))
    everything = np.concatenate(lines)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = (19.6 - width) / (high - low).max()
    x, y = grid(28, 28)
    nearest = np.full((28, 28), np.inf)
    for line in lines:
        nearest = np.minimum(nearest, distance(x, y, (line - (low + high) / 2) * scale + 14))
    pressure = 1 + 0.12 * noise.clouds((28, 28), 4)
    ink = coverage(nearest - width / 2 * pressure, softness=1.7)
    return to_bytes(255 * np.minimum(1, ink * 1.04) * (ink > 0.02))


def digit_sheet() -> Image.Image:
    """Return 400 thresholded digits in a sheet of 20 x 20 cells."""
    noise = Noise(11)
    cells = np.stack([draw_digit(i * 7 % 10, noise) for i in range(400)]).reshape(20, 20, 28, 28)
    return Image.fromarray(cells.transpose(0, 2, 1, 3).reshape(560, 560) > 127)


# ---- Clothes -------------------------------------------------------------------------------------


def mirrored(half: str) -> Line:
    """Return a closed outline from its right half; x counts from the middle of 28 pixels."""
    right = strokes(half)[0]
    left = right[::-1] * [-1, 1]
    outline: Line = np.concatenate([right, left]) + np.array([14.0, 0.0])
    return outline


def cloth(outline: Line, tone: float, noise: Noise, holes: tuple[Line, ...] = ()) -> Field:
    """Return a garment with folds, darker towards its edges, on black."""
    cover = filled(28, outline)
    for hole in holes:
        cover *= 1 - filled(28, hole)
    rim = blurred(cover, 1)
    folds = 11 * noise.clouds((28, 28), 2) + 7 * noise.normal(28, 28)
    body = tone + folds - 70 * np.clip(0.93 - rim, 0, 1)
    return np.where(cover > 0.12, cover * np.clip(body, 20, 255), 0)


SHIRT = "2.6,.6 5.8,1.8 8.4,3.4 10.9,9.2 8.2,10.9 6.1,7.6 6.2,14 6.6,27.2 0,27.6"
PULLOVER = "3,.8 6.6,2.2 8.6,5 10,12 11.4,24.6 8.6,25.8 6.8,13 6.6,10.6 6.8,26.8 0,27.4"
DRESS = "1.8,.2 2.8,.2 2.9,3.6 4.2,4.4 3,10.6 4.4,17.6 6.4,27.2 0,27.8"


def shirt(noise: Noise) -> Field:
    """T-shirt with printed stripes."""
    neck = spline(np.array([[11.2, 0.0], [12, 2.2], [14, 3.2], [16, 2.2], [16.8, 0.0]]))
    image = cloth(mirrored(SHIRT), 176, noise, (neck,))
    image[8:24:4] *= 0.62
    image[9:24:4] *= 0.8
    return image


def pullover(noise: Noise) -> Field:
    """Knitted pullover."""
    neck = spline(np.array([[11, 0.0], [12, 2.4], [14, 3.0], [16, 2.4], [17, 0.0]]))
    image = cloth(mirrored(PULLOVER), 118, noise, (neck,))
    x, y = grid(28, 28)
    image *= 1 + 0.07 * np.where((x.astype(int) + y.astype(int)) % 2 == 0, 1, -1)
    image *= 1 + 0.12 * noise.clouds((28, 28), 1)
    image[25:] *= 0.75
    return image


def dress(noise: Noise) -> Field:
    """Light dress with long folds."""
    image = cloth(mirrored(DRESS), 205, noise)
    x, _ = grid(28, 28)
    return image * (1 - 0.14 * np.abs(((x - 14) / 2.6) % 2 - 1))


def trousers(noise: Noise) -> Field:
    """Trousers with a seam and a fly."""
    image = cloth(mirrored("4.6,.4 4.9,7 5.4,27.2 1.5,27.6 .7,9.6 0,8.4"), 190, noise)
    image[1:3] *= 0.8
    image[3:8, 13:15] *= 0.72
    return image


def boot(noise: Noise) -> Field:
    """Ankle boot with a sole and laces, seen from the side."""
    upper = strokes(
        "~17.6,4.2 26.4,5 26.2,13 27.2,21.4 14,23 2,22.8 .8,20.6 4.6,17 10.6,14.4 14.8,10 17.4,4.4"
    )[0]
    image = cloth(upper, 150, noise)
    for x0, y0 in ((11.0, 15.2), (13.2, 13.4), (15.2, 10.8), (16.6, 8.2)):
        near = distance(*grid(28, 28), np.array([[x0, y0], [x0 + 2.4, y0 + 1.6]]))
        image *= 1 - 0.5 * coverage(near - 0.4)
    sole = strokes(".6,22 27.6,21 27.6,24.4 19.6,24.4 18.6,23.6 .6,24.2")[0]
    return np.maximum(image * (1 - filled(28, sole)), cloth(sole, 84, noise))


def bag(noise: Noise) -> Field:
    """Handbag with a handle, a flap and a clasp."""
    image = cloth(np.array([[2.6, 11.0], [25.4, 11.2], [27.0, 26.0], [1.0, 25.8]]), 168, noise)
    handle = spline(np.array([[7.4, 12.0], [8.4, 5.4], [14, 2.6], [19.6, 5.4], [20.6, 12.0]]))
    near = distance(*grid(28, 28), handle)
    image = np.maximum(image, (205 + 10 * noise.normal(28, 28)) * coverage(near - 0.7))
    flap = distance(*grid(28, 28), np.array([[2.2, 15.6], [14, 18.4], [25.8, 15.8]]))
    image *= 1 - 0.45 * coverage(flap - 0.4)
    image[17:20, 13:15] = [[250, 236], [226, 214], [120, 110]]
    return image


# ---- Retina --------------------------------------------------------------------------------------


class Vessels:
    """Depth of blood in front of the retina, drawn branch by branch."""

    def __init__(self, shape: tuple[int, int], noise: Noise) -> None:
        self.x, self.y = grid(*shape)
        self.noise = noise
        self.depth = np.zeros(shape)

    def draw(self, line: Line, widths: Field, strength: float) -> None:
        """Draw one vessel that tapers; crossings get darker, joints do not."""
        own = np.zeros_like(self.depth)
        for start in range(0, len(line) - 1, 3):
            piece, width = line[start : start + 4], widths[start]
            low = np.maximum(np.floor(piece.min(axis=0) - 3 * width - 2).astype(int), 0)
            high = np.ceil(piece.max(axis=0) + 3 * width + 3).astype(int)
            part = (slice(low[1], max(high[1], 0)), slice(low[0], max(high[0], 0)))
            if self.x[part].size:
                near = distance(self.x[part], self.y[part], piece)
                profile = np.exp(-((near / (0.62 * width + 0.18)) ** 2)) * min(1, width / 1.2)
                own[part] = np.maximum(own[part], profile)
        self.depth = np.maximum(self.depth, strength * own) + 0.25 * strength * np.minimum(
            self.depth, own
        )

    def grow(self, line: Line, width: float, strength: float, generation: int = 0) -> None:
        """Draw a vessel and let it branch, each branch thinner and shorter."""
        line = spline(line, steps=6)
        steps = np.sqrt(((line[1:] - line[:-1]) ** 2).sum(axis=1))
        length = float(steps.sum())
        wobble = np.cumsum(self.noise.normal(len(line), 2), axis=0)
        wobble -= np.linspace(0, 1, len(line))[:, None] * wobble[-1]
        line = line + 0.35 * wobble
        widths = width * np.linspace(1, 0.3, len(line))
        self.draw(line, widths, strength)
        if generation == 3 or length < 14:
            return
        at, side = self.noise.uniform(0.12, 0.3), 1 if self.noise.uniform(0, 1) < 0.5 else -1
        while at < 0.97:
            index = int(at * (len(line) - 2))
            ahead = line[index + 1] - line[index]
            heading = math.atan2(ahead[1], ahead[0]) + side * self.noise.uniform(0.45, 0.95)
            reach = length * self.noise.uniform(0.28, 0.52) * (1 - 0.35 * at)
            thin = float(widths[index]) * self.noise.uniform(0.45, 0.72)
            self.grow(self.wander(line[index], heading, reach), thin, strength, generation + 1)
            at += self.noise.uniform(0.1, 0.24)
            side = -side if self.noise.uniform(0, 1) < 0.75 else side

    def wander(self, start: Line, heading: float, reach: float) -> Line:
        """Return a curved way from a point."""
        points, bend = [start], self.noise.uniform(-0.16, 0.16)
        for _ in range(5):
            heading += bend + self.noise.uniform(-0.24, 0.24)
            step = np.array([math.cos(heading), math.sin(heading)]) * reach / 5
            points.append(points[-1] + step)
        return np.array(points)


ARCADES = (  # from the optic disc: upper and lower arcades as vein and artery, then the nasal side
    ("60,141 62,126 72,102 98,74 134,57 174,62 212,86 240,116", 3.5, 1.0),
    ("62,140 65,126 80,100 110,80 150,71 192,88 226,120 250,152", 2.6, 0.72),
    ("60,142 62,156 74,184 100,213 138,232 182,231 222,212 248,186", 3.6, 1.0),
    ("62,143 66,156 82,178 114,204 152,213 196,205 232,184 256,164", 2.7, 0.72),
    ("60,141 56,124 51,96 56,62 78,24", 2.2, 0.9),
    ("60,142 56,160 52,186 55,220 78,264", 2.2, 0.9),
    ("59,141 52,130 40,112 27,90", 1.7, 0.75),
    ("59,142 52,152 38,170 24,196", 1.7, 0.9),
    ("62,141 74,136 96,129 118,127 134,130", 1.4, 0.75),
    ("62,142 74,147 98,153 120,158 136,154", 1.4, 0.85),
)


def retina() -> Image.Image:
    """Return a photograph of the back of an eye, 282 x 292."""
    noise, shape = Noise(5), (292, 282)
    x, y = grid(*shape)
    vessels = Vessels(shape, noise)
    for points, width, strength in ARCADES:
        vessels.grow(strokes(points)[0], width, strength)
    radius = np.sqrt((x - 141) ** 2 + (y - 146) ** 2)
    lamp = 1.06 - 0.3 * (radius / 134) ** 2 - 0.16 * np.clip(radius / 134 - 0.8, 0, 1)
    lamp += 0.0007 * (141 - x) + 0.02 * noise.clouds(shape, 24)
    disc = np.sqrt(((x - 61) / 15) ** 2 + ((y - 141) / 17) ** 2)
    cup = np.exp(-((np.sqrt((x - 65) ** 2 + (y - 141) ** 2) / 8.5) ** 2))
    pale = 1 / (1 + np.exp((disc - 1) * 13))
    macula = np.exp(-((x - 158) ** 2 + (y - 150) ** 2) / (2 * 15.0**2))
    fovea = np.exp(-((x - 158) ** 2 + (y - 150) ** 2) / (2 * 4.5**2))
    choroid = blurred(noise.normal(*shape), 1) * 2
    choroid = choroid + noise.clouds(shape, 5) + noise.clouds(shape, 12)
    blood = blurred(vessels.depth, 1) * 0.45 + vessels.depth * 0.55
    blood = np.clip(blood * (1 - 0.25 * pale), 0, 1.2)
    photograph = np.zeros((*shape, 3))
    for i, (base, bright, pigment, absorbed, mottle) in enumerate(
        ((198, 44, 26, 0.22, 3.4), (110, 80, 30, 0.45, 3.2), (54, 50, 12, 0.32, 1.6))
    ):
        surface = base + mottle * choroid - pigment * macula - 0.5 * pigment * fovea
        surface = surface + pale * (bright * (0.62 + 0.55 * cup))
        surface = surface * lamp * (1 - absorbed * blood)
        grain = noise.normal(*shape)
        grain = 0.55 * grain + 0.9 * blurred(grain, 1) * 2.2
        field = blurred(surface, 1) * 0.5 + surface * 0.5 + 1.5 * grain
        dark = 2.2 + 0.8 * noise.normal(*shape) + 5 * np.exp(-np.clip(radius - 133, 0, 99) / 7)
        aperture = coverage(radius - 133.5, softness=2.5)
        photograph[:, :, i] = aperture * field + (1 - aperture) * dark
    return Image.fromarray(to_bytes(photograph))


# ---- Typewritten page ----------------------------------------------------------------------------

LETTERS = {  # in a cell 10 wide; y upwards, baseline 0, small letters 10 high, tall ones 15
    "a": (
        "~2,8.6 3.6,10 6,10 7.6,8.4 7.8,4 7.8,1 8.2,.2 9.4,0; "
        "~7.8,6 5,6 2.2,5 1,2.6 2.2,.2 5,0 7.8,2.4"
    ),
    "b": "0,15 2,15; 2,15 2,0; 0,0 2,0; ~2,7 3.6,9.6 6,10 8.6,8.4 9.2,5 8.4,1.6 6,0 3.6,.4 2,3",
    "c": "8.6,10 8.6,7.4; ~8.6,7.6 7.4,9.6 5,10 2.2,8.6 1.2,5 2.4,1.2 5.2,0 7.6,.6 9,2.4",
    "d": "6,15 8,15; 8,15 8,0; 8,0 10,0; ~8,7 6.4,9.6 4,10 1.4,8.4 .8,5 1.6,1.6 4,0 6.4,.4 8,3",
    "e": "~1.2,5.2 9,5.2 8.6,8 6.6,10 3.6,9.8 1.4,7.4 1.2,4 2.6,.8 5.6,0 8.8,1.4",
    "f": "~9,14.4 7,15 5,14.4 4.2,12 4.2,6; 4.2,8 4.2,0; 1.4,9.8 8,9.8; 1.4,0 7.6,0",
    "g": (
        "8,9.8 10,9.8; ~8,9.8 8,0 7.6,-3 5.4,-4.4 2.4,-4.2; "
        "~8,6.6 6.4,9.4 4,10 1.4,8.4 .8,5.2 1.6,2 4,.4 6.4,1 8,3.6"
    ),
    "h": "0,15 2,15; 2,15 2,0; 0,0 4,0; ~2,7 4,9.6 6.4,10 8,8 8,4; 8,5 8,0; 6.4,0 10,0",
    "i": "2,10 5.2,10; 5.2,10 5.2,0; 1.4,0 9,0; 5,13.2 5.2,14",
    "j": "2,10 6.6,10; ~6.6,10 6.6,2 6.4,-2.4 4.6,-4.4 2,-4; 6.4,13.2 6.6,14",
    "k": "0,15 2,15; 2,15 2,0; 0,0 3.4,0; 2,3.6 7.6,10; 6,10 9.4,10; 4,6 8,0; 6.4,0 9.8,0",
    "l": "2,15 5.2,15; 5.2,15 5.2,0; 1.4,0 9,0",
    "m": (
        "0,10 1.4,10; 1.4,10 1.4,0; 0,0 2.6,0; ~1.4,8 2.8,9.8 4.4,9.6 5.2,7.4 5.2,4; "
        "5.2,5 5.2,0; 5.2,0 6.2,0; ~5.2,8 6.6,9.8 8,9.6 8.8,7.4 8.8,4; 8.8,5 8.8,0; 8.8,0 10,0"
    ),
    "n": "0,10 2,10; 2,10 2,0; 0,0 4,0; ~2,7 4,9.6 6.4,10 8,8 8,4; 8,5 8,0; 6.4,0 10,0",
    "o": "~5,10 2.2,8.8 1,5 2.2,1.2 5,0 7.8,1.2 9,5 7.8,8.8 5,10",
    "p": (
        "0,10 2,10; 2,10 2,-4.4; 0,-4.4 4,-4.4; "
        "~2,7 3.6,9.6 6,10 8.6,8.4 9.2,5 8.4,1.6 6,0 3.6,.4 2,3"
    ),
    "q": (
        "8,10 10,10; 8,10 8,-4.4; 6,-4.4 10,-4.4; "
        "~8,7 6.4,9.6 4,10 1.4,8.4 .8,5 1.6,1.6 4,0 6.4,.4 8,3"
    ),
    "r": "1,10 3.4,10; 3.4,10 3.4,0; 1,0 6.6,0; ~3.4,6 5,8.8 7.4,10 9.4,9",
    "s": (
        "8,10 8,7.6; "
        "~8,7.8 6.6,9.8 4.4,10 2.2,9 2.2,6.6 5,5.2 8,4.2 8.6,2 7,.2 4.4,0 2,1 1.6,2.4; "
        "1.6,2.6 1.6,0"
    ),
    "t": "3.2,13.4 3.2,3; ~3.2,4 3.4,1.4 5,0 7.2,.2 9,1.2; .8,9.8 7.6,9.8",
    "u": "0,10 2,10; ~2,10 2,3.4 3,.6 5,0 7,.8 8,3.4; 6.4,10 8,10; 8,10 8,0; 8,0 10,0",
    "v": "0,10 3.4,10; 6.6,10 10,10; 1.4,10 5,0; 5,0 8.6,10",
    "w": "0,10 3,10; 7,10 10,10; 1,10 2.8,0; 2.8,0 5,7.4; 5,7.4 7.2,0; 7.2,0 9,10",
    "x": "0,10 3.4,10; 6.6,10 10,10; 0,0 3.4,0; 6.6,0 10,0; 1.4,10 8.6,0; 8.6,10 1.4,0",
    "y": "0,10 3.4,10; 6.6,10 10,10; 1.4,10 5.2,0; 8.6,10 3.4,-4.4; .8,-4.4 5,-4.4",
    "z": "1.8,7.6 1.8,10; 1.8,10 8.4,10; 8.4,10 1.6,0; 1.6,0 8.8,0; 8.8,0 8.8,2.4",
    ".": "4.6,.2 5.4,.2 5.4,1 4.6,1 4.6,.2",
    ",": "5.2,1.2 5.4,.4 4.2,-2.6",
    "T": "1,11 1,14; 1,14 9,14; 9,14 9,11; 5,14 5,0; 2.6,0 7.4,0",
    "W": "0,14 3,14; 7,14 10,14; 1,14 2.6,0; 2.6,0 5,10; 5,10 7.4,0; 7.4,0 9,14",
}

PAGE = (
    "The slides were kept in wooden",
    "boxes, one for each year. We put",
    "them in order and scanned every",
    "plate twice, once with the lamp",
    "dimmed. The pictures of one box",
    "look alike, as they always will.",
)


def page() -> Image.Image:
    """Return a piece of a typewritten page, scanned crooked and thresholded, 640 x 232."""
    noise, shape = Noise(23), (232, 640)
    x, y = grid(*shape)
    nearest = np.full(shape, 9.0)
    for row, text in enumerate(PAGE):
        for column, letter in enumerate(text):
            if letter == " ":
                continue
            left = 20 + 18.7 * column + 0.3 * noise.uniform(-1, 1)
            base = 37 + 35 * row - 0.006 * left + 0.9 * noise.uniform(-1, 1) ** 3
            weight = 0.16 * noise.uniform(-1, 1)
            part = (slice(int(base) - 24, int(base) + 13), slice(int(left) - 4, int(left) + 20))
            for line in strokes(LETTERS[letter]):
                points = line * [1.36, -1.36] + [left, base]
                near = distance(x[part], y[part], points) - weight
                nearest[part] = np.minimum(nearest[part], near)
    ink = 1.32 + 0.17 * noise.clouds(shape, 1) + 0.13 * noise.clouds(shape, 6)
    black = nearest < ink
    for _ in range(26):  # dust
        across, down = noise.uniform(2, 638), noise.uniform(2, 230)
        size = noise.uniform(0.5, 1.2)
        black |= (x - across) ** 2 + (y - down) ** 2 * noise.uniform(0.6, 1.6) < size
    return Image.fromarray(~black)


# ---- Fluorescence microscopy ---------------------------------------------------------------------


def nuclei() -> Image.Image:
    """Return stained cell nuclei on a dark ground with shot noise, 256 x 256."""
    noise, shape = Noise(41), (256, 256)
    x, y = grid(*shape)
    light = np.zeros(shape)
    for _ in range(58):
        column, row = noise.uniform(-4, 260), noise.uniform(-4, 260)
        long, turn = noise.uniform(7.5, 11.5), noise.uniform(0, math.pi)
        short = long * noise.uniform(0.6, 0.95)
        bright = 34 + 66 * noise.uniform(0, 1) ** 2
        if noise.uniform(0, 1) < 0.08:  # dividing: small and bright
            long, short, bright = 5.5, 3.0, 170
        u = (x - column) * math.cos(turn) + (y - row) * math.sin(turn)
        v = (y - row) * math.cos(turn) - (x - column) * math.sin(turn)
        out = np.sqrt((u / long) ** 2 + (v / short) ** 2)
        ragged = out + 0.05 * noise.clouds(shape, 4)
        grains = 1 + 0.16 * noise.clouds(shape, 1) + 0.1 * noise.clouds(shape, 3)
        light = light + bright * grains * coverage((ragged - 1) * short, softness=2.5)
    glow = 0.75 * light + 0.16 * blurred(light, 3) + 0.09 * blurred(light, 12)
    ground = 7 + 1.2 * noise.clouds(shape, 30)
    glow = blurred(glow + ground, 1)
    shot = 0.28 * np.sqrt(np.maximum(glow, 0)) * noise.normal(*shape)
    return Image.fromarray(to_bytes(glow + shot))


# ---- The set -------------------------------------------------------------------------------------


def digit_image(digit: int, seed: int, *, bilevel: bool) -> Image.Image:
    """Return one digit in a file of its own."""
    pixels = draw_digit(digit, Noise(seed))
    return Image.fromarray(pixels > 127 if bilevel else pixels)


def garment(draw: Callable[[Noise], Field], seed: int) -> Image.Image:
    """Return one piece of clothing, 28 x 28."""
    return Image.fromarray(to_bytes(draw(Noise(seed))))


def draw_all() -> dict[str, Image.Image]:
    """Return every sample image by name."""
    images = {f"digit-{n}": digit_image(n, 70 + n, bilevel=True) for n in (2, 3, 7)}
    images |= {f"digit-{n}": digit_image(n, 80 + n, bilevel=False) for n in (5, 8)}
    images["digits-sheet"] = digit_sheet()
    makers = (shirt, pullover, dress, trousers, boot, bag)
    images |= {make.__name__: garment(make, 90 + i) for i, make in enumerate(makers)}
    return images | {"microscopy": nuclei(), "retina": retina(), "typed-page": page()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the sample images of softcomp_codec.")
    parser.add_argument("--check", action="store_true", help="only compare with the files")
    parser.add_argument("--output", type=Path, default=SAMPLES, help="folder of the PNG files")
    options = parser.parse_args()
    wrong, images = 0, draw_all()
    for path in sorted(options.output.glob("*.png")) if options.check else ():
        if path.stem not in images:
            print(f"{path.name}: not drawn by this script")
            wrong += 1
    for name, image in images.items():
        path = options.output / f"{name}.png"
        if not options.check:
            image.save(path, optimize=True)
            print(f"{path.name}: {image.width} x {image.height}, {path.stat().st_size} bytes")
            continue
        if not path.exists():
            print(f"{path.name}: MISSING")
            wrong += 1
            continue
        with Image.open(path) as kept:
            same = kept.mode == image.mode and kept.tobytes() == image.tobytes()
        print(f"{path.name}: {'the same pixels' if same else 'DIFFERENT'}")
        wrong += not same
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
