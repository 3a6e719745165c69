"""Log-sums and gradients of any batch in the order of the caller: dense if small, else in tiles."""

from __future__ import annotations

from torch import Tensor

from circlemnist.losses.circle_kernel.dense import dense
from circlemnist.losses.circle_kernel.pairs import Order, PairInputs, restored, sort_by_label
from circlemnist.losses.circle_kernel.tiles import LogSums, RowGradients, log_sums_in_tiles


def compute_log_sums(
    inputs: PairInputs, gamma: float, m: float, row_gradients: RowGradients | None = None
) -> LogSums:
    """Log-sums and, if asked, gradients in the order of the inputs, by the quicker way."""
    if inputs.few():
        return dense(inputs, gamma, m, row_gradients)
    pairs, order = sort_by_label(inputs)
    sums = log_sums_in_tiles(pairs, gamma, m, row_gradients and _of_sorted(row_gradients, order))
    d_anchors, d_references = sums.d_anchors, sums.d_references
    if d_anchors is not None and d_references is not None:
        d_anchors = restored(d_anchors, order.anchors)
        d_references = restored(d_references, order.references)
    return LogSums(
        restored(sums.log_sum_p, order.anchors),
        restored(sums.log_sum_n, order.anchors),
        d_anchors,
        d_references,
    )


def _of_sorted(row_gradients: RowGradients, order: Order) -> RowGradients:
    """The same for rows that are numbered in sorted order."""
    return lambda rows, p, n: row_gradients(order.anchors[rows], p, n)


def gradients(
    inputs: PairInputs, gamma: float, m: float, grad_p: Tensor, grad_n: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Gradients of anchors and references from those of the (B,) log-sums."""
    by_p, by_n = grad_p[:, None], grad_n[:, None]
    sums = compute_log_sums(inputs, gamma, m, lambda rows, _p, _n: (by_p[rows], by_n[rows]))
    assert sums.d_anchors is not None
    return sums.d_anchors, None if inputs.references is None else sums.d_references
