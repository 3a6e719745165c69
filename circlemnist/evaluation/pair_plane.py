"""The pair plane, the square of s_n and s_p of the paper's Fig. 5: boundaries and pairs in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from contourpy import contour_generator
from numpy.typing import NDArray
from torch import Tensor

from circlemnist.config import Config
from circlemnist.evaluation.metrics import blocks
from circlemnist.family import CIRCLES, FAMILY

BINS = 200
Array = NDArray[Any]
Curve = Callable[[Array, Array, float], Any]
SIDE = 801  # of the grid that lines are traced on


def _added_angle(sn: Array, sp: Array, m: float) -> Any:
    """cos(theta_p + m) = s_n; beyond theta_p = pi - m a continuation that falls as steeply."""
    theta = np.arccos(sp)
    return sn - np.where(theta <= np.pi - m, np.cos(theta + m), sp - m * np.sin(m))


def _multiplied_angle(sn: Array, sp: Array, m: float) -> Any:
    """(-1)^k cos(m theta_p) - 2k = s_n, with theta_p in [k pi / m, (k + 1) pi / m]."""
    theta = np.arccos(sp)
    k = theta * m // np.pi
    return sn - ((-1.0) ** k * np.cos(m * theta) - 2 * k)


# > 0 beyond the boundary, 0 on it; a loss on the sphere that is not listed has s_p - s_n = m
CURVES: dict[str, Curve] = {
    # the circle about (0, 1) of radius √2·|m|
    **dict.fromkeys(CIRCLES, lambda sn, sp, m: sn**2 + (sp - 1) ** 2 - 2 * m * m),
    # s_n = m, whatever s_p is: positives are pulled without end
    "contrastive": lambda sn, sp, m: sn - m + 0 * sp,
    "arcface": _added_angle,
    "sphereface": _multiplied_angle,
}


@dataclass(frozen=True)
class Boundary:
    """The decision boundary of a loss in the square of s_n and s_p from -1 to 1.

    A loss with a scale pulls at a single pair on it with half of its full pull (Z = 1/2), and stops
    nowhere. A hinge, as of triplets, stops there. Center Loss has none: its linear layer decides by
    lengths and biases, which the cosines do not have.
    """

    loss: str  # a key of `FAMILY`
    m: float  # its margin; 0 for a loss that has none

    @property
    def name(self) -> str:
        """Its shape: circle, line or boundary; none where there is none."""
        if not FAMILY[self.loss].on_sphere:
            return "none"
        if self.loss in CIRCLES:
            return "circle"
        return "boundary" if self.loss in CURVES else "line"

    def excess(self, sn: Array, sp: Array) -> Array:
        """Return a number for each s_n and s_p, which broadcast: > 0 beyond the boundary."""
        curve = CURVES.get(self.loss)
        excess: Array = sn - sp + self.m if curve is None else curve(sn, sp, self.m)
        return excess

    def lines(self) -> list[Array]:
        """Return the lines that it is made of, (N, 2) float64, columns s_n and s_p."""
        if self.name == "none":
            return []
        axis = np.linspace(-1, 1, SIDE)
        lines = contour_generator(axis, axis, self.excess(*np.meshgrid(axis, axis))).lines(0)
        return [np.asarray(line) for line in lines]


def boundary_of(config: Config) -> Boundary:
    return Boundary(config.loss, config.m or 0.0)


def pair_density(embeddings: Tensor, labels: Tensor, bins: int = BINS) -> NDArray[Any]:
    """Return the density of all (anchor, positive, negative) over the square of s_n and s_p.

    All anchors with positives and negatives have the same weight: at (s_n, s_p), the share of its
    negatives at s_n times the share of its positives at s_p. Embeddings are unit rows.

    Returns:
        (bins, bins) float64 that sums to 1 (to 0 without such anchors): row i is s_p in the i-th
        part of [-1, 1], column j is s_n in the j-th.
    """
    total = torch.zeros(bins, bins, dtype=torch.float64)
    anchors = 0
    for start, block in blocks(embeddings, len(labels)):
        s = block @ embeddings.T
        place = ((s + 1) * (bins / 2)).long().clamp_(0, bins - 1)
        same = labels[start : start + len(s), None] == labels
        own = torch.arange(len(s))
        # twice the bins: negatives first, then positives; an anchor is in neither
        place += bins * same
        counts = torch.zeros(len(s), 2 * bins, dtype=torch.float64)
        counts.scatter_add_(1, place, torch.ones((), dtype=torch.float64).expand_as(place))
        counts[own, place[own, start + own]] -= 1
        negatives, positives = counts.split(bins, 1)
        both = (negatives.sum(1) > 0) & (positives.sum(1) > 0)
        negatives, positives = negatives[both], positives[both]
        total += (positives / positives.sum(1, keepdim=True)).T @ (
            negatives / negatives.sum(1, keepdim=True)
        )
        anchors += int(both.sum())
    return (total / max(anchors, 1)).numpy()


def beyond(density: NDArray[Any], boundary: Boundary) -> NDArray[Any]:
    """Return a density with 0 in the bins whose centre is within the decision boundary."""
    centres = _centres(density)
    return density * (boundary.excess(centres, centres[:, None]) > 0)


def middle(density: NDArray[Any]) -> tuple[float, float]:
    """Return the mean s_n and s_p of a density, which need not sum to 1; 0 where it is empty."""
    total = max(float(density.sum()), 1e-12)
    sn, sp = (float(density.sum(axis) @ _centres(density)) / total for axis in (0, 1))
    return sn, sp


def _centres(density: NDArray[Any]) -> Array:
    centres: Array = (np.arange(len(density)) + 0.5) * (2 / len(density)) - 1
    return centres


@dataclass(frozen=True)
class PairMeans:
    """What is read off a pair plane: of all (anchor, positive, negative), as `pair_density`."""

    outside: float  # the share beyond the decision boundary
    sp: float  # mean of the same-class pairs
    sn: float  # mean of the different-class pairs


def pair_means(embeddings: Tensor, labels: Tensor, boundary: Boundary) -> PairMeans:
    """Return the means of unit rows (N, D) with labels (N,); 0 without pairs of both kinds."""
    density = pair_density(embeddings, labels)
    sn, sp = middle(density)
    return PairMeans(float(beyond(density, boundary).sum()), sp, sn)


def pair_places(directions: Array, labels: Array) -> Array:
    """Return the place of each image in the pair plane, (N, 2) float, columns s_n and s_p.

    s_p is its mean cosine to its own class, and s_n the highest mean cosine to another class. They
    are NaN where there is no other image, or no other class. Rows of directions have length 1.
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
    places = np.where(np.isfinite(sn), sn, np.nan), np.where(counts[labels] > 1, sp, np.nan)
    return np.stack(places, 1)
