"""The matrix of pairs in tiles: its logsumexps and their gradients, exactly, in little memory.

With u = max(s_n, -m) and v = max(1 - s_p, -m) the exponents of Eq. 6 are parabolas::

    gamma * alpha_n * (s_n - Delta_n)  =  gamma * (u**2 - m**2)      alpha_n = u + m
   -gamma * alpha_p * (s_p - Delta_p)  =  gamma * (v**2 - m**2)      alpha_p = v + m

which holds for every m in (-1, 1), clipped pairs included. One block of anchors is taken
against all references, a cache-sized chunk of columns at a time. Its weights (softmax times
alpha, Eqs. 9-10) are kept until its logsumexps are known; then they are scaled and multiplied
with the embeddings. Each similarity is computed once for value and gradient together.

Exponents are kept in units of ln 2: torch.exp2 is as exact as torch.exp, and on a CPU up to four
times as fast (benchmarks/loss.py prints both).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.pairs import Block, Pairs

# (rows of the block, log-sum of its positives, of its negatives) -> dL/d of both, each (R, 1)
Rows = slice | Tensor
RowGradients = Callable[[Rows, Tensor, Tensor], tuple[Tensor, Tensor]]


class LogSums(NamedTuple):
    """Log-sums of Eq. 6 for each anchor and, if asked for, the gradients of a loss of them."""

    log_sum_p: Tensor  # (B,), -inf without a positive
    log_sum_n: Tensor  # (B,), -inf without a negative
    d_anchors: Tensor | None  # (B, D); for one set against itself the whole gradient
    d_references: Tensor | None  # (N, D); for one set against itself the same tensor


class Exponentials(NamedTuple):
    """2^(x - shift) * alpha for a set of columns, with the row sums of 2^(x - shift)."""

    weights: Tensor  # (..., R, columns)
    shift: Tensor  # (..., R, 1)
    total: Tensor  # (..., R, 1)


def log_sums_in_tiles(
    pairs: Pairs, gamma: float, m: float, row_gradients: RowGradients | None = None
) -> LogSums:
    """Log-sums of exponents over the pairs of each anchor and, if asked, their gradients.

    `row_gradients` turns the log-sums of a block of anchors into the derivatives of the loss
    with respect to them; without it no gradient is computed.
    """
    anchors, references = pairs.anchors, pairs.references
    d_anchors = d_references = None
    if row_gradients is not None:
        d_anchors = torch.zeros_like(anchors)
        d_references = d_anchors if references is anchors else torch.zeros_like(references)
    tiles = _Tiles(pairs, gamma, m)
    log_sums_p, log_sums_n = [], []
    for block in pairs.blocks():
        negatives, near = tiles.negatives(block)
        positives = tiles.positives(block, near)
        top, total_n, factors = _joined(negatives)
        log_sums_p.append(natural(positives.total, positives.shift))
        log_sums_n.append(natural(total_n, top))
        if row_gradients is None or d_anchors is None or d_references is None:
            continue
        rows = slice(block.start, block.stop)
        grad_p, grad_n = row_gradients(rows, log_sums_p[-1], log_sums_n[-1])
        scale_n = grad_n / divisor(total_n)
        positives.weights.mul_(grad_p / divisor(positives.total))
        for (lo, hi), part, factor in zip(pairs.chunks(), negatives, factors, strict=True):
            weights = part.weights.mul_(scale_n if factor is None else scale_n * factor)
            if overlap := block.overlap(lo, hi):
                of_chunk, of_span = overlap
                weights[:, of_chunk].sub_(positives.weights[:, of_span])
            d_anchors[rows].addmm_(weights, references[lo:hi], alpha=gamma)
            d_references[lo:hi].addmm_(weights.t(), anchors[rows], alpha=gamma)
    return LogSums(_column(log_sums_p), _column(log_sums_n), d_anchors, d_references)


class _Tiles:
    """Exponentials of one block of anchors at a time, in buffers that are used again."""

    def __init__(self, pairs: Pairs, gamma: float, m: float) -> None:
        self.pairs, self.scale, self.m = pairs, gamma / math.log(2), m
        like = pairs.anchors
        self.offset = like.new_full((), -self.scale * m * m)
        self.scores = like.new_empty(pairs.block_rows * pairs.chunk_columns)
        self.weights = like.new_empty(pairs.block_rows * pairs.references.shape[0])

    def negatives(self, block: Block) -> tuple[list[Exponentials], Tensor]:
        """A part per chunk of columns; and (R, span) the similarities in the block's span."""
        pairs, rows = self.pairs, block.stop - block.start
        anchors = pairs.anchors[block.start : block.stop]
        near = anchors.new_empty(rows, block.last - block.first)
        parts = []
        for lo, hi in pairs.chunks():
            s = self.scores[: rows * (hi - lo)].view(rows, hi - lo)
            torch.mm(anchors, pairs.references[lo:hi].t(), out=s)
            overlap = block.overlap(lo, hi)
            if overlap:
                near[:, overlap[1]] = s[:, overlap[0]]
            u = s.clamp_min_(-self.m)
            weights = self.weights[rows * lo : rows * hi].view(rows, hi - lo)
            exponent = torch.addcmul(self.offset, u, u, value=self.scale, out=weights)
            if overlap:
                within = exponent[:, overlap[0]]
                torch.minimum(within, block.limits[0][:, overlap[1]], out=within)
            parts.append(exponentials(exponent, alpha=u.add_(self.m)))
        return parts, near

    def positives(self, block: Block, near: Tensor) -> Exponentials:
        """All positives of the block, which lie in its span."""
        if near.shape[1] == 0:
            none = near.new_zeros(near.shape[0], 1)
            return Exponentials(near, none, none)
        v = torch.rsub(near, 1).clamp_min_(-self.m)
        exponent = torch.addcmul(self.offset, v, v, value=self.scale)
        torch.minimum(exponent, block.limits[1], out=exponent)
        return exponentials(exponent, alpha=v.add_(self.m))


def exponentials(exponent: Tensor, alpha: Tensor) -> Exponentials:
    """2^x times alpha, in place, less the largest x of each row; a row of -inf becomes zeros."""
    shift = exponent.amax(-1, keepdim=True).clamp_min_(torch.finfo(exponent.dtype).min)
    total = exponent.sub_(shift).exp2_().sum(-1, keepdim=True)
    return Exponentials(exponent.mul_(alpha), shift, total)


def _joined(parts: list[Exponentials]) -> tuple[Tensor, Tensor, list[Tensor] | list[None]]:
    """Common shift and total of the parts, and what each part is to be multiplied with."""
    if len(parts) == 1:
        return parts[0].shift, parts[0].total, [None]
    shifts = torch.cat([part.shift for part in parts], 1)
    top = shifts.amax(1, keepdim=True)
    factors = (shifts - top).exp2_()
    total = (torch.cat([part.total for part in parts], 1) * factors).sum(1, keepdim=True)
    return top, total, list(factors[:, :, None].unbind(1))


def natural(total: Tensor, shift: Tensor) -> Tensor:
    """The log-sum in natural units, of the shape of both."""
    return total.log2().add_(shift).mul_(math.log(2))


def divisor(total: Tensor) -> Tensor:
    """For division: a row without pairs has the total 0, and weights that are 0 as well."""
    return total.clamp_min(torch.finfo(total.dtype).tiny)


def _column(blocks: list[Tensor]) -> Tensor:
    """(B,) from the (R, 1) of each block."""
    return (blocks[0] if len(blocks) == 1 else torch.cat(blocks)).squeeze(1)
