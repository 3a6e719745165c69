"""Directions as far apart as they can be: where the classes of a low-dimensional space belong."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 2000
SHARPEST = 400.0
STARTS = 10


def spread_directions(count: int, dim: int) -> Tensor:
    """Return unit vectors whose largest cosine between two of them is about as low as can be.

    In the plane these are the corners of a regular polygon. Elsewhere a soft maximum of the
    cosines is minimised from a fixed start, sharper by and by; ten in three dimensions come within
    1e-3 of the best cosine known, 0.4044 (N. J. A. Sloane's tables of spherical codes).

    Returns:
        (count, dim) float32; the same at every call.
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


def arranged(directions: Tensor, likeness: Tensor) -> Tensor:
    """Return the directions in the order that puts like classes beside each other.

    The order is one whose sum of likeness times cosine, over all pairs of classes, no exchange of
    two directions makes larger: the best of several such, from fixed starts.

    Args:
        directions: (C, D) float, unit rows.
        likeness: (C, C) float, symmetric; of more alike classes it is higher.

    Returns:
        (C, D), a row a class.
    """
    cosines, generator = (directions @ directions.T).double(), torch.Generator().manual_seed(0)
    likeness = likeness.double()

    def agreement(order: Tensor) -> float:
        return float((likeness * cosines[order][:, order]).sum())

    best = torch.arange(len(directions))
    for _ in range(STARTS):
        order = torch.randperm(len(directions), generator=generator)
        better = True
        while better:
            better = False
            for pair in torch.combinations(torch.arange(len(order))):
                exchanged = order.clone()
                exchanged[pair] = order[pair.flip(0)]
                if agreement(exchanged) > agreement(order) + 1e-9:
                    order, better = exchanged, True
        best = max(best, order, key=agreement)
    return directions[best]
