"""Checks of what users pass to the losses: messages name the shape or value."""

import math
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def check_settings(gamma: float, m: float, reduction: str) -> None:
    if not (math.isfinite(gamma) and gamma > 0):
        raise ValueError(f"gamma is finite and greater than 0, not {gamma}")
    if not -1 < m < 1:
        raise ValueError(f"m lies between -1 and 1, both excluded, not {m}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")


def check_embeddings(embeddings: Tensor, labels: Tensor, prefix: str = "") -> None:
    """Accept (B, D) floats with (B,) integers alone; `prefix` is that of their names."""
    _check_tensor(embeddings, f"{prefix}embeddings")
    _check_tensor(labels, f"{prefix}labels")
    if not embeddings.is_floating_point():
        raise TypeError(f"{prefix}embeddings are of a float dtype, not {embeddings.dtype}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{prefix}labels are of an integer dtype, not {labels.dtype}")
    if embeddings.dim() != 2:
        raise ValueError(f"{prefix}embeddings are (B, D), not {tuple(embeddings.shape)}")
    if labels.dim() != 1:
        column = labels.dim() == 2 and labels.shape[1] == 1
        mend = f": pass {prefix}labels.squeeze(1)" if column else ""
        raise ValueError(f"{prefix}labels are (B,), not {tuple(labels.shape)}{mend}")
    if len(embeddings) != len(labels):
        raise ValueError(
            f"one label for each embedding: {prefix}embeddings {tuple(embeddings.shape)}, "
            f"{prefix}labels {tuple(labels.shape)}"
        )


def check_references(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    self_index: Tensor | None,
) -> None:
    """Accept references that fit the anchors, or none."""
    if ref_embeddings is None or ref_labels is None:
        if ref_embeddings is not None or ref_labels is not None:
            raise ValueError("ref_embeddings and ref_labels come together; one of them is missing")
        if self_index is not None:
            raise ValueError("self_index marks rows of ref_embeddings, and there are none")
        return
    check_embeddings(ref_embeddings, ref_labels, "ref_")
    if embeddings.shape[1] != ref_embeddings.shape[1]:
        raise ValueError(
            f"embeddings {tuple(embeddings.shape)} and ref_embeddings "
            f"{tuple(ref_embeddings.shape)} differ in their dimension"
        )
    if self_index is not None:
        _check_self_index(labels, ref_labels, self_index)


def _check_self_index(labels: Tensor, ref_labels: Tensor, self_index: Tensor) -> None:
    _check_tensor(self_index, "self_index")
    if self_index.shape != labels.shape:
        raise ValueError(
            f"self_index has one row number for each anchor: {tuple(self_index.shape)} "
            f"for labels {tuple(labels.shape)}"
        )
    if torch.compiler.is_compiling() or len(self_index) == 0:
        return
    low, high = int(self_index.min()), int(self_index.max())
    if low < -1 or high >= len(ref_labels):
        raise ValueError(f"self_index lies in -1..{len(ref_labels) - 1}, not in {low}..{high}")
    marked = self_index >= 0
    if not torch.equal(ref_labels[self_index[marked].long()].long(), labels[marked].long()):
        raise ValueError("self_index marks references whose labels differ from their anchors'")


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """The dtype that a loss computes in: the widest of the tensors', and at least float32."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


def class_inputs(embeddings: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Check a batch against (C, D) class weights.

    Labels are read on a CPU alone: an accelerator would have to wait, and torch.compile cannot.

    Returns:
        (B, D) embeddings, NaN where an unread label is not in 0..C - 1; (B,) int64 labels in
        0..C - 1.
    """
    check_embeddings(embeddings, labels)
    if embeddings.shape[1] != weight.shape[1]:
        raise ValueError(
            f"embeddings {tuple(embeddings.shape)} and class weights {tuple(weight.shape)} "
            "differ in their dimension"
        )
    labels = labels.long()  # unsigned ones have no order
    last = len(weight) - 1
    if not labels.is_cpu or torch.compiler.is_compiling():
        unknown = (labels < 0) | (labels > last)
        return embeddings.masked_fill(unknown[:, None], torch.nan), labels.clamp(0, last)
    if len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high > last:
            raise ValueError(f"labels lie in 0..{last}, not in {low}..{high}")
    return embeddings, labels


def _check_tensor(value: object, name: str) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a torch.Tensor, not {type(value).__name__}")
