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

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from circlemnist.losses.circle_kernel.formula import PairInputs

# A CPU tile that stays in cache: rows x columns of float32.
CPU_ROWS, CPU_COLUMNS = 256, 4096
# Up to this many pairs one matrix, without sorting, is the quicker way. An accelerator has memory
# for more, and there each further kernel and each wait for the class bounds costs more.
DENSE_PAIRS, DEVICE_DENSE_PAIRS = 320 * 320, 2048 * 2048
DEVICE_BLOCK_BYTES = 1 << 28  # of one block of rows on an accelerator

# (rows of the block, log-sum of its positives, of its negatives) -> dL/d of both, each (R, 1)
Rows = slice | Tensor
RowGradients = Callable[[Rows, Tensor, Tensor], tuple[Tensor, Tensor]]


class LogSums(NamedTuple):
    log_sum_p: Tensor  # (B,), -inf without a positive
    log_sum_n: Tensor  # (B,), -inf without a negative
    d_anchors: Tensor | None = None  # (B, D); without references the whole gradient
    d_references: Tensor | None = None  # (N, D)


class Exponentials(NamedTuple):
    weights: Tensor  # (..., R, columns): 2^(x - shift) * alpha
    shift: Tensor  # (..., R, 1)
    total: Tensor  # (..., R, 1): the row sums of 2^(x - shift)


def compute_log_sums(
    inputs: PairInputs, gamma: float, m: float, row_gradients: RowGradients | None = None
) -> LogSums:
    """Log-sums over the pairs of each anchor and, with `row_gradients`, gradients of their loss."""
    most = DENSE_PAIRS if inputs.anchors.is_cpu else DEVICE_DENSE_PAIRS
    if inputs.entries() <= most:
        return dense(inputs, gamma, m, row_gradients)
    return tiled(inputs, gamma, m, row_gradients, *tile_shape(inputs))


def tile_shape(inputs: PairInputs) -> tuple[int, int]:
    size, columns = len(inputs.anchors), len(inputs.columns()[0])
    if inputs.anchors.is_cpu:
        return min(CPU_ROWS, size), min(CPU_COLUMNS, columns)
    rows = DEVICE_BLOCK_BYTES // (columns * inputs.anchors.element_size())
    return max(1, min(rows, size)), columns


def dense(
    inputs: PairInputs, gamma: float, m: float, row_gradients: RowGradients | None = None
) -> LogSums:
    """All pairs at once, from (2, B, N) tensors: negatives, then positives.

    For a few hundred anchors the number of operations counts, not their size. The parabolas of
    negatives and positives differ only in where they start, so each operation serves both.
    """
    anchors, (references, reference_labels) = inputs.anchors, inputs.columns()
    limits = _limits(inputs.labels, reference_labels, anchors.dtype)
    if inputs.own is None:
        limits[1].fill_diagonal_(-torch.inf)
    else:
        _leave_out(limits[1], inputs.own)
    pairs = torch.empty_like(limits)
    torch.mm(anchors, references.t(), out=pairs[0])
    torch.sub(1, pairs[0], out=pairs[1])

    scale = gamma / math.log(2)
    pairs.clamp_min_(-m)
    exponent = torch.addcmul(anchors.new_full((), -scale * m * m), pairs, pairs, value=scale)
    torch.minimum(exponent, limits, out=exponent)
    weights, shift, total = _exponentials(exponent, alpha=pairs.add_(m))
    log_sum_n, log_sum_p = _natural(total, shift).unbind()
    sums = LogSums(log_sum_p.squeeze(1), log_sum_n.squeeze(1))
    if row_gradients is None:
        return sums

    grad_p, grad_n = row_gradients(slice(None), log_sum_p, log_sum_n)
    weights.mul_(torch.stack([grad_n, grad_p]).mul_(gamma).div_(_divisor(total)))
    by_similarity = weights[0].sub_(weights[1])
    if inputs.references is None:
        return sums._replace(d_anchors=torch.mm(by_similarity + by_similarity.t(), anchors))
    return sums._replace(
        d_anchors=torch.mm(by_similarity, references),
        d_references=torch.mm(by_similarity.t(), anchors),
    )


def tiled(
    inputs: PairInputs,
    gamma: float,
    m: float,
    row_gradients: RowGradients | None,
    block_rows: int,
    chunk_columns: int,
) -> LogSums:
    """The same as `dense`, a block of rows and a chunk of columns at a time."""
    tiles = _Tiles(inputs, gamma, m, block_rows, chunk_columns)
    anchors, references = tiles.anchors, tiles.references
    d_anchors = torch.zeros_like(anchors) if row_gradients else None
    d_references = d_anchors
    if row_gradients and inputs.references is not None:
        d_references = torch.zeros_like(references)
    log_sums_p, log_sums_n = [], []
    for block in tiles.blocks():
        negatives, near = tiles.negatives(block)
        positives = tiles.positives(block, near)
        top, total_n, factors = _joined(negatives)
        log_sums_p.append(_natural(positives.total, positives.shift))
        log_sums_n.append(_natural(total_n, top))
        if row_gradients is None or d_anchors is None or d_references is None:
            continue
        rows = slice(block.start, block.stop)
        grad_p, grad_n = row_gradients(tiles.order[rows], log_sums_p[-1], log_sums_n[-1])
        scale_n = grad_n / _divisor(total_n)
        positives.weights.mul_(grad_p / _divisor(positives.total))
        for (lo, hi), part, factor in zip(tiles.chunks, negatives, factors, strict=True):
            weights = part.weights.mul_(scale_n if factor is None else scale_n * factor)
            if overlap := block.overlap(lo, hi):
                of_chunk, of_span = overlap
                weights[:, of_chunk].sub_(positives.weights[:, of_span])
            d_anchors[rows].addmm_(weights, references[lo:hi], alpha=gamma)
            d_references[lo:hi].addmm_(weights.t(), anchors[rows], alpha=gamma)
    return LogSums(
        _restored(torch.cat(log_sums_p).squeeze(1), tiles.order),
        _restored(torch.cat(log_sums_n).squeeze(1), tiles.order),
        None if d_anchors is None else _restored(d_anchors, tiles.order),
        None
        if d_references is None or inputs.references is None
        else _restored(d_references, tiles.reference_order),
    )


class _Block(NamedTuple):
    """Anchors start..stop, and the span first..last of columns that holds all their classes."""

    start: int
    stop: int
    first: int
    last: int
    limits: Tensor  # (2, R, span): see `_limits`

    def overlap(self, lo: int, hi: int) -> tuple[slice, slice] | None:
        """Where the span and the columns lo..hi meet: as slices of the columns and of the span."""
        a, b = max(self.first, lo), min(self.last, hi)
        if a >= b:
            return None
        return slice(a - lo, b - lo), slice(a - self.first, b - self.first)


class _Tiles:
    """Both sets sorted by label, so that a class is a run of columns, and cut into tiles.

    `order` and `reference_order` are the positions of the sorted rows in the caller's order.
    Exponentials are computed for one block of anchors at a time, in buffers that are used again.
    """

    def __init__(
        self, inputs: PairInputs, gamma: float, m: float, block_rows: int, chunk_columns: int
    ) -> None:
        self.labels, self.order = inputs.labels.sort(stable=True)
        self.anchors = inputs.anchors[self.order]
        self.references, self.reference_labels = self.anchors, self.labels
        self.reference_order, self.own = self.order, inputs.own
        if inputs.references is not None and inputs.reference_labels is not None:
            self.reference_labels, self.reference_order = inputs.reference_labels.sort(stable=True)
            self.references = inputs.references[self.reference_order]
        if inputs.own is not None:
            own, place = inputs.own[self.order], self.reference_order.argsort()
            self.own = torch.where(own < 0, own, place[own.clamp_min(0)])
        columns = len(self.references)
        starts = range(0, columns, chunk_columns)
        self.chunks = [(lo, min(lo + chunk_columns, columns)) for lo in starts]
        self.block_rows, self.scale, self.m = block_rows, gamma / math.log(2), m
        self.offset = self.anchors.new_full((), -self.scale * m * m)
        self.scores = self.anchors.new_empty(block_rows * chunk_columns)
        self.weights = self.anchors.new_empty(block_rows * columns)

    def blocks(self) -> Iterator[_Block]:
        starts = list(range(0, len(self.anchors), self.block_rows))
        stops = [*starts[1:], len(self.anchors)]
        low, high = self.labels[starts], self.labels[[stop - 1 for stop in stops]]
        firsts = torch.searchsorted(self.reference_labels, low).tolist()
        lasts = torch.searchsorted(self.reference_labels, high, right=True).tolist()
        for start, stop, first, last in zip(starts, stops, firsts, lasts, strict=True):
            limits = _limits(
                self.labels[start:stop], self.reference_labels[first:last], self.anchors.dtype
            )
            if self.own is None:
                limits[1].diagonal(start - first).fill_(-torch.inf)
            else:
                _leave_out(limits[1], self.own[start:stop] - first)
            yield _Block(start, stop, first, last, limits)

    def negatives(self, block: _Block) -> tuple[list[Exponentials], Tensor]:
        """A part per chunk of columns; and (R, span) the similarities in the block's span."""
        rows, anchors = block.stop - block.start, self.anchors[block.start : block.stop]
        near = anchors.new_empty(rows, block.last - block.first)
        parts = []
        for lo, hi in self.chunks:
            s = self.scores[: rows * (hi - lo)].view(rows, hi - lo)
            torch.mm(anchors, self.references[lo:hi].t(), out=s)
            overlap = block.overlap(lo, hi)
            if overlap:
                near[:, overlap[1]] = s[:, overlap[0]]
            u = s.clamp_min_(-self.m)
            weights = self.weights[rows * lo : rows * hi].view(rows, hi - lo)
            exponent = torch.addcmul(self.offset, u, u, value=self.scale, out=weights)
            if overlap:
                within = exponent[:, overlap[0]]
                torch.minimum(within, block.limits[0][:, overlap[1]], out=within)
            parts.append(_exponentials(exponent, alpha=u.add_(self.m)))
        return parts, near

    def positives(self, block: _Block, near: Tensor) -> Exponentials:
        """All positives of the block, which lie in its span."""
        if near.shape[1] == 0:
            none = near.new_zeros(len(near), 1)
            return Exponentials(near, none, none)
        v = torch.rsub(near, 1).clamp_min_(-self.m)
        exponent = torch.addcmul(self.offset, v, v, value=self.scale)
        torch.minimum(exponent, block.limits[1], out=exponent)
        return _exponentials(exponent, alpha=v.add_(self.m))


def _limits(labels: Tensor, reference_labels: Tensor, dtype: torch.dtype) -> Tensor:
    """(2, B, N): +inf for negatives, then for positives, and -inf for the other pairs.

    The smaller of an exponent and its limit is the exponent, or -inf where it does not belong.
    """
    shape = len(labels), len(reference_labels)
    # on a CPU, comparing into int64 and torch.minimum are vectorised, bool and masked_fill are not
    same = labels.new_empty(shape)
    torch.eq(labels[:, None], reference_labels, out=same)
    limits = torch.empty(2, *shape, dtype=dtype, device=labels.device)
    limits[0].copy_(same).sub_(0.5).mul_(-torch.inf)
    torch.neg(limits[0], out=limits[1])
    return limits


def _leave_out(limits: Tensor, own: Tensor) -> None:
    """-inf in (B, N) where the reference is the anchor itself: column own (B,), if there is one."""
    columns = torch.arange(limits.shape[1], device=limits.device)
    limits.masked_fill_(own[:, None] == columns, -torch.inf)


def _exponentials(exponent: Tensor, alpha: Tensor) -> Exponentials:
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


def _natural(total: Tensor, shift: Tensor) -> Tensor:
    """The log-sum in natural units, of the shape of both."""
    return total.log2().add_(shift).mul_(math.log(2))


def _divisor(total: Tensor) -> Tensor:
    """For division: a row without pairs has the total 0, and weights that are 0 as well."""
    return total.clamp_min(torch.finfo(total.dtype).tiny)


def _restored(rows: Tensor, order: Tensor) -> Tensor:
    """Rows in the order they had before they were sorted."""
    return torch.empty_like(rows).index_copy_(0, order, rows)
