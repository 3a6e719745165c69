"""Eq. 6 and its whole-batch variant, reduced, from the log-sums of the pairs."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.pairs import PairInputs
from circlemnist.losses.circle_kernel.paths import circle_loss, log_sums
from circlemnist.losses.circle_kernel.unit_rows import unit_rows


def pair_inputs(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    self_index: Tensor | None,
    normalize: bool,
) -> PairInputs:
    """Both sets in one dtype of at least 32 bits, normalised; labels and indices as int64."""
    dtype = torch.promote_types(embeddings.dtype, torch.float32)
    if ref_embeddings is None or ref_labels is None:
        anchors = embeddings.to(dtype)
        return PairInputs(
            unit_rows(anchors) if normalize else anchors, None, labels.long(), None, None
        )
    dtype = torch.promote_types(dtype, ref_embeddings.dtype)
    anchors, references = embeddings.to(dtype), ref_embeddings.to(dtype)
    if normalize:
        anchors, references = unit_rows(anchors), unit_rows(references)
    own = torch.full_like(labels, -1, dtype=torch.int64)
    if self_index is not None:
        own = self_index.long()
    return PairInputs(anchors, references, labels.long(), ref_labels.long(), own)


def anchor_loss(inputs: PairInputs, gamma: float, m: float, reduction: str) -> Tensor:
    """Eq. 6 for each anchor, reduced."""
    if _pairless(inputs):
        values = _zeros(inputs)
        return values if reduction == "none" else values.sum()
    if reduction != "none" and _needs_gradient(inputs) and not torch.compiler.is_compiling():
        return circle_loss(inputs, gamma, m, mean=reduction == "mean")
    log_sum_p, log_sum_n = log_sums(inputs, gamma, m)
    exponent = log_sum_p + log_sum_n
    values = _softplus(exponent)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.sum() / (exponent.detach() != -torch.inf).sum().clamp_min(1)


def batch_loss(inputs: PairInputs, gamma: float, m: float, reduction: str) -> Tensor:
    """Eq. 6 once, over the pairs of all anchors."""
    if _pairless(inputs):
        value = _zeros(inputs).sum()
        return value[None] if reduction == "none" else value
    log_sum_p, log_sum_n = log_sums(inputs, gamma, m)
    exponent = _log_sum(log_sum_p) + _log_sum(log_sum_n)
    if inputs.references is None:
        # every pair i < j was met from both of its ends, in either sum
        exponent = exponent - math.log(4)
    value = _softplus(exponent)
    return value[None] if reduction == "none" else value


def _softplus(exponent: Tensor) -> Tensor:
    """log(1 + exp(x)), exact at both ends: no threshold; 0 with zero gradient at -inf."""
    return torch.logaddexp(exponent, exponent.new_zeros(()))


def _log_sum(log_sums: Tensor) -> Tensor:
    """Logsumexp of (B,); -inf with zero gradient, not NaN, where all are -inf."""
    top = log_sums.detach().amax().clamp_min(torch.finfo(log_sums.dtype).min)
    total = (log_sums - top).exp().sum()
    return torch.where(total == 0, -torch.inf, total.masked_fill(total == 0, 1).log() + top)


def _pairless(inputs: PairInputs) -> bool:
    """No or one pair of anchor and reference: never a loss."""
    return inputs.entries() <= 1


def _zeros(inputs: PairInputs) -> Tensor:
    """(B,) zeros with zero gradients; NaN for an embedding that is NaN."""
    zeros = (inputs.anchors * 0).sum(1)
    return zeros if inputs.references is None else zeros + (inputs.references * 0).sum()


def _needs_gradient(inputs: PairInputs) -> bool:
    """Whether a backward pass may follow."""
    references = inputs.references
    wanted = inputs.anchors.requires_grad or (references is not None and references.requires_grad)
    return torch.is_grad_enabled() and wanted


def full_precision(embeddings: Tensor) -> AbstractContextManager[object]:
    """Autocast off: similarities and exponents of half precision would not do."""
    device = embeddings.device.type
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
