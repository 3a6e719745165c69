"""The loss from the pairs, with its gradients.

Where a sum or mean over the anchors is asked for, the gradient is computed in the forward pass, so
that each similarity is computed once. Every other reduction computes its tiles again in the
backward pass. While torch.compile traces, the plain formula runs, which the compiler fuses.
"""

import math
from typing import Any

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.formula import (
    SHORTEST,
    PairInputs,
    log_sum_of,
    plain_log_sums,
    plain_unit_rows,
    softplus,
)
from circlemnist.losses.circle_kernel.tiles import Rows, compute_log_sums
from circlemnist.losses.inputs import compute_dtype


def pair_inputs(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    self_index: Tensor | None,
    normalize: bool,
) -> PairInputs:
    """Both sets in one dtype of at least 32 bits, normalised; labels and indices as int64."""
    rows = [embeddings] if ref_embeddings is None else [embeddings, ref_embeddings]
    dtype = compute_dtype(*rows)
    rows = [unit_rows(x.to(dtype)) if normalize else x.to(dtype) for x in rows]
    if ref_labels is None:
        return PairInputs(rows[0], labels.long())
    own = torch.full_like(labels, -1, dtype=torch.int64) if self_index is None else self_index
    return PairInputs(rows[0], labels.long(), rows[1], ref_labels.long(), own.long())


def anchor_loss(inputs: PairInputs, gamma: float, m: float, reduction: str) -> Tensor:
    """Eq. 6 for each anchor, reduced."""
    if inputs.entries() <= 1:
        values = _zeros(inputs)
        return values if reduction == "none" else values.sum()
    sets = [inputs.anchors, *([] if inputs.references is None else [inputs.references])]
    needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in sets)
    if reduction != "none" and needs_gradient and not torch.compiler.is_compiling():
        reduced: Tensor = _ReducedLoss.apply(gamma, m, reduction == "mean", *inputs)
        return reduced
    log_sum_p, log_sum_n = _log_sums(inputs, gamma, m)
    exponent = log_sum_p + log_sum_n
    values = softplus(exponent)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.sum() / (exponent.detach() != -torch.inf).sum().clamp_min(1)


def batch_loss(inputs: PairInputs, gamma: float, m: float, reduction: str) -> Tensor:
    """Eq. 6 once, over the pairs of all anchors."""
    if inputs.entries() <= 1:
        value = _zeros(inputs).sum()
    else:
        log_sum_p, log_sum_n = _log_sums(inputs, gamma, m)
        exponent = log_sum_of(log_sum_p) + log_sum_of(log_sum_n)
        if inputs.references is None:
            # every pair i < j was met from both of its ends, in either sum
            exponent = exponent - math.log(4)
        value = softplus(exponent)
    return value[None] if reduction == "none" else value


def unit_rows(x: Tensor) -> Tensor:
    """x / |x| for each row of (B, D); zero rows stay zero and get a zero gradient."""
    if torch.compiler.is_compiling():
        return plain_unit_rows(x)
    return _UnitRows.apply(x)  # type: ignore[no-any-return]


def _log_sums(inputs: PairInputs, gamma: float, m: float) -> tuple[Tensor, ...]:
    """(B,) log-sums over positives and over negatives, -inf for none."""
    if torch.compiler.is_compiling():
        return plain_log_sums(inputs, gamma, m)
    return tuple(_LogSums.apply(gamma, m, *inputs))


def _zeros(inputs: PairInputs) -> Tensor:
    """(B,) the loss of one pair or none, with zero gradients; NaN for an embedding that is NaN."""
    zeros = (inputs.anchors * 0).sum(1)
    return zeros if inputs.references is None else zeros + (inputs.references * 0).sum()


class _ReducedLoss(torch.autograd.Function):
    """Eq. 6 summed over the anchors, or its mean over those that have both kinds of pairs."""

    @staticmethod
    def forward(ctx: Any, gamma: float, m: float, mean: bool, *tensors: Any) -> Tensor:
        inputs = PairInputs(*tensors)
        sums = compute_log_sums(inputs, gamma, m, _logistic)
        exponent = sums.log_sum_p + sums.log_sum_n
        loss = softplus(exponent).sum()
        ctx.share = None
        if mean:
            ctx.share = 1 / (exponent != -torch.inf).sum().clamp_min_(1).to(loss.dtype)
            loss.mul_(ctx.share)
        ctx.gradients = sums.d_anchors, sums.d_references
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        scale = grads[0] if ctx.share is None else grads[0] * ctx.share
        d_anchors, d_references = (None if g is None else g * scale for g in ctx.gradients)
        return None, None, None, d_anchors, None, d_references, None, None


class _LogSums(torch.autograd.Function):
    """(B,) log-sums over positives and over negatives."""

    @staticmethod
    def forward(ctx: Any, gamma: float, m: float, *tensors: Any) -> tuple[Tensor, ...]:
        sums = compute_log_sums(PairInputs(*tensors), gamma, m)
        ctx.save_for_backward(*tensors)
        ctx.gamma, ctx.m = gamma, m
        return sums.log_sum_p, sums.log_sum_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        inputs = PairInputs(*ctx.saved_tensors)
        by_p, by_n = grads[0][:, None], grads[1][:, None]
        with torch.autocast(inputs.anchors.device.type, enabled=False):
            sums = compute_log_sums(
                inputs, ctx.gamma, ctx.m, lambda rows, _p, _n: (by_p[rows], by_n[rows])
            )
        return None, None, sums.d_anchors, None, sums.d_references, None, None


def _logistic(rows: Rows, log_sum_p: Tensor, log_sum_n: Tensor) -> tuple[Tensor, Tensor]:
    """Z = 1 - exp(-L) of Eqs. 9-10: the derivative of the sum of L by either log-sum."""
    z = torch.sigmoid(log_sum_p + log_sum_n)
    return z, z


def _refuse_second_derivative() -> None:
    """Raise RuntimeError in a backward pass that is to be differentiated."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Circle Loss has no second derivative: alpha is a constant in its gradient (Eqs. 9-10),"
            " so the gradient is not that of a function; call backward() without create_graph"
        )


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        scale = norm.masked_fill_(norm < SHORTEST, torch.inf).reciprocal_()
        unit: Tensor = x * scale
        ctx.save_for_backward(unit, scale)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        unit, scale = ctx.saved_tensors
        along = (grads[0] * unit).sum(1, keepdim=True)
        return torch.addcmul(grads[0], unit, along, value=-1).mul_(scale)
