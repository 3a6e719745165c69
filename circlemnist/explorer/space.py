"""What there is to walk through: points, the images behind them, and how the space formed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circlemnist.explorer.pad import Pad
from circlemnist.plots.style import Array, Points


@dataclass(frozen=True)
class Frames:
    """The space as it formed.

    Attributes:
        captions: T words, of the times.
        points: (T, S, 2) float, those that move.
        indices: (S,) int, the images that they are of.
    """

    captions: Sequence[str]
    points: Points
    indices: Array


@dataclass(frozen=True)
class Space:
    """The test split of a run.

    Attributes:
        points: (N, 2) float, where each image is drawn.
        predicted: (N,) int, class of the nearest training image; a mistake where it differs. Of
            an unseen class, which none of these has, its own.
        images: (N, 28, 28) uint8, 255 is full ink.
        directions: (N, D) float, the embeddings at unit length.
        neighbors: (N, 5) int, the nearest other images of each, nearest first.
        boundary: the lines of the decision boundary, (L, 2) float each, columns s_n and s_p.
        frames: where there are snapshots.
        pad: what a drawing is embedded with, or why there is nothing, in words.
    """

    points: Points
    predicted: Array
    images: Array
    directions: Array
    neighbors: Array
    boundary: Sequence[Array]
    frames: Frames | None = None
    pad: Pad | str = "the network is not here"


def pair_places(directions: Array, labels: Array) -> tuple[Array, Array]:
    """Return (N,) s_n and s_p: the place of each image in the pair plane.

    They are its mean cosines to the next class, the other one to which that is highest, and to
    its own. An image alone in its class has an s_p of NaN, and an s_n of NaN if there is no other
    class.
    """
    counts = np.bincount(labels, minlength=labels.max() + 1).astype(float)
    sums = np.stack([directions[labels == label].sum(0) for label in range(len(counts))])  # (C, D)
    rows = np.arange(len(labels))
    cosines = directions @ sums.T  # (N, C), summed over each class
    with np.errstate(divide="ignore", invalid="ignore"):
        sp = (cosines[rows, labels] - 1) / (counts[labels] - 1)
        means = cosines / counts
    means[rows, labels] = -np.inf
    means[:, counts == 0] = -np.inf
    sn = means.max(1)
    return np.where(np.isfinite(sn), sn, np.nan), np.where(counts[labels] > 1, sp, np.nan)
