"""A picture of one character made into an image as those of MNIST were made.

Their makers fitted the bounding box of the ink into 20 × 20 pixels, keeping its aspect, with
anti-aliasing, and moved it so that its centre of mass is pixel (14, 14) of 28 × 28: LeCun et al.,
"Gradient-based learning applied to document recognition", 1998. Ahead of that a picture needs what
their scans had: light on dark, even light, no noise.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from circlemnist.config import SIDE
from circlemnist.data.pieces import INNER, around_others, grouped, lines_of, outer_boxes
from circlemnist.errors import UserError

BOX = 20  # pixels, the longer side of the ink
CENTER = SIDE // 2  # row and column of its centre of mass
COARSE = 64  # pixels, the longer side of a picture whose background is looked for
ROUNDS = 2  # of fitting the light, and of telling what is paper by that
THIN = 0.3  # of the most contrast: less is paper
BORDER = 0.05  # of the shorter side: where paper is looked for
SOFTEST = 1.5  # pixels, the most that noise is smoothed by
WIDEST = 0.4  # of the longer side: a stroke as wide is still ink
FAINTEST = 20 / 255  # least contrast of ink
DARKEST = 0.1  # share of the light: where there is less, ink is not made more
LOUDEST = 12.0  # standard deviations of the noise, that ink is above
SPECK = 0.03  # of the ink of the largest piece: what has less is no stroke
BINS = 64  # of a histogram of ink
PALE, FULL = 0.25, 1.2  # of the median contrast of ink: less is paper, more is full ink
STRONG = 95  # percentile of the ink of a small image, which becomes 255

Array = NDArray[Any]


class Digit(NamedTuple):
    """A digit of a picture."""

    box: tuple[float, ...]  # left, top, right and bottom of its ink
    image: NDArray[np.uint8]  # (28, 28), as MNIST would have it


def prepare(picture: Array) -> NDArray[np.uint8]:
    """Return a picture (H, W) of one character as MNIST would have it; see `digits`."""
    return digits(picture, one=True)[0].image


def digits(picture: Array, one: bool = False) -> list[Digit]:
    """Return the digits of a picture in reading order: rows from the top, each from the left.

    Args:
        picture: (H, W) of grey, 0 black and 255 white, uint8 or float: dark ink on light paper or
            the reverse, with light that may be uneven.
        one: there is only one digit, and all the ink is of it.

    Raises:
        UserError: there is no ink, as on a blank page.
    """
    inked, pieces, numbers, boxes = strokes(picture)
    parts = [np.arange(len(boxes))] if one or len(boxes) == 1 else grouped(boxes)
    reach = 1 + max(picture.shape) // 100  # of ink that is below the threshold, about a piece
    result = []
    for part, box in zip(parts, outer_boxes(boxes, parts), strict=True):
        left, top, right, bottom = box.tolist()
        window = np.s_[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach]
        chosen = np.zeros(pieces.max() + 1, bool)
        chosen[numbers[part]] = True
        core = chosen[pieces[window]]
        near = ndimage.maximum_filter(core, 2 * reach + 1, mode="nearest")
        level = float(np.median(inked[window][core]))
        share = np.clip((inked[window] / level - PALE) / (FULL - PALE), 0, 1)
        result.append(Digit((left, top, right, bottom), placed(share * near)))
    return result


def strokes(picture: Array) -> tuple[Array, Array, Array, Array]:
    """Find the ink of a picture (H, W) of grey, 0-255, without specks, lines and cut-off rests.

    Returns:
        How much ink is in each pixel, (H, W) float32, of which paper has about 0; the connected
        piece that it belongs to, (H, W) int; which of these pieces are strokes, (N,);
        and their boxes, (N, 4): left, top, right, bottom.

    Raises:
        UserError: there is none.
    """
    grey = picture.astype(np.float32) / 255
    smooth = ndimage.gaussian_filter(grey, min(max(grey.shape) / 200, SOFTEST), mode="nearest")
    paper, light = background(smooth)
    # less light on dark ink and its paper is less by a share; light ink is on what has no light
    shade = 1.0 if light else np.maximum(paper / max(paper.max(), FAINTEST), DARKEST)
    sign = 1 if light else -1
    inked, smooth = sign * (grey - paper) / shade, sign * (smooth - paper) / shade
    top = float(smooth.max())
    # of the paper, of which there is a fifth at least: 1.21 deviations lie between these shares
    low, usual = np.quantile(np.sort(smooth, None), (0.02, 0.2)).tolist()  # sorted: in less time
    contrast = top - usual
    faint = contrast < LOUDEST * (usual - low) / 1.21
    if faint:  # soft strokes that leave less paper are no noise, which is rough
        faint = contrast < LOUDEST * float(np.median(np.abs(inked - smooth))) / 0.674
    if faint or contrast < FAINTEST:
        raise UserError("there is nothing on it: it is blank, or too faint")
    inside = smooth > _otsu(np.clip(smooth / top, 0, 1)) * top
    pieces, _ = ndimage.label(inside, np.ones((3, 3)))
    places = ndimage.find_objects(pieces)
    lines = lines_of(inside, places)
    if lines.any():
        inside &= ~lines
        inked[lines] = 0
        pieces, _ = ndimage.label(inside, np.ones((3, 3)))
        places = ndimage.find_objects(pieces)
    inks = np.bincount(pieces.ravel(), (smooth * inside).ravel())[1:]
    whole = inks >= SPECK * inks.max()
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in places])
    # what the edge cuts off is of a box or of a neighbour, where there is a stroke that is whole
    height, width = grey.shape
    inner = whole & (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < (width, height)).all(1)
    inner &= ~around_others(boxes, inks, np.bincount(pieces.ravel())[1:])
    if inks[inner].max(initial=0) >= INNER * inks.max():
        whole = inner
    return inked, pieces, np.flatnonzero(whole) + 1, boxes[whole]


def background(picture: Array) -> tuple[Array, bool]:
    """Return what a picture (H, W) would be without ink, and whether its ink is the lighter.

    Paper is at the border, and where there is contrast most of it is paper. Without ink is what a
    closing of grey leaves of dark strokes, or an opening of light ones, beside the surface of
    second degree through what is paper by that.
    """
    scale = min(1.0, COARSE / max(picture.shape))
    coarse = resized(picture, [max(1, round(scale * side)) for side in picture.shape])
    light = _paper_vote(coarse) < 0
    coarse = -coarse if light else coarse
    uneven = np.zeros_like(coarse)
    for _ in range(ROUNDS):  # a closing would cut the surface off at the edges
        paper = _closed(coarse - uneven) + uneven
        depth = paper - coarse
        bare = depth <= THIN * depth.max()
        uneven = _surface(coarse, bare)
    paper = _closed(coarse - uneven)
    size = _widest(coarse)
    paper = ndimage.gaussian_filter(paper, size / 8, mode="nearest") + uneven
    return resized(-paper if light else paper, picture.shape), light


def placed(ink: Array) -> NDArray[np.uint8]:
    """Fit ink (H, W) in 0-1, some of it above 0, into 28 × 28 as MNIST's is.

    Returns:
        (28, 28) uint8: the bounding box of the ink scaled to `BOX` on its longer side, its centre
        of mass rounded to pixel (`CENTER`, `CENTER`).
    """
    box = _cut_to_ink(ink)
    height, width = (max(1, round(BOX * side / max(box.shape))) for side in box.shape)
    small = resized(box, (height, width))
    small = np.clip(small / np.percentile(small[small > 0], STRONG), 0, 1)
    total = small.sum()
    y = float(small.sum(1) @ np.arange(height)) / total
    x = float(small.sum(0) @ np.arange(width)) / total
    top = min(max(round(CENTER - y), 0), SIDE - height)
    left = min(max(round(CENTER - x), 0), SIDE - width)
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = np.round(255 * small)
    return image


def coarse(image: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Return an image of `placed` as scikit-learn's digits are: filled, by 8 × 8 `pixels`."""
    box = _cut_to_ink(image).astype(np.float32)
    high, wide = ((max(box.shape) - side) / 2 for side in box.shape)
    square = np.pad(box, [(int(high), int(high + 0.5)), (int(wide), int(wide + 0.5))])
    small = resized(resized(square, (pixels, pixels)), (SIDE, SIDE))
    return np.round(small).clip(0, 255).astype(np.uint8)


def _cut_to_ink(image: Array) -> Array:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@lru_cache(64)  # pictures of a folder often have one size
def resizing(before: int, after: int) -> NDArray[np.float32]:
    """Return the weights (after, before) that resize a line of pixels, anti-aliased.

    Each new pixel is a mean of old ones, weighted by a triangle about its centre that reaches one
    pixel of the coarser of both grids to either side.
    """
    scale = before / after
    centers = (np.arange(after) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(before) - centers[:, None]) / max(scale, 1.0)
    weights = np.maximum(1 - distances, 0)
    weights /= weights.sum(1, keepdims=True)
    return weights.astype(np.float32)


def _paper_vote(picture: Array) -> float:
    """Return more than 0 where paper is the lighter: -1 to 1 for the border, 1.5 times that inside.

    The border counts by how far it is from the middle of all greys; the inside by how far each
    pixel is from the middle of those about it, where there is contrast.
    """
    low, high = np.quantile(picture, (0.02, 0.98))
    width = max(1, round(BORDER * min(picture.shape)))
    rim = np.ones(picture.shape, bool)
    rim[width:-width, width:-width] = False
    border = np.clip((picture[rim] - (low + high) / 2) / max(high - low, 1e-6) * 2, -1, 1).mean()
    size = _widest(picture)
    lightest = ndimage.grey_dilation(picture, (size, size), mode="nearest")
    darkest = ndimage.grey_erosion(picture, (size, size), mode="nearest")
    weighted = (picture - (lightest + darkest) / 2) * (lightest - darkest) ** 2
    return float(border + 1.5 * weighted.sum() / max(np.abs(weighted).sum(), 1e-6))


def _widest(picture: Array) -> int:
    return 2 * round(WIDEST * int(max(picture.shape)) / 2) + 1


def _closed(picture: Array) -> Array:
    """Return a picture without what is darker and narrower than the widest stroke."""
    size = _widest(picture)
    closed: Array = ndimage.grey_closing(picture, (size, size), mode="nearest")
    return closed


def _surface(picture: Array, bare: Array) -> Array:
    """Return the surface of second degree through the pixels that are `bare`, by least squares."""
    terms = _terms(*picture.shape)
    near = terms * bare.ravel()
    # by the normal equations: with few terms in ±1 exact enough, and soon solved
    surface = np.linalg.lstsq(near @ terms.T, near @ picture.ravel())[0] @ terms
    result: Array = surface.reshape(picture.shape)
    return result


@lru_cache(64)
def _terms(height: int, width: int) -> Array:
    """Return 1, x, y, x², y² and xy of each pixel, (6, height · width) float32 in ±1."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
    terms = np.broadcast_arrays(1, x, y[:, None], x**2, y[:, None] ** 2, x * y[:, None])
    return np.stack(terms).reshape(6, -1).astype(np.float32)


def fitted(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fit a picture (H, W) into the middle of an image (28, 28), both 0-255.

    What the picture leaves free has the median of its rim; a light rim inverts it all.
    """
    shape = [max(1, round(SIDE * side / max(grey.shape))) for side in grey.shape]
    grey = resized(grey, shape)
    rim = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    if rim > 127.5:
        grey, rim = 255 - grey, 255 - rim
    top, left = ((SIDE - side) // 2 for side in shape)
    image = np.full((SIDE, SIDE), rim, np.float32)
    image[top : top + shape[0], left : left + shape[1]] = grey
    return image


def resized(picture: Array, shape: Sequence[int]) -> Array:
    """Return a picture (H, W) float32 in another shape, anti-aliased; itself in its own."""
    (height, width), (rows, columns) = picture.shape, shape
    if (height, width) == (rows, columns):
        return picture
    small: Array = resizing(height, rows) @ picture @ resizing(width, columns).T
    return small


def _otsu(values: Array) -> float:
    """Return the threshold of values in 0-1 that parts them best, by Otsu's method."""
    counts = np.bincount(np.minimum(values * BINS, BINS - 1).astype(np.int64).ravel(), None, BINS)
    middles = (np.arange(BINS) + 0.5) / BINS
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(1 + np.nanargmax(between)) / BINS
