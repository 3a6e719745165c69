"""A small network trained by many processes together, beside one that has all their images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from circlemnist import GatheredLoss
from circlemnist.family import FAMILY
from circlemnist.losses import LOSSES, build_loss

C, INPUTS, D = 9, 6, 5
STEPS = 2
WAYS = ("ddp", "mean", "sum")
# what is trained beside each loss with its defaults: its name, and what is set otherwise
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in LOSSES},
    "circle, batch": ("circle", {"pairs": "batch"}),
    "circle, sum": ("circle", {"reduction": "sum"}),
    "circle-class, sum": ("circle-class", {"reduction": "sum"}),
    "triplet, sum": ("triplet", {"reduction": "sum"}),
}
Seen = dict[str, Tensor]
Shards = list[tuple[Tensor, Tensor]]
# by oddity of the batch, loss and way of averaging: by what is compared
Errors = dict[str, dict[str, float]]
ODDEST = ("a class on one process only", "an empty process")


def built(variant: str) -> nn.Module:
    """The loss in float64, with the gamma and m of the program's settings."""
    name, settings = VARIANTS[variant]
    knobs = {knob: turn.default for knob, turn in FAMILY[name].knobs.items()}
    torch.manual_seed(1)
    return build_loss(name, num_classes=C, embedding_dim=D, **knobs, **settings).double()


def built_network() -> nn.Module:
    """A small network in float64."""
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, D)).double()


def shards_of(world: int) -> dict[str, list[list[int]]]:
    """Labels of each process, by what is odd about them."""
    sizes = [7, 4, 9, 2][:world]
    some = torch.randint(4, (sum(sizes),), generator=torch.Generator().manual_seed(world))
    uneven = [part.tolist() for part in some.split(sizes)]
    return {
        "uneven": uneven,
        "equal": [[0, 1, 2, rank % 3] for rank in range(world)],
        "a class on one process only": [
            [*labels, *[5] * 3 * (r == 0)] for r, labels in enumerate(uneven)
        ],
        "a process without positives": [*[[*labels, 4, 4] for labels in uneven[:-1]], [6, 7, 8]],
        "positives on other processes alone": [[0, 1, 2] for _ in range(world)],
        "one image a process": [[rank % 2] for rank in range(world)],
        "an empty process": [*uneven[:-1], []],
        "the first process empty": [[], *uneven[1:]],
        "no negatives": [[3] * len(labels) for labels in uneven],
        "no positives": [[2 * rank, 2 * rank + 1] for rank in range(world)],
        "no images": [[] for _ in range(world)],
    }


def images(labels: list[list[int]]) -> Shards:
    """(B, INPUTS) float64 and (B,) int64 of each process."""
    generator = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(len(y), INPUTS, generator=generator, dtype=torch.float64),
            torch.tensor(y).long(),
        )
        for y in labels
    ]


def whole(shards: Shards) -> tuple[Tensor, Tensor]:
    """The global batch."""
    x, y = zip(*shards, strict=True)
    return torch.cat(x), torch.cat(y)


def one_process(variant: str, x: Tensor, y: Tensor) -> Iterator[Seen]:
    """What there is to see after each step of one process: loss, gradients, state of the loss."""
    network, loss = built_network(), built(variant)
    optimizer = torch.optim.SGD([*network.parameters(), *loss.parameters()], 0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        embeddings = network(x)
        embeddings.retain_grad()
        value = loss(embeddings, y)
        value.backward()
        yield seen(value, embeddings.grad, network, loss)
        optimizer.step()


def many_processes(variant: str, x: Tensor, y: Tensor, way: str) -> Iterator[Seen]:
    """The same from one of many, whose gradients meet by DistributedDataParallel or by hand."""
    plain, inner = built_network(), built(variant)
    world = dist.get_world_size()
    network, loss = plain, GatheredLoss(inner)
    learned = list(inner.parameters())
    if way == "ddp":
        network = DistributedDataParallel(plain)
        loss = DistributedDataParallel(loss) if learned else loss
    optimizer = torch.optim.SGD([*plain.parameters(), *learned], 0.01)
    factor = 1 / world if way == "sum" else 1.0
    for _ in range(STEPS):
        optimizer.zero_grad()
        embeddings = network(x)
        embeddings.retain_grad()
        value = loss(embeddings, y)
        (factor * value).backward()
        if way != "ddp":
            # of class weights each process has the mean already, but not the sum
            for parameter in [*plain.parameters(), *(learned if way == "sum" else [])]:
                dist.all_reduce(parameter.grad)
                parameter.grad.mul_(1 if way == "sum" else 1 / world)
        yield seen(value, embeddings.grad / (world * factor), plain, inner)
        optimizer.step()


def seen(value: Tensor, d_embeddings: Tensor, network: nn.Module, loss: nn.Module) -> Seen:
    """Copies of all that is to be compared."""
    both = {"network": network, "loss": loss}
    gradients = {
        f"gradient of {place} {name}": parameter.grad
        for place, module in both.items()
        for name, parameter in module.named_parameters()
    }
    buffers = {f"state {name}": buffer for name, buffer in loss.named_buffers()}
    all_of_it = {"loss": value, "gradient of embeddings": d_embeddings, **gradients, **buffers}
    return {name: tensor.detach().clone() for name, tensor in all_of_it.items()}


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest, by the largest entry that is wanted; 0 where both are NaN, infinite for one."""
    if found.shape != wanted.shape or not torch.equal(found.isnan(), wanted.isnan()):
        return float("inf")
    if found.numel() == 0:
        return 0.0
    apart = (found - wanted).nan_to_num(0).abs().max().item()
    largest = wanted.nan_to_num(0).abs().max().item()
    return apart / largest if largest > 0 else apart


def compare(rank: int, world: int) -> Errors:
    """How far this process is from one process: all losses, all odd batches, each way."""
    return apart(rank, world, VARIANTS, shards_of(world), WAYS)


def compare_oddest(rank: int, world: int) -> Errors:
    """The same of the oddest batches, the usual way."""
    batches = {oddity: shards_of(world)[oddity] for oddity in ODDEST}
    return apart(rank, world, VARIANTS, batches, ("ddp",))


def apart(
    rank: int,
    world: int,
    variants: Iterable[str],
    batches: dict[str, list[list[int]]],
    ways: Iterable[str],
) -> Errors:
    """By loss, odd batch and way: the largest difference to one process, by what is compared."""
    errors: Errors = {}
    for oddity, labels in batches.items():
        shards = images(labels)
        start = sum(len(part) for part in labels[:rank])
        own = slice(start, start + len(labels[rank]))
        for variant in variants:
            wanted = list(one_process(variant, *whole(shards)))
            for step in wanted:
                step["gradient of embeddings"] = step["gradient of embeddings"][own]
            for way in ways:
                found = many_processes(variant, *shards[rank], way)
                errors[f"{variant} / {oddity} / {way}"] = worst(found, wanted)
    return errors


def worst(found: Iterable[Seen], wanted: Iterable[Seen]) -> dict[str, float]:
    """The largest difference over the steps, by what is compared."""
    largest: dict[str, float] = {}
    for many, one in zip(found, wanted, strict=True):
        assert many.keys() == one.keys()
        for name in one:
            largest[name] = max(largest.get(name, 0.0), difference(many[name], one[name]))
    return largest
