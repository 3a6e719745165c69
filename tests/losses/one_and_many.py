"""A small network trained by many processes together, beside one that has all their images."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from circlemnist import GatheredLoss
from circlemnist.losses import LOSSES
from tests.losses import reference

C, INPUTS, D = 9, 6, 5
STEPS = 2
WAYS = ("ddp", "sum")
# what is trained beside each loss with its defaults: its name, and what is set otherwise
VARIANTS = {
    **{name: (name, {}) for name in LOSSES},
    "circle, batch": ("circle", {"pairs": "batch"}),
    "circle, sum": ("circle", {"reduction": "sum"}),
    "circle-class, sum": ("circle-class", {"reduction": "sum"}),
    "triplet, sum": ("triplet", {"reduction": "sum"}),
}
ODDEST = ("a class on one process only", "an empty process", "positives on other processes alone")


def built(variant):
    """The loss in float64, with the gamma and m of the program's settings."""
    name, settings = VARIANTS[variant]
    torch.manual_seed(1)
    return reference.built(name, C, D, **settings).double()


def built_network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, D)).double()


def guide_data():
    """What the loop of docs/many-processes.md has: 9 images in batches of 4, so of 4, 4 and 1."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(9, INPUTS, generator=generator, dtype=torch.float64)
    labels = torch.arange(9) % 3
    sizes = {"epochs": 2, "batch_size": 4}
    return {"make_network": built_network, "images": images, "labels": labels, **sizes}


def shards_of(world):
    """Labels of each process, by what is odd about them."""
    sizes = [7, 4, 9, 2][:world]
    some = torch.randint(4, (sum(sizes),), generator=torch.Generator().manual_seed(world))
    uneven = [part.tolist() for part in some.split(sizes)]
    return {
        "uneven": uneven,
        "equal": [[0, 1, 2, rank % 3] for rank in range(world)],
        "a class on one process only": [[*uneven[0], 5, 5, 5], *uneven[1:]],
        "a process without positives": [*[[*labels, 4, 4] for labels in uneven[:-1]], [6, 7, 8]],
        "positives on other processes alone": [[0, 1, 2] for _ in range(world)],
        "one image a process": [[rank % 2] for rank in range(world)],
        "an empty process": [*uneven[:-1], []],
        "the first process empty": [[], *uneven[1:]],
        "no negatives": [[3] * len(labels) for labels in uneven],
        "no positives": [[2 * rank, 2 * rank + 1] for rank in range(world)],
        "no images": [[] for _ in range(world)],
    }


def steps(variant, x, y, way="alone"):
    """Loss, gradients and state of the loss after each step, here or on one of many processes.

    The gradients of many meet by DistributedDataParallel, which takes their mean, or are added up.
    """
    plain, inner = built_network(), built(variant)
    network, loss, learned, world = plain, inner, list(inner.parameters()), 1
    if way != "alone":
        loss, world = GatheredLoss(inner), dist.get_world_size()
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
        if way == "sum":
            for parameter in [*plain.parameters(), *learned]:
                dist.all_reduce(parameter.grad)
        yield {
            "loss": value.detach(),
            "gradient of embeddings": embeddings.grad / (world * factor),
            **{f"gradient of network {n}": p.grad.clone() for n, p in plain.named_parameters()},
            **{f"gradient of loss {n}": p.grad.clone() for n, p in inner.named_parameters()},
            **{f"state {name}": buffer.clone() for name, buffer in inner.named_buffers()},
        }
        optimizer.step()


def differs(tensor, wanted):
    """By more than rounding; NaN is NaN."""
    scale = wanted.nan_to_num(0).norm().clamp_min(1e-3).item()
    return not tensor.allclose(wanted, rtol=0, atol=1e-12 * scale, equal_nan=True)


def compare(rank, world, oddities=None, ways=WAYS):
    """What differs from one process on this one, by loss, odd batch and way."""
    wrong = {}
    shards = shards_of(world)
    for oddity in oddities or shards:
        labels = shards[oddity]
        generator = torch.Generator().manual_seed(3)
        y = torch.cat([torch.tensor(part).long() for part in labels])
        x = torch.randn(len(y), INPUTS, generator=generator, dtype=torch.float64)
        start = sum(len(part) for part in labels[:rank])
        own = slice(start, start + len(labels[rank]))
        for variant in VARIANTS:
            alone = list(steps(variant, x, y))
            for wanted in alone:
                wanted["gradient of embeddings"] = wanted["gradient of embeddings"][own]
            for way in ways:
                names = wrong[f"{variant} / {oddity} / {way}"] = []
                for step, wanted in zip(steps(variant, x[own], y[own], way), alone, strict=True):
                    assert step.keys() == wanted.keys() >= {"gradient of network 0.weight"}
                    names += [name for name in step if differs(step[name], wanted[name])]
    return wrong
