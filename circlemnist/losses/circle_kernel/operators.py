"""The tiles as opaque operators, for large batches inside a user's torch.compile."""

from typing import Any

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.dispatch import compute_log_sums, gradients
from circlemnist.losses.circle_kernel.pairs import PairInputs


@torch.library.custom_op("circlemnist::log_sums", mutates_args=())
def log_sums_operator(
    anchors: Tensor,
    references: Tensor | None,
    labels: Tensor,
    reference_labels: Tensor | None,
    own: Tensor | None,
    gamma: float,
    m: float,
) -> tuple[Tensor, Tensor]:
    inputs = PairInputs(anchors, references, labels, reference_labels, own)
    sums = compute_log_sums(inputs, gamma, m)
    # results of an operator may not share memory
    return sums.log_sum_p.clone(), sums.log_sum_n.clone()


@log_sums_operator.register_fake
def _(
    anchors: Tensor,
    references: Tensor | None,
    labels: Tensor,
    reference_labels: Tensor | None,
    own: Tensor | None,
    gamma: float,
    m: float,
) -> tuple[Tensor, Tensor]:
    size = anchors.shape[0]
    return anchors.new_empty(size), anchors.new_empty(size)


@torch.library.custom_op("circlemnist::log_sums_gradient", mutates_args=())
def _gradient_operator(
    anchors: Tensor,
    references: Tensor | None,
    labels: Tensor,
    reference_labels: Tensor | None,
    own: Tensor | None,
    gamma: float,
    m: float,
    grad_p: Tensor,
    grad_n: Tensor,
) -> tuple[Tensor, Tensor]:
    inputs = PairInputs(anchors, references, labels, reference_labels, own)
    d_anchors, d_references = gradients(inputs, gamma, m, grad_p, grad_n)
    return d_anchors, anchors.new_empty(0) if d_references is None else d_references


@_gradient_operator.register_fake
def _(
    anchors: Tensor,
    references: Tensor | None,
    labels: Tensor,
    reference_labels: Tensor | None,
    own: Tensor | None,
    gamma: float,
    m: float,
    grad_p: Tensor,
    grad_n: Tensor,
) -> tuple[Tensor, Tensor]:
    # contiguous as those of the tiles, whatever the embeddings are
    d_anchors = torch.empty_like(anchors, memory_format=torch.contiguous_format)
    if references is None:
        return d_anchors, anchors.new_empty(0)
    return d_anchors, torch.empty_like(references, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.gamma, ctx.m = inputs
    ctx.save_for_backward(*tensors)


def _operator_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    d_anchors, d_references = _gradient_operator(*tensors, ctx.gamma, ctx.m, grads[0], grads[1])
    return d_anchors, None if tensors[1] is None else d_references, *(None,) * 5


log_sums_operator.register_autograd(_operator_backward, setup_context=_setup)
