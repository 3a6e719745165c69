"""Directions as far apart as they can be: where the classes of a low-dimensional space belong."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 2000
SHARPEST = 400.0
STARTS = 50


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
    two directions makes larger: the best of several such, from fixed starts, and so the same at
    every call.

    Args:
        directions: (C, D) float, unit rows.
        likeness: (C, C) float, symmetric; of more alike classes it is higher.

    Returns:
        (C, D), a row a class.
    """
    from scipy.optimize import quadratic_assignment  # 0.2 s that pairs need not wait

    alike, cosines = likeness.double().numpy(), (directions @ directions.T).double().numpy()
    orders = []
    for start in range(STARTS):
        options = {"maximize": True, "rng": np.random.default_rng(start)}
        orders.append(quadratic_assignment(alike, cosines, method="2opt", options=options))
    return directions[torch.from_numpy(max(orders, key=lambda order: order.fun).col_ind)]
