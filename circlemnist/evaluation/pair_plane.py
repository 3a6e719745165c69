"""Where pairs lie in the (s_n, s_p) plane, the picture of the paper's Fig. 5."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circlemnist.evaluation.boundary import Boundary
from circlemnist.evaluation.metrics import blocks

BINS = 200


def pair_density(embeddings: Tensor, labels: Tensor, bins: int = BINS) -> NDArray[Any]:
    """Return how all (anchor, positive, negative) spread over the square of s_n and s_p.

    Each anchor with positives and negatives counts alike: its share at (s_n, s_p) is the share of
    its negatives at s_n times that of its positives at s_p.

    Args:
        embeddings: (N, D) float, unit rows.
        labels: (N,) int64.

    Returns:
        (bins, bins) float64 that sums to 1 (to 0 without such anchors): row i is s_p in the i-th
        part of [-1, 1], column j is s_n in the j-th.
    """
    total = torch.zeros(bins, bins, dtype=torch.float64)
    anchors = 0
    for start, block in blocks(embeddings, len(labels)):
        s = block @ embeddings.T
        place = ((s + 1) * (bins / 2)).long().clamp_(0, bins - 1)
        like = labels[start : start + len(s), None] == labels
        own = torch.arange(len(s))
        # twice the bins: negatives first, then positives; an anchor is in neither
        place += bins * like
        counts = torch.zeros(len(s), 2 * bins, dtype=torch.float64)
        counts.scatter_add_(1, place, torch.ones((), dtype=torch.float64).expand_as(place))
        counts[own, place[own, start + own]] -= 1
        of_negatives, of_positives = counts.split(bins, 1)
        both = (of_negatives.sum(1) > 0) & (of_positives.sum(1) > 0)
        of_negatives, of_positives = of_negatives[both], of_positives[both]
        total += (of_positives / of_positives.sum(1, keepdim=True)).T @ (
            of_negatives / of_negatives.sum(1, keepdim=True)
        )
        anchors += int(both.sum())
    return (total / max(anchors, 1)).numpy()


def share_beyond(density: NDArray[Any], boundary: Boundary) -> float:
    """Return the share of a density beyond a decision boundary, by bin centres."""
    bins = len(density)
    centres = (np.arange(bins) + 0.5) * (2 / bins) - 1
    return float(density[boundary.excess(centres, centres[:, None]) > 0].sum())
