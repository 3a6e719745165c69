"""Losses over the embeddings of two processes, beside one process (docs/many-processes.md).

    python -m benchmarks gathered    # some minutes

Prints `GatheredLoss` beside the `DistributedLossWrapper` of pytorch-metric-learning, within
DistributedDataParallel. "fails": raises an error, ends a process, waits in vain. Expected:
`GatheredLoss` agrees everywhere.
"""

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path

import click
import torch
import torch.distributed as dist
from pytorch_metric_learning.losses import CircleLoss as LibraryCircleLoss
from pytorch_metric_learning.utils.distributed import DistributedLossWrapper
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks import shared
from benchmarks.shared import print_head, print_row
from circlemnist import GatheredLoss
from circlemnist.losses import build_loss

WORLD = 2
C, INPUTS, D = 6, 8, 5
WAIT = timedelta(seconds=10)  # of a process for the other
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "Circle Loss": partial(LibraryCircleLoss, m=0.25, gamma=80),
    "triplet": partial(build_loss, "triplet", m=0.4),
    "contrastive": partial(build_loss, "contrastive", m=0.4),
    "softmax": partial(build_loss, "softmax", num_classes=C, embedding_dim=D, gamma=9.5),
    "ArcFace": partial(build_loss, "arcface", num_classes=C, embedding_dim=D, gamma=30, m=0.5),
}
# labels of each process
BATCHES = {
    "equal shares": ([0, 1, 2, 0, 1, 2], [0, 1, 2, 2, 1, 1]),
    "pairs on one process": ([0, 0, 1, 1, 0, 1], [2, 3, 4, 5, 0, 1]),
    "uneven shares": ([0, 1, 2, 0, 1, 2, 0, 1], [0, 1, 2, 2]),
    "an empty share": ([0, 1, 2, 0, 1, 2, 0, 1], []),
}
WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "GatheredLoss": GatheredLoss,
    "wrapper": DistributedLossWrapper,
    "wrapper, efficient": partial(DistributedLossWrapper, efficient=True),
}
Tensors = dict[str, Tensor]


def take_step(make: Callable[[], nn.Module], x: Tensor, y: Tensor, wrap: object = None) -> Tensors:
    """Value and gradients of a step; within DistributedDataParallel where there is a wrapper."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, D)).double()
    inner = make().double()
    learned = [parameter for parameter in inner.parameters() if parameter.requires_grad]
    network, loss = plain, inner
    if callable(wrap):
        network, loss = DistributedDataParallel(plain), wrap(inner)
        loss = DistributedDataParallel(loss) if learned else loss
    value = loss(network(x), y)
    value.backward()
    parameters = {"network": [*plain.parameters()], **({"weights": learned} if learned else {})}
    gradients = {
        name: [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in group]
        for name, group in parameters.items()
    }
    return {"value": value.detach()} | {name: torch.cat(parts) for name, parts in gradients.items()}


def verdict(result: Tensor, wanted: Tensor) -> str:
    """What a value or gradient is, beside that of one process."""
    size = wanted.norm()
    factor = (result.flatten() @ wanted.flatten()) / size**2
    if (off := (result - wanted).norm() / size) <= 1e-12:
        return "agrees"
    if (result - factor * wanted).norm() <= 1e-9 * size:
        return f"× {factor:.3g}"
    return f"{100 * off:.0f} % off"


def verdicts(rank: int, folder: Path, loss: str, batch: str, wrapper: str) -> dict[str, str]:
    """Of value, gradient of the network and, if there are any, of class weights."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD, timeout=WAIT)
    labels = BATCHES[batch]
    sizes = [len(part) for part in labels]
    x = torch.randn(sum(sizes), INPUTS, generator=torch.Generator().manual_seed(1)).double()
    y = torch.tensor([*labels[0], *labels[1]])
    wanted = take_step(LOSSES[loss], x, y)
    share = x.split(sizes)[rank], y.split(sizes)[rank]
    try:
        result = take_step(LOSSES[loss], *share, WRAPPERS[wrapper])
    except ValueError:
        return {"loss": "refused"}
    except Exception:  # whatever the library, or gloo, makes of it
        return {"loss": "fails"}
    return {name: verdict(result[name], wanted[name]) for name in wanted}


def in_two_processes(loss: str, batch: str, wrapper: str) -> str:
    """The verdicts of both; gloo may end a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.gathered"])
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(WORLD, context) as pool:
        run = partial(verdicts, folder=Path(name), loss=loss, batch=batch, wrapper=wrapper)
        try:
            words = list(pool.map(run, range(WORLD)))
        except BrokenProcessPool:
            return "fails"
    for of_process in words:
        if "loss" in of_process:
            return of_process["loss"]
    merged = {key: list(dict.fromkeys(of_process[key] for of_process in words)) for key in words[0]}
    if all(values == ["agrees"] for values in merged.values()):
        return "agrees"
    return "; ".join(f"{key} {' and '.join(values)}" for key, values in merged.items())


@click.command()
def gathered() -> None:
    """Losses over the embeddings of two processes, beside one process."""
    print(f"{shared.machine()}, {WORLD} processes of one thread\n")
    print_head("loss", "batch", *WRAPPERS)
    for loss, batch in product(LOSSES, BATCHES):
        print_row(loss, batch, *(in_two_processes(loss, batch, wrapper) for wrapper in WRAPPERS))
