"""Is the class of an image in the gallery? Thresholds on how typical of a class it is.

They are taken on images that the network was not trained on; training images lie closer to their
class than any other will.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.evaluation.points import OperatingPoint

RATES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def operating_points(
    typicality: Tensor, labels: Tensor, unseen: Sequence[int]
) -> tuple[OperatingPoint, ...]:
    """Return the threshold for each of `RATES`, and what it gets wrong.

    Images whose class the gallery lacks are those of `unseen` classes. Where there are none, each
    image measured is one in turn: its own class is taken for one that the gallery lacks.

    Args:
        typicality: (N, C) float, of each class; of those that the gallery lacks 0.
        labels: (N,) int64.
    """
    of_unseen = torch.isin(labels, torch.tensor(unseen, dtype=labels.dtype))
    scores = typicality.max(1).values
    known, strangers = scores[~of_unseen], scores[of_unseen]
    if not len(strangers):
        own = F.one_hot(labels, typicality.shape[1]).bool()
        strangers = typicality.masked_fill(own, 0).max(1).values
    points = []
    for rate in RATES:
        bound = threshold(strangers, rate)
        errors = [(strangers > bound).double().mean(), (known <= bound).double().mean()]
        points.append(OperatingPoint(rate, bound, *map(float, errors)))
    return tuple(points)


def threshold(strangers: Tensor, false_accept_rate: float) -> float:
    """Return the least score that no more than that share of the strangers (N,) is above."""
    scores = strangers.sort().values
    allowed = min(int(false_accept_rate * len(scores) + 1e-9), len(scores) - 1)
    return float(scores[len(scores) - 1 - allowed])
