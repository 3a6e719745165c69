"""A loss over the embeddings of all processes, with the gradient that one process would have.

    network = DistributedDataParallel(network)
    loss = GatheredLoss(CircleLoss())(network(images), labels)  # the images of this process
    loss.backward()

L is the loss of the global batch: the embeddings of all W processes, in the order of their ranks.
Every process returns the value of L, and its backward pass gives W dL/dx to each of its own
embeddings x, and dL/dw to each class weight w, the same on every process. The mean over the
processes, which DistributedDataParallel takes, is then the gradient of one process that has the
whole batch. Nothing is divided by the number of processes: a mean over anchors, pairs or triplets
is one over those of the global batch, and what follows the batches (the scale of AdaCos, the
centres of Center Loss) follows the global one.
"""

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from circlemnist.losses.circle import CircleLoss
from circlemnist.losses.inputs import check_embeddings, compute_dtype
from circlemnist.losses.pair_statistics import PairStatistics, pair_statistics


class References(NamedTuple):
    """The global batch, as losses take references: `loss(embeddings, labels, *references)`."""

    embeddings: Tensor
    """(N, D) of all processes in the order of their ranks, float32, or float64 where they are."""
    labels: Tensor
    """(N,) int64."""
    self_index: Tensor
    """(B,) int64, the rows of the N that are this process's own."""


def gather_references(embeddings: Tensor, labels: Tensor) -> References:
    """Gather the embeddings of all processes, with gradients, and their labels.

    Every process calls it, and calls backward if one does. What the gathered rows get as gradients
    is added up over the processes and goes back to the process that each row is from.
    Without torch.distributed, or with one process, the batch is its own references.

    Args:
        embeddings: (B, D) of any float dtype; B may differ from process to process, and be 0.
        labels: (B,) of any integer dtype.

    Raises:
        TypeError, ValueError: for dtypes, shapes or lengths that do not fit; on every
            process where the embeddings of two processes differ in dimension or precision.
    """
    check_embeddings(embeddings, labels)
    rows, labels = embeddings.to(compute_dtype(embeddings)), labels.long()
    if _world_size() == 1:
        return References(rows, labels, torch.arange(len(labels), device=labels.device))
    sizes, rank = _exchange_sizes(rows), dist.get_rank()
    start = sum(sizes[:rank])
    own = torch.arange(start, start + sizes[rank], device=labels.device)
    return References(_Gather.apply(rows, sizes, rank), _all_rows(labels, sizes), own)


class GatheredLoss(nn.Module):
    """A loss of the family over the embeddings of all processes.

    `CircleLoss` with pairs="anchor" computes the anchors of this process against all embeddings,
    in tiles: the gathered embeddings are all that grows with the number of processes. Any other
    loss is computed whole on every process.

    Args:
        loss: of `LOSSES`, or any loss(embeddings (N, D), labels (N,)) -> (). Its class weights are
            the same on every process: of one seed, or sent by DistributedDataParallel.

    Without torch.distributed, or with one process, it is the loss itself.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of the global batch; every process calls it.

        Args:
            embeddings: (B, D) of this process, of any float dtype; B may differ from process to
                process, and be 0.
            labels: (B,) of any integer dtype.

        Returns:
            () tensor, the same on every process.

        Raises:
            TypeError, ValueError: as `gather_references` and the loss; or the loss has
                reduction="none", and so no value of the global batch.
        """
        return gathered_loss(self.loss, embeddings, labels)


def gathered_loss(loss: nn.Module, embeddings: Tensor, labels: Tensor) -> Tensor:
    """What `GatheredLoss(loss)` gives, of a loss whose state is to keep its names.

    Args:
        embeddings: (B, D) of this process, of any float dtype.
        labels: (B,) of any integer dtype.

    Raises:
        TypeError, ValueError: as `GatheredLoss`, `gather_references` and the loss.
    """
    if getattr(loss, "reduction", None) == "none":
        raise ValueError(
            "a gathered loss has one value: its reduction is 'mean' or 'sum', not 'none'"
        )
    if _world_size() == 1:
        return loss(embeddings, labels)  # type: ignore[no-any-return]
    check_embeddings(embeddings, labels)
    embeddings = embeddings.to(compute_dtype(embeddings))
    references = gather_references(embeddings, labels)
    # a subclass may have changed what a mean is
    if type(loss) is not CircleLoss or loss.pairs != "anchor":
        return loss(*references[:2])  # type: ignore[no-any-return]
    own = loss(embeddings, labels, *references)
    if loss.reduction == "mean":
        own = own * _share_of_anchors(labels, references.labels, own.dtype)
    return _Sum.apply(own)  # type: ignore[no-any-return]


@torch.no_grad()
def gathered_statistics(embeddings: Tensor, labels: Tensor, m: float) -> PairStatistics:
    """`pair_statistics` of the global batch, the same on every process.

    Args:
        embeddings: (B, D) of this process, of any float dtype; B may be 0.
        labels: (B,) of any integer dtype.
        m: as for `pair_statistics`.

    Raises:
        TypeError, ValueError: as `gather_references`.
    """
    references = gather_references(embeddings.detach(), labels)
    return pair_statistics(references.embeddings, references.labels, m)


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _exchange_sizes(rows: Tensor) -> list[int]:
    """The number of rows of each process."""
    sent = torch.tensor([*rows.shape, rows.element_size()], device=rows.device)
    received = sent.new_empty(dist.get_world_size() * len(sent))
    dist.all_gather_single(received, sent)
    sizes, *dims_and_bytes = received.view(-1, len(sent)).T.tolist()
    for name, values in zip(("dimension", "bytes a number"), dims_and_bytes, strict=True):
        if len(set(values)) > 1:
            raise ValueError(f"embeddings differ in their {name} between processes: {values}")
    return [int(size) for size in sizes]


def _share_of_anchors(labels: Tensor, all_labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Of all anchors that have both kinds of pairs, the share that has these labels: ()."""
    classes, count = all_labels.unique(return_counts=True)
    # of one class alone nobody has negatives: then any share, of a loss that is 0, will do
    has_positives = count > 1
    mine = has_positives[torch.searchsorted(classes, labels.long().contiguous())].sum()
    share: Tensor = mine.to(dtype) / (has_positives * count).sum().clamp_min(1)
    return share


class _Gather(torch.autograd.Function):
    """(N, D) rows of all processes; a row's gradient is the sum of those of all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        return _all_rows(rows, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        most = max(ctx.sizes)
        sent = torch.cat([_padded(part, most) for part in grads[0].split(ctx.sizes)])
        received = sent.new_empty(most, *sent.shape[1:])
        dist.reduce_scatter_single(received, sent)
        return received[: ctx.sizes[ctx.rank]], None, None


class _Sum(torch.autograd.Function):
    """The sum of a () value over all processes, each of which has the same derivative by it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total: Tensor = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * dist.get_world_size()


def _all_rows(rows: Tensor, sizes: list[int]) -> Tensor:
    """(N, ...) the rows of all processes, from the (B, ...) of this one."""
    most = max(sizes)
    received = rows.new_empty(len(sizes) * most, *rows.shape[1:])
    dist.all_gather_single(received, _padded(rows.detach(), most).contiguous())
    if min(sizes) == most:
        return received
    return torch.cat([part[:n] for part, n in zip(received.split(most), sizes, strict=True)])


def _padded(rows: Tensor, size: int) -> Tensor:
    """(size, ...): the rows, then zeros; processes exchange tensors of one size."""
    return torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])])
