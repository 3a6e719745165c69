"""What a training loop shows of the pairs of a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PairStatistics(NamedTuple):
    """How far the pairs of a batch have come: detached 0-dim tensors on the loss's device.

    They are means over all pairs of an anchor with a reference that is not itself, also those of
    anchors that have no loss; NaN where there is no such pair. They are float32, or float64 for
    float64 embeddings. Reading one (`.item()`) is what waits for the device.
    """

    mean_sp: Tensor
    """Mean similarity of the within-class pairs, in [-1, 1]; wanted: above Delta_p = 1 - m."""
    mean_sn: Tensor
    """Mean similarity of the between-class pairs, in [-1, 1]; wanted: below Delta_n = m."""
    crossed: Tensor
    """Share in [0, 1] of pairs beyond the decision circle s_n² + (s_p - 1)² = 2m².

    A pair counts if its distance from the circle's centre (s_n, s_p) = (0, 1), on its own axis,
    is over |m|, an equal part of the circle: s_p < 1 - |m| within a class, s_n > |m| between
    classes. That is where its exponent in Eq. 6 is positive. An anchor's (s_n, s_p) lies outside
    the circle if both of its pairs count, and inside or on it if neither does (s_n < -|m|, where
    alpha_n is 0, taken as -|m|). Within-class and between-class pairs are counted alike.
    """


def pair_statistics(tally: Tensor) -> PairStatistics:
    """Means and shares from the (5,) sums and counts of `tiles.Swept`."""
    sum_sp, count_p, sum_sn, count_n, crossed = tally.unbind()
    return PairStatistics(
        sum_sp / _some(count_p), sum_sn / _some(count_n), crossed / _some(count_p + count_n)
    )


def _some(count: Tensor) -> Tensor:
    """NaN instead of 0."""
    return count.masked_fill(count == 0, torch.nan)
