"""L2-normalised rows, with a gradient that stays finite at zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# A shorter row has no direction: it stays zero, and its gradient is zero.
SHORTEST = 1e-12


def unit_rows(x: Tensor) -> Tensor:
    """x / |x| for each row of (B, D); zero rows stay zero and get a zero gradient."""
    if torch.compiler.is_compiling():
        # sqrt has no derivative at 0: such rows are replaced before it, not after
        squares = (x * x).sum(1, keepdim=True)
        short = squares < SHORTEST**2
        return x * squares.masked_fill(short, torch.inf).rsqrt()
    return _UnitRows.apply(x)  # type: ignore[no-any-return]


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
        (grad,) = grads
        unit, scale = ctx.saved_tensors
        along = (grad * unit).sum(1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).mul_(scale)
