"""Make the images of the circles-and-lines task from drawings.png, fifty drawings by people.

Usage: python data/make_images.py

Each drawing is moved, scaled and turned onto a 16x16 page, and drawn there one pixel thin in one colour.
The tables below say how; nothing is random.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

import fastmlp

HERE = Path(__file__).resolve().parent
CELL = 28  # pixels of a drawing, and the step of the grid of drawings.png
SIDE = 16  # pixels of an image
FINE = 8  # samples across one pixel of an image
FAINT = 8  # of 255: coverage below this leaves a pixel white

INKS = {"black": (0, 0, 0), "blue": (20, 40, 160), "red": (200, 20, 30), "green": (0, 110, 50)}
KINDS = ("circle", "line")  # the rows of drawings.png
# The eight neighbours of a pixel as (rows, columns) of its 3x3 block, going round from the right and back to it.
RING = ((1, 0, 0, 0, 1, 2, 2, 2, 1), (2, 2, 1, 0, 0, 0, 1, 2, 2))


class Placement(NamedTuple):
    """Where a drawing goes: longer side and centre in pixels, turn to the left in degrees (mirrored first)."""

    drawing: int
    size: float
    ink: str
    turn: float = 0
    x: float = SIDE / 2
    y: float = SIDE / 2
    mirrored: bool = False


TRAIN = {
    "circle": [
        Placement(1, 13, "black"),
        Placement(2, 12, "blue"),
        Placement(3, 14, "red"),
        Placement(4, 15, "black"),
        Placement(5, 10, "green"),
        Placement(7, 14, "blue"),
        Placement(8, 12, "black"),
        Placement(10, 15, "red"),
        Placement(11, 13, "blue"),
        Placement(12, 9, "black"),
        Placement(15, 14, "green"),
        Placement(16, 13, "black"),
        Placement(18, 13, "red"),
        Placement(19, 15, "blue"),
        Placement(21, 12, "black"),
        Placement(22, 15, "green"),
        Placement(23, 14, "blue"),
        Placement(24, 15, "black"),
        Placement(4, 13, "red", turn=90, mirrored=True),
        Placement(1, 11, "blue", turn=60, mirrored=True),
    ],
    "line": [
        Placement(1, 13, "black"),
        Placement(2, 12, "blue", turn=35),
        Placement(4, 14, "red", turn=75),
        Placement(5, 11, "black", turn=-40, x=11, y=5),
        Placement(6, 12, "green"),
        Placement(8, 14, "blue", turn=20),
        Placement(9, 13, "black", y=2),
        Placement(10, 13, "red", turn=-60),
        Placement(11, 12, "blue", y=9),
        Placement(12, 15, "black", turn=45),
        Placement(15, 12, "green", turn=90, x=6.5),
        Placement(16, 12, "black", turn=-25, y=12),
        Placement(17, 12, "red", turn=90, x=13),
        Placement(18, 15, "blue", turn=-45),
        Placement(20, 11, "black", turn=-75, x=3),
        Placement(21, 14, "green"),
        Placement(22, 11, "blue", turn=10, y=13),
        Placement(23, 14, "black", turn=10, y=7),
        Placement(24, 10, "red", turn=50, x=4, y=4),
        Placement(21, 13, "blue", turn=70, mirrored=True),
    ],
}
TEST = {
    "circle": [
        Placement(6, 13, "black"),
        Placement(9, 14, "blue"),
        Placement(17, 11, "red"),
        Placement(20, 15, "green"),
        Placement(25, 12, "black"),
    ],
    "line": [
        Placement(3, 13, "black"),
        Placement(7, 14, "blue", turn=40),
        Placement(14, 12, "red", turn=10),
        Placement(19, 13, "green", turn=-75),
        Placement(13, 11, "black", turn=-30, x=10, y=5),
    ],
}


def coverage(sheet: Image.Image, kind: str, place: Placement) -> np.ndarray:
    """How much of each pixel of the page the stroke covers: (16, 16), 0 to 255."""
    left, top = (place.drawing - 1) * CELL, KINDS.index(kind) * CELL
    stroke = ImageOps.invert(sheet.crop((left, top, left + CELL, top + CELL)))
    if place.mirrored:
        stroke = ImageOps.mirror(stroke)
    stroke = ImageOps.expand(stroke, 2)  # room for the interpolation at strokes that touch the rim
    x0, y0, x1, y1 = stroke.point(lambda grey: 255 * (grey >= 128)).getbbox()
    shrink = max(x1 - x0, y1 - y0) / place.size
    # From a sample of the page back to the drawing; y points down.
    cos, sin = (shrink / FINE * f(math.radians(place.turn)) for f in (math.cos, math.sin))
    x, y = place.x * FINE, place.y * FINE
    back = (cos, -sin, (x0 + x1) / 2 - cos * x + sin * y, sin, cos, (y0 + y1) / 2 - sin * x - cos * y)
    page = (SIDE * FINE, SIDE * FINE)
    fine = stroke.transform(page, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    return np.asarray(fine.reduce(FINE))


def thin(cover: np.ndarray) -> np.ndarray:
    """The stroke one pixel wide: (16, 16) bool.

    Rubs out the faintest pixels first, but none that ends the stroke or holds it together.
    """
    ink = np.pad(cover >= FAINT, 1)
    for pixel in np.argsort(cover, axis=None, kind="stable"):
        row, column = divmod(int(pixel), SIDE)
        block = ink[row : row + 3, column : column + 3]  # its middle is the pixel, as the padding adds one
        ring = block[RING]
        # Yokoi's connectivity number: how many pieces of stroke meet only through this pixel.
        pieces = np.sum(~ring[0:8:2] & (ring[1:8:2] | ring[2:9:2]))
        if pieces == 1 and np.sum(ring[:8]) > 1:
            block[1, 1] = False
    return ink[1:-1, 1:-1]


def draw(sheet: Image.Image, kind: str, place: Placement) -> Image.Image:
    ink = thin(coverage(sheet, kind, place))
    return Image.fromarray(np.where(ink[..., None], INKS[place.ink], 255).astype(np.uint8))


def make(root: Path) -> None:
    """Write data/ and test-images/ below root."""
    data, train, test = root / "data", root / "data" / "train-images", root / "test-images"
    train.mkdir(parents=True, exist_ok=True)
    test.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(1, 41)]
    sheet = Image.open(HERE / "drawings.png")
    for kind, own_names in zip(KINDS, (names[0::2], names[1::2]), strict=True):
        for name, place in zip(own_names, TRAIN[kind], strict=True):
            draw(sheet, kind, place).save(train / name)
        for number, place in enumerate(TEST[kind], 1):
            draw(sheet, kind, place).save(test / f"t{kind[0]}-{number}.png")
        answers = [[name, int(name in own_names)] for name in names]
        write_csv(data / f"correct-outputs-{kind}.txt", "correct_answer", answers)
    features = fastmlp.extract_features([train / name for name in names]).features.tolist()
    rows = [[name, *row] for name, row in zip(names, features, strict=True)]
    write_csv(data / "features.csv", "feature1,feature2,feature3", rows)


def write_csv(path: Path, columns: str, rows: list[list]) -> None:
    lines = [f"file_name,{columns}", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", newline="\n")


if __name__ == "__main__":
    make(HERE.parent)
