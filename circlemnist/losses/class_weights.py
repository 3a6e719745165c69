"""The class weights of a loss that has one a class, whoever wrote it."""

import torch
from torch import Tensor, nn


def class_weights(loss: nn.Module) -> nn.Parameter:
    """Return the class weights of a loss, (C, D), or (D, C) where it keeps them so: as `W`.

    Raises:
        AttributeError: the loss has none.
    """
    # pytorch-metric-learning has the name W
    return loss.get_parameter("W" if hasattr(loss, "W") else "weight")


@torch.no_grad()
def fix_class_weights(loss: nn.Module, directions: Tensor) -> None:
    """Give the classes of a loss fixed weights, which no optimizer moves.

    Args:
        loss: one of `LOSSES` that compares with class weights.
        directions: (C, D) float.

    Raises:
        AttributeError: the loss has no class weights.
        ValueError: they have another shape.
    """
    weight = class_weights(loss)
    # pytorch-metric-learning keeps them as (D, C)
    transposed = hasattr(loss, "W")
    wanted = weight.T if transposed else weight
    if directions.shape != wanted.shape:
        raise ValueError(
            f"the class weights are {tuple(wanted.shape)}, not {tuple(directions.shape)}"
        )
    weight.requires_grad_(False).copy_(directions.T if transposed else directions)
