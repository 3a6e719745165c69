"""The class weights of a loss that has one a class, whoever wrote it."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def fix_class_weights(loss: nn.Module, directions: Tensor) -> None:
    """Give the classes of a loss fixed weights, which no optimizer moves.

    Args:
        loss: one of `LOSSES` that compares with class weights.
        directions: (C, D) float.

    Raises:
        AttributeError: the loss has no class weights.
        RuntimeError: they have another shape.
    """
    # pytorch-metric-learning keeps them as (D, C)
    transposed = hasattr(loss, "W")
    weight = loss.get_parameter("W" if transposed else "weight")
    weight.requires_grad_(False).copy_(directions.T if transposed else directions)
