"""Which anchor meets which reference: order, blocks, and masks of the matrix of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# A CPU tile that stays in cache: rows x columns of float32.
CPU_ROWS, CPU_COLUMNS = 256, 4096
# Up to this many pairs one tile, without sorting, is the quicker way. An accelerator has memory
# for more, and there each further kernel and each wait for the class bounds costs more.
DENSE_PAIRS, DEVICE_DENSE_PAIRS = 320 * 320, 2048 * 2048
# Bytes of one block of rows on an accelerator.
DEVICE_BLOCK_BYTES = 1 << 28


class PairInputs(NamedTuple):
    """What every path takes: (B, D) anchors, (N, D) references and their (B,), (N,) int64 labels.

    The embeddings are float32 or float64. Without references (None) the anchors meet one another.
    `own` (B,) is the column of the reference that an anchor itself is, -1 for none.
    """

    anchors: Tensor
    references: Tensor | None
    labels: Tensor
    reference_labels: Tensor | None
    own: Tensor | None

    def entries(self) -> int:
        """Entries of the matrix of pairs."""
        others = self.anchors if self.references is None else self.references
        return self.anchors.shape[0] * others.shape[0]

    def few(self) -> bool:
        """Whether one dense matrix is the quicker way."""
        return self.entries() <= (DENSE_PAIRS if self.anchors.is_cpu else DEVICE_DENSE_PAIRS)


class Block(NamedTuple):
    """Anchors start..stop, and the span first..last of columns that holds all their classes."""

    start: int
    stop: int
    first: int
    last: int
    limits: Tensor  # (2, R, span): see `pair_limits`

    def overlap(self, lo: int, hi: int) -> tuple[slice, slice] | None:
        """Where the span and the columns lo..hi meet: as slices of the columns and of the span."""
        a, b = max(self.first, lo), min(self.last, hi)
        if a >= b:
            return None
        return slice(a - lo, b - lo), slice(a - self.first, b - self.first)


@dataclass(frozen=True)
class Pairs:
    """Anchors against references, cut into blocks of rows and chunks of columns.

    anchors (B, D) and references (N, D) are float32 or float64, labels int64. `own` tells which
    reference an anchor itself is: None, the same row (one set against itself); else (B,) int64
    column numbers, -1 for none. Both sets are sorted by label: a class is a run of columns.
    """

    anchors: Tensor
    references: Tensor
    labels: Tensor
    reference_labels: Tensor
    own: Tensor | None
    block_rows: int
    chunk_columns: int

    def chunks(self) -> list[tuple[int, int]]:
        """The columns lo..hi of each chunk."""
        n, step = self.references.shape[0], self.chunk_columns
        return [(lo, min(lo + step, n)) for lo in range(0, n, step)]

    def blocks(self) -> Iterator[Block]:
        """The blocks of rows, with their masks."""
        size, step = self.anchors.shape[0], self.block_rows
        starts = list(range(0, size, step))
        stops = [min(start + step, size) for start in starts]
        low, high = self.labels[starts], self.labels[[stop - 1 for stop in stops]]
        firsts = torch.searchsorted(self.reference_labels, low).tolist()
        lasts = torch.searchsorted(self.reference_labels, high, right=True).tolist()
        for bounds in zip(starts, stops, firsts, lasts, strict=True):
            yield self._block(*bounds)

    def _block(self, start: int, stop: int, first: int, last: int) -> Block:
        limits = pair_limits(
            self.labels[start:stop], self.reference_labels[first:last], self.anchors.dtype
        )
        if self.own is None:
            limits[1].diagonal(start - first).fill_(-torch.inf)
        else:
            leave_out(limits[1], self.own[start:stop] - first)
        return Block(start, stop, first, last, limits)


def pair_limits(labels: Tensor, reference_labels: Tensor, dtype: torch.dtype) -> Tensor:
    """(2, B, N): +inf for negatives, then for positives, and -inf for the other pairs.

    The smaller of an exponent and its limit is the exponent, or -inf where it does not belong.
    """
    shape = labels.shape[0], reference_labels.shape[0]
    # on a CPU, comparing into int64 and torch.minimum are vectorised, bool and masked_fill are not
    same = labels.new_empty(shape)
    torch.eq(labels[:, None], reference_labels, out=same)
    limits = torch.empty(2, *shape, dtype=dtype, device=labels.device)
    limits[0].copy_(same).sub_(0.5).mul_(-torch.inf)
    torch.neg(limits[0], out=limits[1])
    return limits


def leave_out(limits: Tensor, own: Tensor) -> None:
    """-inf in (B, N) where the reference is the anchor itself: column own (B,), if there is one."""
    columns = torch.arange(limits.shape[1], device=limits.device)
    limits.masked_fill_(own[:, None] == columns, -torch.inf)


@dataclass(frozen=True)
class Order:
    """How the rows of both sets were sorted: positions in the caller's order."""

    anchors: Tensor
    references: Tensor


def sort_by_label(inputs: PairInputs) -> tuple[Pairs, Order]:
    """Both sets sorted by label, and cut into tiles."""
    labels, order = inputs.labels.sort(stable=True)
    anchors = inputs.anchors[order]
    if inputs.references is None or inputs.reference_labels is None:
        tile = _tile_shape(anchors, anchors.shape[0])
        return Pairs(anchors, anchors, labels, labels, None, *tile), Order(order, order)
    reference_labels, reference_order = inputs.reference_labels.sort(stable=True)
    references = inputs.references[reference_order]
    own = _moved(inputs.own, order, reference_order)
    tile = _tile_shape(anchors, references.shape[0])
    pairs = Pairs(anchors, references, labels, reference_labels, own, *tile)
    return pairs, Order(order, reference_order)


def restored(rows: Tensor, order: Tensor) -> Tensor:
    """Rows in the order they had before they were sorted."""
    return torch.empty_like(rows).index_copy_(0, order, rows)


def _moved(own: Tensor | None, order: Tensor, reference_order: Tensor) -> Tensor:
    """The column numbers of `own` after both sets were sorted; -1 stays."""
    if own is None:
        return torch.full_like(order, -1)
    places = torch.arange(reference_order.shape[0], device=order.device)
    column = torch.empty_like(reference_order).index_copy_(0, reference_order, places)
    own = own[order]
    return torch.where(own < 0, own, column[own.clamp_min(0)])


def _tile_shape(anchors: Tensor, n: int) -> tuple[int, int]:
    size = anchors.shape[0]
    if anchors.device.type == "cpu":
        return min(CPU_ROWS, size), min(CPU_COLUMNS, n)
    rows = DEVICE_BLOCK_BYTES // (n * anchors.element_size())
    return max(1, min(rows, size)), n
