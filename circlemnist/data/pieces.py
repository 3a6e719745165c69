"""Connected pieces of ink: which are lines of the paper, and which together are a digit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

INNER = 0.1  # of the ink of the largest piece: a piece inside that has as much is of the digit
LONG, SLIM, OUTER, NEAR = 0.7, 0.045, 0.15, 0.03  # of the side of a picture: of lines
HOLLOW, HIGH = 0.25, 0.3  # of the area and the height of a box: its line, and what is in it
BODY, APART = 0.5, 0.5  # of the largest piece: what is no dot, and how far a dot is away

Array = NDArray[Any]


def lines_of(inside: Array, places: Sequence[tuple[slice, slice]]) -> NDArray[np.bool_]:
    """Return which pixels of ink (H, W) are of ruled lines, frames and edges.

    A line is straight, thin and as long as most of the picture. It crosses the picture from edge to
    edge, or it is one of several near the border: a stroke of a digit that fills the picture is
    alone there. Where a stroke crosses a line it is thicker than that, and stays.

    Args:
        places: of the connected pieces.
    """
    none, shape = np.zeros(inside.shape, bool), np.array(inside.shape)
    spans = np.array([[y.stop - y.start, x.stop - x.start] for y, x in places])
    slim = int(SLIM * min(inside.shape))
    if slim < 2 or not (spans >= LONG * shape).any():
        return none
    crossing, outer = [], []
    for mask, turned in ((inside, False), (inside.T, True)):
        height, width = mask.shape
        thin = mask & ~ndimage.binary_opening(mask, np.ones((slim + 1, 1)))
        # a line that is not quite level is level for a while, on strokes that cross it, too
        level = ndimage.binary_dilation(mask, np.ones((3, 1)))
        level = ndimage.binary_opening(level, np.ones((1, max(int(LONG * width / 2), 1))))
        labels, _ = ndimage.label(ndimage.binary_dilation(level & mask, np.ones((3, 9))))
        for number, (y, x) in enumerate(ndimage.find_objects(labels), 1):
            if x.stop - x.start < LONG * width or y.stop - y.start > slim + 2 * NEAR * width:
                continue
            line = level & thin & (labels == number)
            line = line.T if turned else line
            if x.start <= NEAR * width and x.stop >= (1 - NEAR) * width:
                crossing.append(line)
            elif y.start < OUTER * height or y.stop > (1 - OUTER) * height:
                outer.append(line)
    taken = [*crossing, *(outer if len(crossing + outer) > 1 else [])]
    lines: NDArray[np.bool_] = np.logical_or.reduce(taken) if taken else none
    rest = inside & ~lines
    if rest.sum() < 0.05 * inside.sum():  # what is all lines is what was drawn
        return none
    rest = ndimage.binary_opening(rest, np.ones((3, 3)))
    lines = ndimage.binary_dilation(lines, np.ones((3, 3)))
    lines &= ~rest
    return lines


def around_others(boxes: Array, inks: Array, areas: Array) -> NDArray[np.bool_]:
    """Return which pieces (N,) are thin and around another that is no speck: boxes of a form."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    sides = boxes[:, 2:] - boxes[:, :2]
    inside = (low < boxes[:, :2]).all(2) & (high > boxes[:, 2:]).all(2)
    large = (inks >= INNER * inks[:, None]) & (sides[:, 1] >= HIGH * sides[:, None, 1])
    around: NDArray[np.bool_] = (inside & large).any(1) & (areas <= HOLLOW * sides.prod(1))
    return around


def grouped(boxes: Array) -> list[Array]:
    """Return which pieces are one digit, in reading order: rows from the top, each from the left.

    Pieces above one another are of one digit, as those of a broken 5, and tall ones that all but
    touch, as those of a 4. What is less tall, as a dot, is of the digit that it is near.

    Args:
        boxes: (N, 4) left, top, right and bottom of each piece.

    Returns:
        Of each digit the indices of its pieces.
    """
    tall = (boxes[:, 3] - boxes[:, 1]).max()
    narrow = np.minimum.outer(*[boxes[:, 2] - boxes[:, 0]] * 2)
    across, down, _, high = _apart(boxes)
    above = (-across >= narrow / 2) & (down <= 0.25 * tall)
    parts = _joined(np.arange(len(boxes)), above & ((down <= 0.1 * tall) | (high <= 1.1 * tall)))
    outer = outer_boxes(boxes, parts)
    heights = outer[:, 3] - outer[:, 1]
    tall, body = heights.max(), heights >= BODY * heights.max()
    across, down, wide, _ = _apart(outer)
    beside = (across <= 0.1 * tall) & (down < 0) & (wide <= tall) & body
    gap = np.where(body, np.hypot(np.maximum(across, 0), np.maximum(down, 0)), np.inf)
    nearest = np.arange(len(gap)) == gap.argmin(1)[:, None]
    joins = np.where(body[:, None], beside, nearest & (gap <= APART * tall))
    parts = [
        np.concatenate([parts[place] for place in group])
        for group in _joined(np.arange(len(parts)), joins)
        if body[group].any()
    ]
    outer = outer_boxes(boxes, parts)
    rest, order = list(np.argsort(outer[:, 1], kind="stable")), []
    while rest:  # a row is what begins above the middle of its first
        row = [place for place in rest if outer[place, 1] < outer[rest[0], [1, 3]].mean()]
        order += sorted(row, key=lambda place: int(outer[place, 0]))
        rest = [place for place in rest if place not in row]
    return [parts[place] for place in order]


def outer_boxes(boxes: Array, parts: Sequence[Array]) -> Array:
    """Return the box (N, 4) about those of each part."""
    return np.array([[*boxes[part, :2].min(0), *boxes[part, 2:].max(0)] for part in parts])


def _apart(boxes: Array) -> Array:
    """Return how far boxes (N, 4) are apart, < 0 where they overlap, and how far both reach.

    Returns:
        Four of (N, N): apart across and down, the width and the height of the box about both.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    apart = np.maximum(low[:, None], low) - np.minimum(high[:, None], high)
    about = np.maximum(high[:, None], high) - np.minimum(low[:, None], low)
    return np.moveaxis(np.concatenate([apart, about], 2), 2, 0)


def _joined(places: Array, joins: Array) -> list[Array]:
    _, owners = connected_components(joins, directed=False)
    return [places[owners == owner] for owner in range(owners.max() + 1)]
