"""The ways from pairs to log-sums, with their gradients; they differ in speed and memory only.

`circle_loss` computes the gradient in the forward pass (a sum or mean over anchors allows that),
so that each similarity is computed once. `log_sums` serves every other reduction: its backward
pass computes the tiles again. While torch.compile traces, small matrices take the plain formula,
which the compiler fuses, and large ones an opaque operator around the same tiles.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from circlemnist.losses.circle_kernel.dispatch import compute_log_sums, gradients
from circlemnist.losses.circle_kernel.operators import log_sums_operator
from circlemnist.losses.circle_kernel.pairs import PairInputs
from circlemnist.losses.circle_kernel.plain import plain_log_sums
from circlemnist.losses.circle_kernel.tiles import Rows

# Under torch.compile, the plain formula up to this many pairs.
COMPILED_PAIRS = {"cpu": 320 * 320, "cuda": 16384 * 16384}


def log_sums(pairs: PairInputs, gamma: float, m: float) -> tuple[Tensor, ...]:
    """(B,) log-sums over positives and over negatives, -inf for none."""
    if not torch.compiler.is_compiling():
        return tuple(_LogSumsFunction.apply(*pairs, gamma, m))
    if pairs.entries() <= COMPILED_PAIRS.get(pairs.anchors.device.type, 0):
        return plain_log_sums(pairs, gamma, m)
    return tuple(log_sums_operator(*pairs, gamma, m))


def circle_loss(pairs: PairInputs, gamma: float, m: float, mean: bool) -> Tensor:
    """Eq. 6 summed over the anchors, or its mean over those that have both kinds of pairs.

    Not for use under torch.compile.
    """
    return _CircleLoss.apply(*pairs, gamma, m, mean)  # type: ignore[no-any-return]


class _CircleLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        references: Tensor | None,
        labels: Tensor,
        reference_labels: Tensor | None,
        own: Tensor | None,
        gamma: float,
        m: float,
        mean: bool,
    ) -> Tensor:
        pairs = PairInputs(anchors, references, labels, reference_labels, own)
        sums = compute_log_sums(pairs, gamma, m, _logistic)
        exponent = sums.log_sum_p + sums.log_sum_n
        loss: Tensor = torch.logaddexp(exponent, exponent.new_zeros(())).sum()
        ctx.share = None
        if mean:
            ctx.share = 1 / (exponent != -torch.inf).sum().clamp_min_(1).to(loss.dtype)
            loss.mul_(ctx.share)
        ctx.gradients = sums.d_anchors, None if references is None else sums.d_references
        ctx.save_for_backward(anchors, references)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0]
        if ctx.share is not None:
            scale = scale * ctx.share
        by_set = [None if g is None else g * scale for g in ctx.gradients]
        return *_once(ctx, by_set), *(None,) * 6


class _LogSumsFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        references: Tensor | None,
        labels: Tensor,
        reference_labels: Tensor | None,
        own: Tensor | None,
        gamma: float,
        m: float,
    ) -> tuple[Tensor, ...]:
        pairs = PairInputs(anchors, references, labels, reference_labels, own)
        sums = compute_log_sums(pairs, gamma, m)
        ctx.save_for_backward(anchors, references, labels, reference_labels, own)
        ctx.gamma, ctx.m = gamma, m
        return sums.log_sum_p, sums.log_sum_n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pairs = PairInputs(*ctx.saved_tensors)
        with torch.no_grad(), torch.autocast(pairs.anchors.device.type, enabled=False):
            by_set = gradients(pairs, ctx.gamma, ctx.m, grads[0], grads[1])
        return *_once(ctx, list(by_set)), *(None,) * 5


def _logistic(rows: Rows, log_sum_p: Tensor, log_sum_n: Tensor) -> tuple[Tensor, Tensor]:
    """Z = 1 - exp(-L) of Eqs. 9-10: the derivative of the sum of L by either log-sum."""
    z = torch.sigmoid(log_sum_p + log_sum_n)
    return z, z


class _Once(torch.autograd.Function):
    """Passes a first derivative on, and says why there is no second one where one is asked for."""

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: Tensor, point: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[None, None]:
        raise RuntimeError(
            "Circle Loss has no second derivative: alpha is a constant in its gradient (Eqs. 9-10),"
            " so the gradient is not that of a function; call backward() without create_graph"
        )


def _once(ctx: Any, gradients: list[Tensor | None]) -> list[Tensor | None]:
    if not torch.is_grad_enabled():
        return gradients
    points = ctx.saved_tensors[:2]
    return [
        None if g is None else _Once.apply(g, point)
        for g, point in zip(gradients, points, strict=True)
    ]
