"""A small matrix of pairs at once: positives and negatives are stacked, each step serves both.

For a few hundred anchors the number of operations counts, not their size. With the parabolas of
`tiles` negatives and positives differ only in where they start: at s_n and at 1 - s_p.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.pairs import PairInputs, leave_out, pair_limits
from circlemnist.losses.circle_kernel.tiles import (
    LogSums,
    RowGradients,
    divisor,
    exponentials,
    natural,
)


def dense(
    inputs: PairInputs, gamma: float, m: float, row_gradients: RowGradients | None = None
) -> LogSums:
    """What `tiles.log_sums_in_tiles` gives, in the order of the inputs, from (2, B, N) tensors."""
    anchors = inputs.anchors
    references = anchors if inputs.references is None else inputs.references
    limits = _limits(inputs)
    pairs = torch.empty_like(limits)
    torch.mm(anchors, references.t(), out=pairs[0])
    torch.sub(1, pairs[0], out=pairs[1])

    scale = gamma / math.log(2)
    pairs.clamp_min_(-m)
    exponent = torch.addcmul(anchors.new_full((), -scale * m * m), pairs, pairs, value=scale)
    torch.minimum(exponent, limits, out=exponent)
    weights, shift, total = exponentials(exponent, alpha=pairs.add_(m))
    log_sum_n, log_sum_p = natural(total, shift).unbind()
    if row_gradients is None:
        return LogSums(log_sum_p.squeeze(1), log_sum_n.squeeze(1), None, None)

    grad_p, grad_n = row_gradients(slice(None), log_sum_p, log_sum_n)
    weights.mul_(torch.stack([grad_n, grad_p]).mul_(gamma).div_(divisor(total)))
    by_similarity = weights[0].sub_(weights[1])
    if inputs.references is None:
        d_anchors = d_references = torch.mm(by_similarity + by_similarity.t(), anchors)
    else:
        d_anchors = torch.mm(by_similarity, references)
        d_references = torch.mm(by_similarity.t(), anchors)
    return LogSums(log_sum_p.squeeze(1), log_sum_n.squeeze(1), d_anchors, d_references)


def _limits(inputs: PairInputs) -> Tensor:
    """(2, B, N): see `pair_limits`; an anchor is not its own positive."""
    labels, reference_labels = inputs.labels, inputs.reference_labels
    others = labels if reference_labels is None else reference_labels
    limits = pair_limits(labels, others, inputs.anchors.dtype)
    if reference_labels is None:
        limits[1].fill_diagonal_(-torch.inf)
    elif inputs.own is not None:
        leave_out(limits[1], inputs.own)
    return limits
