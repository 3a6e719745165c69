"""Eq. 6 in plain tensors: the formula to read first, and what torch.compile fuses."""

from typing import NamedTuple

import torch
from torch import Tensor

# A shorter row has no direction: it stays zero, and its gradient is zero.
SHORTEST = 1e-12


class PairInputs(NamedTuple):
    """(B, D) anchors, (N, D) references, their int64 labels; embeddings are float32 or float64.

    `own` (B,) is the column of the reference that an anchor itself is, -1 for none. The last three
    are None together: then the anchors meet one another.
    """

    anchors: Tensor
    labels: Tensor
    references: Tensor | None = None
    reference_labels: Tensor | None = None
    own: Tensor | None = None

    def columns(self) -> tuple[Tensor, Tensor]:
        """(N, D) what the anchors meet, and its (N,) labels."""
        if self.references is None or self.reference_labels is None:
            return self.anchors, self.labels
        return self.references, self.reference_labels

    def entries(self) -> int:
        return len(self.anchors) * len(self.columns()[0])


def plain_unit_rows(x: Tensor) -> Tensor:
    """x / |x| for each row of (B, D); zero rows stay zero and get a zero gradient."""
    # sqrt has no derivative at 0: such rows are replaced before it, not after
    squares = (x * x).sum(1, keepdim=True)
    short = squares < SHORTEST**2
    return x * squares.masked_fill(short, torch.inf).rsqrt()


def plain_log_sums(inputs: PairInputs, gamma: float, m: float) -> tuple[Tensor, Tensor]:
    """(B,) log-sums of the exponents of Eq. 6 over positives and negatives, -inf for none."""
    anchors, labels, own = inputs.anchors, inputs.labels, inputs.own
    references, reference_labels = inputs.columns()
    columns = torch.arange(len(references), device=anchors.device)
    if own is None:
        own = columns
    same = labels[:, None] == reference_labels
    s = anchors @ references.t()
    alpha_p = (1 + m - s.detach()).clamp_min(0)
    alpha_n = (s.detach() + m).clamp_min(0)
    exponent_p = -gamma * alpha_p * (s - (1 - m))
    exponent_n = gamma * alpha_n * (s - m)
    return _log_sum(exponent_p, same & (own[:, None] != columns)), _log_sum(exponent_n, ~same)


def _log_sum(exponent: Tensor, chosen: Tensor) -> Tensor:
    """Logsumexp over the chosen entries of each row; -inf, with zero gradient, where none is."""
    some = chosen.any(1)
    # a row without entries is filled with 0: the derivative at an all -inf row would be NaN
    masked = exponent.masked_fill(~chosen, -torch.inf).masked_fill(~some[:, None], 0)
    return masked.logsumexp(1).masked_fill(~some, -torch.inf)


def log_sum_of(log_sums: Tensor) -> Tensor:
    """Logsumexp of (B,); -inf with zero gradient, not NaN, where all are -inf."""
    top = log_sums.detach().amax().clamp_min(torch.finfo(log_sums.dtype).min)
    total = (log_sums - top).exp().sum()
    return torch.where(total == 0, -torch.inf, total.masked_fill(total == 0, 1).log() + top)


def softplus(exponent: Tensor) -> Tensor:
    """log(1 + exp(x)), exact at both ends: no threshold; 0 with zero gradient at -inf."""
    return torch.logaddexp(exponent, exponent.new_zeros(()))
