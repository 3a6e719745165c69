"""Which images a step of training sees: the batches of an epoch, as indices."""

import torch
from torch import Tensor


def batches(size: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Return one epoch of batches: a random order of `size` indices, (steps, batch_size) int64.

    The remainder that fills no batch is left out, other images every epoch.
    """
    steps = size // batch_size
    return torch.randperm(size, generator=generator)[: steps * batch_size].view(steps, batch_size)


def balanced_batches(
    labels: Tensor, classes: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Return one epoch of batches of P classes with K images each, (steps, P·K) int64.

    A batch draws its classes without repeats. A class is drawn with a probability proportional to
    its number of images, among the classes left; so the images of a very large class are seen less
    often than others. The images of a class come in a random order. When it is used up, which may
    be within a batch, a new order begins.

    P is `classes`, at most those in `labels` (N,); P·K is `batch_size`.
    """
    present, sizes = labels.unique(return_counts=True)
    steps, k = len(labels) // batch_size, batch_size // classes
    # the first of exponential waits for each class, the shorter the more images it has
    waits = -torch.rand(steps, len(present), generator=generator).log() / sizes
    chosen = waits.topk(classes, largest=False).indices.flatten()  # (steps * P,)
    order = torch.empty(steps * classes, k, dtype=torch.int64)
    for number, label in enumerate(present):
        mine = chosen == number
        images = (labels == label).nonzero()[:, 0]
        count, size = int(mine.sum()) * k, len(images)
        rounds = max(-(-count // size), 1)
        orders = [torch.randperm(size, generator=generator) for _ in range(rounds)]
        order[mine] = images[torch.cat(orders)[:count]].view(-1, k)
    return order.view(steps, batch_size)
