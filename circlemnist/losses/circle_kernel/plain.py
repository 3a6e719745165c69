"""Eq. 6 in plain tensors: what torch.compile fuses, and the formula to read first."""

from __future__ import annotations

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.pairs import PairInputs


def plain_log_sums(inputs: PairInputs, gamma: float, m: float) -> tuple[Tensor, Tensor]:
    """(B,) log-sums of the exponents of Eq. 6 over positives and negatives, -inf for none."""
    anchors, references, labels, reference_labels, own = inputs
    if references is None or reference_labels is None:
        references, reference_labels = anchors, labels
        own = torch.arange(len(anchors), device=anchors.device)
    columns = torch.arange(len(references), device=anchors.device)
    same = labels[:, None] == reference_labels
    negative = ~same
    positive = same if own is None else same & (own[:, None] != columns)
    s = anchors @ references.t()
    alpha_p = (1 + m - s.detach()).clamp_min(0)
    alpha_n = (s.detach() + m).clamp_min(0)
    exponent_p = -gamma * alpha_p * (s - (1 - m))
    exponent_n = gamma * alpha_n * (s - m)
    return _log_sum(exponent_p, positive), _log_sum(exponent_n, negative)


def _log_sum(exponent: Tensor, chosen: Tensor) -> Tensor:
    """Logsumexp over the chosen entries of each row; -inf, with zero gradient, where none is."""
    some = chosen.any(1)
    # a row without entries is filled with 0: the derivative at an all -inf row would be NaN
    masked = exponent.masked_fill(~chosen, -torch.inf).masked_fill(~some[:, None], 0)
    return masked.logsumexp(1).masked_fill(~some, -torch.inf)
