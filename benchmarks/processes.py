"""Losses and trainings in several processes, beside one process (docs/many-processes.md).

    python -m benchmarks gathered                  # what agrees with one process; some minutes
    python -m benchmarks gathered --time 65536     # how long Circle Loss takes; minutes
    torchrun --standalone --nproc-per-node 2 -m benchmarks processes     # some minutes

`gathered` prints `GatheredLoss` beside the `DistributedLossWrapper` of pytorch-metric-learning,
within DistributedDataParallel. "fails": raises an error, ends a process, waits in vain. Expected:
`GatheredLoss` agrees everywhere. With `--time`, two processes of one thread in turn with one: at
most 0.6 of the time on two cores that nothing else uses. `processes`: nothing in float64; in
float32 about as much as of one process from itself with its first weights changed a little.
"""

import multiprocessing
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
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
from benchmarks.shared import median_range, print_head, print_row, ratios, seconds_of
from circlemnist import CircleLoss, GatheredLoss
from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.losses import build_loss
from circlemnist.training.build import build_training
from circlemnist.training.processes import ALONE, Processes, join_processes

WORLD = 2
C, INPUTS, D = 6, 8, 5
WAIT, WAIT_FOR_TIMES = timedelta(seconds=10), timedelta(hours=1)  # of a process for the other
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
DIGITS = Config(dataset="digits", net="article", epochs=3, precision="float32")
CONFIGS = {
    "article": DIGITS,
    "article, lr 0.0001": replace(DIGITS, lr=0.0001),
    "tiny, with BatchNorm": replace(DIGITS, net="tiny"),
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
    join(rank, folder, WAIT)
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


def join(rank: int, folder: Path, wait: timedelta) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD, timeout=wait)


def in_two_processes(loss: str, batch: str, wrapper: str) -> str:
    """The verdicts of both; gloo may end a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.processes"])
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


def print_times(rank: int, folder: Path, size: int, rounds: int) -> None:
    """Seconds of one process with the whole batch, and of two with half of it each."""
    join(rank, folder, WAIT_FOR_TIMES)
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, 64, generator=generator)
    y = torch.randint(min(100, size // 4), (size,), generator=generator)
    share = slice(rank * size // WORLD, (rank + 1) * size // WORLD)
    half, half_y = x[share].clone().requires_grad_(), y[share]
    x.requires_grad_()
    alone, together = CircleLoss(), GatheredLoss(CircleLoss())
    seconds: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        dist.barrier()
        whole = seconds_of(lambda: alone(x, y).backward()) if rank == 0 else 1.0
        dist.barrier()
        seconds.append((whole, seconds_of(lambda: together(half, half_y).backward())))
    if rank == 0:
        one, two = zip(*seconds[1:], strict=True)  # the first is not counted
        print(f"B = {size:,}, {rounds} rounds, seconds of one process, of each of two, ratios")
        print(", ".join(map(median_range, (one, two, ratios(two, one)))))
    dist.destroy_process_group()


@click.command()
@click.option("--time", "size", type=int, metavar="B", help="time this global batch instead")
@shared.rounds_option(3)
def gathered(size: int | None, rounds: int) -> None:
    """Losses over the embeddings of two processes, beside one process."""
    print(f"{shared.machine()}, {WORLD} processes of one thread\n")
    if size is not None:
        with tempfile.TemporaryDirectory() as name:
            torch.multiprocessing.spawn(print_times, (Path(name), size, rounds), nprocs=WORLD)
        return
    print_head("loss", "batch", *WRAPPERS)
    for loss, batch in product(LOSSES, BATCHES):
        print_row(loss, batch, *(in_two_processes(loss, batch, wrapper) for wrapper in WRAPPERS))


def final_weights(
    config: Config, split: Split, processes: Processes, double: bool, factor: float = 1.0
) -> Tensors:
    """What embedder and objective end as, their first weights multiplied by `factor`."""
    state = build_training(config, split, processes)
    if double:
        state.embedder.double()
        state.objective.double()
        state.forward = lambda images: state.embedder.stages(images.double())
    with torch.no_grad():
        for parameter in state.parameters():
            parameter.mul_(factor)
    shared.train(state, config, split, config.epochs)
    ends = {**state.embedder.state_dict(), **state.objective.state_dict()}
    return {k: v for k, v in ends.items() if isinstance(v, Tensor) and v.is_floating_point()}


def largest_difference(these: Tensors, those: Tensors) -> float:
    """As a share of the largest of its tensor."""
    return max(
        ((these[name] - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)).item()
        for name, wanted in those.items()
    )


@click.command("processes")
def processes_command() -> None:
    """How far trainings by torchrun end from one process, and why."""
    split = load_dataset("digits", Path("unused")).train
    cases = list(product(CONFIGS, (True, False)))
    with join_processes(torch.device("cpu")) as group:
        many = [final_weights(CONFIGS[name], split, group, double) for name, double in cases]
        group.leave()
    if group.rank > 0:
        return
    changed_weights = "first weights × (1 + 1e-7)"
    print_head("network", "precision", f"{group.world_size} processes", changed_weights)
    for (name, double), ends in zip(cases, many, strict=True):
        one = final_weights(CONFIGS[name], split, ALONE, double)
        changed = final_weights(CONFIGS[name], split, ALONE, double, 1 + 1e-7)
        cells = [f"{largest_difference(weights, one):.0e}" for weights in (ends, changed)]
        print_row(name, "float64" if double else "float32", *cells)
