"""What a training shows of the pairs of a batch, whichever loss it trains."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.losses.inputs import check_embeddings, compute_dtype

BLOCK_ELEMENTS = 1 << 20  # entries of the matrix of pairs that are held at once: about 20 MiB


class PairStatistics(NamedTuple):
    """How far the pairs of a batch have come: detached 0-dim tensors on its device.

    They are over all ordered pairs of different rows, NaN where there is no such pair or an
    embedding is not finite; float32, or float64 for float64 embeddings. Reading one
    (`.item()`) is what waits for the device.
    """

    mean_sp: Tensor
    """Mean similarity of the same-class pairs, in [-1, 1], wanted above Delta_p = 1 - m."""
    mean_sn: Tensor
    """Mean similarity of the different-class pairs, in [-1, 1], wanted below Delta_n = m."""
    violating: Tensor
    """Share in [0, 1] of violating pairs.

    Those are same-class pairs with s_p < 1 - `|m|` and different-class pairs with s_n > `|m|`,
    where the exponent of Eq. 6 is positive. An anchor's (s_n, s_p) lies outside the decision circle
    s_n² + (s_p - 1)² = 2m² if both of its pairs are violating, and inside or on it if neither is
    (s_n < `-|m|`, where alpha_n is 0, taken as `-|m|`).
    """


@torch.no_grad()
def pair_statistics(embeddings: Tensor, labels: Tensor, m: float) -> PairStatistics:
    """Mean s_p, mean s_n and the share of violating pairs of a batch, for a margin m.

    Args:
        embeddings: (B, D) of any float dtype and length; B may be 0. Their cosines are compared,
            computed in float64 for float64 and else in float32, also under autocast.
        labels: (B,) of any integer dtype.
        m: relaxation of Eqs. 6 and 8, -1 < m < 1.

    Raises:
        TypeError, ValueError: for dtypes, shapes or lengths that do not fit.
    """
    check_embeddings(embeddings, labels)
    rows = max(1, BLOCK_ELEMENTS // max(1, len(labels)))
    with torch.autocast(embeddings.device.type, enabled=False):
        unit = F.normalize(embeddings.to(compute_dtype(embeddings)))
        sums = unit.new_zeros(5)  # added up at once: a list of them would fragment the memory
        for start in range(0, len(labels), rows):
            sums += _sums(unit, labels, start, min(rows, len(labels) - start), m)
    sum_p, count_p, sum_n, count_n, violating = sums.unbind()
    return PairStatistics(sum_p / count_p, sum_n / count_n, violating / (count_p + count_n))


def _sums(unit: Tensor, labels: Tensor, start: int, rows: int, m: float) -> Tensor:
    """(5,) of a block of rows, in place and in floats: at a few hundred rows twice as fast."""
    s = unit[start : start + rows] @ unit.T  # (R, B)
    row_labels = labels[start : start + rows, None]
    # on a CPU, comparing into int64 is vectorised, into bool it is not
    same = torch.eq(row_labels, labels, out=torch.empty_like(s, dtype=torch.int64)).to(s.dtype)
    for matrix in (s, same):
        matrix.diagonal(start).zero_()  # a row itself: similarity 0 to another class adds nothing
    sp = s * same
    sn = s.sub_(sp)
    sum_p, count_p, sum_n = sp.sum(), same.sum(), sn.sum()
    distance = sn.sub_(sp).add_(same)  # s_n, or 1 - s_p
    count_n = s.numel() - len(s) - count_p
    violating = distance.gt_(abs(m)).sum() + 0 * (sum_p + sum_n)  # NaN is greater than nothing
    return torch.stack([sum_p, count_p, sum_n, count_n, violating])
