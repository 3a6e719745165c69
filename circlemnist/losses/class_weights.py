"""The class weights of a loss, and directions to fix them at."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 2000
SHARPEST = 400.0
STARTS = 50


def class_weights(loss: nn.Module) -> nn.Parameter:
    """Return the class weights (C, D), or (D, C) where pytorch-metric-learning keeps them as `W`.

    Raises:
        AttributeError: the loss has none.
    """
    return loss.get_parameter("W" if hasattr(loss, "W") else "weight")


@torch.no_grad()
def fix_class_weights(loss: nn.Module, directions: Tensor) -> None:
    """Give the classes of a loss fixed weights, which no optimizer moves.

    Args:
        loss: of `LOSSES`, with class weights.
        directions: (C, D) float.

    Raises:
        AttributeError: the loss has no class weights.
        ValueError: they have another shape.
    """
    weight = class_weights(loss)
    rows = weight.T if hasattr(loss, "W") else weight  # (C, D)
    if directions.shape != rows.shape:
        raise ValueError(f"class weights are {tuple(rows.shape)}, not {tuple(directions.shape)}")
    weight.requires_grad_(False)
    rows.copy_(directions)


def spread_directions(count: int, dim: int) -> Tensor:
    """Return (count, dim) float32 unit vectors whose largest cosine is about as low as can be.

    In the plane these are the corners of a regular polygon. Elsewhere Adam minimises a soft maximum
    of the cosines, which becomes sharper, from a fixed start; ten in three dimensions come within
    1e-3 of the best cosine known, 0.4044 (N. J. A. Sloane's tables of spherical codes).
    """
    if dim == 2:
        turn = 2 * math.pi / count * torch.arange(count, dtype=torch.float64)
        return torch.stack([turn.cos(), turn.sin()], 1).float()
    start = torch.randn(count, dim, generator=torch.Generator().manual_seed(0)).double()
    directions = F.normalize(start).requires_grad_()
    optimizer = torch.optim.Adam([directions], lr=0.02)
    itself = torch.diag(torch.full((count,), math.inf, dtype=torch.float64))
    for step in range(STEPS):
        sharpness = 5 * (SHARPEST / 5) ** (step / STEPS)
        unit = F.normalize(directions)
        closest = (sharpness * (unit @ unit.T - itself)).flatten().logsumexp(0) / sharpness
        optimizer.zero_grad()
        closest.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / STEPS)
    return F.normalize(directions.detach()).float()


def arrange_directions(directions: Tensor, similarity: Tensor) -> Tensor:
    """Return the directions (C, D) in the order that puts similar classes beside each other.

    The order maximises the sum of similarity times cosine over all pairs of classes, up to
    exchanges of two directions: the best of several starts, the same at every call.

    Args:
        directions: (C, D) float, unit rows.
        similarity: (C, C) float, symmetric; higher for more similar classes.
    """
    from scipy.optimize import quadratic_assignment  # 0.2 s that pairs need not wait

    similar, cosines = similarity.double().numpy(), (directions @ directions.T).double().numpy()
    orders = []
    for start in range(STARTS):
        options = {"maximize": True, "rng": np.random.default_rng(start)}
        orders.append(quadratic_assignment(similar, cosines, method="2opt", options=options))
    return directions[torch.from_numpy(max(orders, key=lambda order: order.fun).col_ind)]


def class_similarities(images: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the cosines (C, C) between the mean images of C classes, centred on their mean."""
    pixels = images.flatten(1).float().cpu()
    by_class = [pixels[(labels == label).cpu()].mean(0) for label in classes]
    means = torch.stack(by_class).nan_to_num()  # a class may be missing
    unit = F.normalize(means - means.mean(0))
    return unit @ unit.T
