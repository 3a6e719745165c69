"""A picture of one character made into an image as those of MNIST were made.

Their makers fitted the bounding box of the ink into 20 × 20 pixels, keeping its aspect, with
anti-aliasing, and moved it so that its centre of mass is pixel (14, 14) of 28 × 28: LeCun et al.,
"Gradient-based learning applied to document recognition", 1998. Ahead of that a picture needs what
their scans had: light on dark, even light, no noise.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from circlemnist.config import SIDE
from circlemnist.errors import UserError

BOX = 20  # pixels, the longer side of the ink
CENTER = SIDE // 2  # row and column of its centre of mass
COARSE = 64  # pixels, the longer side of a picture whose background is looked for
ROUNDS, FAR = 4, 3.0  # of a fit, and median distances from it that are not of its kind
WIDEST = 0.4  # of the longer side: a stroke as wide is still ink
FAINTEST = 20 / 255  # least contrast of ink
DARKEST = 0.1  # share of the light: where there is less, ink is not made more
LOUDEST = 10.0  # standard deviations of the noise, that ink is above
SPECK = 0.03  # of the ink of the largest piece: what has less is no stroke
BINS = 64  # of a histogram of ink
PALE, FULL = 0.25, 1.2  # of the median contrast of ink: less is paper, more is full ink
STRONG = 95  # percentile of the ink of a small image, which becomes 255

Array = NDArray[Any]


def prepare(picture: Array) -> NDArray[np.uint8]:
    """Return a picture of one character as MNIST would have it.

    Args:
        picture: (H, W) of grey, 0 black and 255 white, uint8 or float: dark ink on light paper or
            the reverse, with light that may be uneven.

    Returns:
        (28, 28) uint8, 0 the background and 255 full ink.

    Raises:
        UserError: there is no ink, as on a blank page.
    """
    return placed(ink(picture))


def ink(picture: Array) -> NDArray[np.float32]:
    """Return how much ink there is in each pixel of a picture of grey, 0-255.

    Returns:
        (H, W) float32 in 0-1, 0 where there is paper.

    Raises:
        UserError: there is none.
    """
    grey = picture.astype(np.float32) / 255
    smooth = ndimage.gaussian_filter(grey, max(grey.shape) / 200, mode="nearest")
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
    cut = _otsu(np.clip(smooth / top, 0, 1))
    inside = smooth > cut * top
    level = float(np.median(smooth[inside]))
    pieces, _ = ndimage.label(inside, np.ones((3, 3)))
    # of what lies outside of the pieces, too, which is 0
    sizes = np.bincount(pieces.ravel(), (smooth * inside).ravel())
    strokes = (sizes >= SPECK * sizes.max())[pieces]
    near = ndimage.maximum_filter(strokes, 3 + 2 * (max(grey.shape) // 100), mode="nearest")
    return np.where(near, np.clip((inked / level - PALE) / (FULL - PALE), 0, 1), 0)


def background(picture: Array) -> tuple[Array, bool]:
    """Return what a picture (H, W) would be without ink, and whether its ink is the lighter.

    Where there is contrast, most of it is paper. Without ink is what a closing of grey leaves of
    dark strokes, or an opening of light ones.
    """
    scale = min(1.0, COARSE / max(picture.shape))
    coarse = _resized(picture, [max(1, round(scale * side)) for side in picture.shape])
    uneven = _light(coarse)  # which a closing would cut off at the edges
    coarse = coarse - uneven
    size = 2 * round(WIDEST * max(coarse.shape) / 2) + 1
    lightest = ndimage.grey_dilation(coarse, (size, size), mode="nearest")
    darkest = ndimage.grey_erosion(coarse, (size, size), mode="nearest")
    middle, contrast = (lightest + darkest) / 2, lightest - darkest
    light = bool(((coarse - middle) * contrast**2).sum() < 0)
    if light:
        paper = ndimage.grey_dilation(darkest, (size, size), mode="nearest")
    else:
        paper = ndimage.grey_erosion(lightest, (size, size), mode="nearest")
    paper = ndimage.gaussian_filter(paper, size / 8, mode="nearest")
    return _resized(paper + uneven, picture.shape), light


def placed(ink: Array) -> NDArray[np.uint8]:
    """Fit ink (H, W) in 0-1, some of it above 0, into 28 × 28 as MNIST's is.

    Returns:
        (28, 28) uint8: the bounding box of the ink scaled to `BOX` on its longer side, its centre
        of mass rounded to pixel (`CENTER`, `CENTER`).
    """
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(box.shape))) for side in box.shape)
    small = _resized(box, (height, width))
    small = np.clip(small / np.percentile(small[small > 0], STRONG), 0, 1)
    total = small.sum()
    y = float(small.sum(1) @ np.arange(height)) / total
    x = float(small.sum(0) @ np.arange(width)) / total
    top = min(max(round(CENTER - y), 0), SIDE - height)
    left = min(max(round(CENTER - x), 0), SIDE - width)
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = np.round(255 * small)
    return image


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


def _light(picture: Array) -> Array:
    """Return the surface of second degree through most of a picture.

    By least squares, without the pixels that are far from it: the ink.
    """
    terms, values = _terms(*picture.shape), picture.ravel()
    near = terms
    for _ in range(ROUNDS):
        # by the normal equations: with few terms in ±1 exact enough, and soon solved
        surface = np.linalg.lstsq(near @ terms.T, near @ values)[0] @ terms
        distance = np.abs(values - surface)
        near = terms * (distance <= FAR * np.median(distance))
    light: Array = surface.reshape(picture.shape)
    return light


@lru_cache(64)
def _terms(height: int, width: int) -> Array:
    """Return 1, x, y, x², y² and xy of each pixel, (6, height · width) float32 in ±1."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
    terms = np.broadcast_arrays(1, x, y[:, None], x**2, y[:, None] ** 2, x * y[:, None])
    return np.stack(terms).reshape(6, -1).astype(np.float32)


def _resized(picture: Array, shape: Sequence[int]) -> Array:
    (height, width), (rows, columns) = picture.shape, shape
    resized: Array = resizing(height, rows) @ picture @ resizing(width, columns).T
    return resized


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
