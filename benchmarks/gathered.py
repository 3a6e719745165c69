"""Losses over the embeddings of two processes, beside one process that has all of them.

    python -m benchmarks.gathered                  # what agrees with one process; some minutes
    python -m benchmarks.gathered --time 65536     # how long Circle Loss takes: minutes

The first prints a table: `GatheredLoss` beside the `DistributedLossWrapper` of
pytorch-metric-learning, on the losses of that library, in float64 over gloo. Both train a small
network within DistributedDataParallel, and class weights within another one. A cell says whether
value and gradients are those of one process to 1e-12, or what they are; "fails" for what raises an
error, ends a process, or waits in vain. Expected: the first column agrees everywhere.

The second times forward + backward of Circle Loss in float32, D = 64, on one process with one
thread and on two of one thread each, turn by turn. Expected on two cores that nothing else uses: at
most 0.6 of the time; where others use them, the processor time alone says something.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from pytorch_metric_learning.losses import CircleLoss as LibraryCircleLoss
from pytorch_metric_learning.utils.distributed import DistributedLossWrapper
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from circlemnist import CircleLoss, GatheredLoss
from circlemnist.losses import build_loss

WORLD = 2
C, INPUTS, D = 6, 8, 5
CLOSE = 1e-12
LIMIT = timedelta(seconds=10)  # for one to wait for the other
AT_WORK = timedelta(hours=1)  # and for one that computes alone
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
Seen = dict[str, Tensor]


def trained(make: Callable[[], nn.Module], x: Tensor, y: Tensor, wrap: object = None) -> Seen:
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
    seen = {"value": value.detach(), "network": flat(list(plain.parameters()))}
    return {**seen, "weights": flat(learned)} if learned else seen


def flat(parameters: list[nn.Parameter]) -> Tensor:
    """All gradients in a row."""
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    return torch.cat([gradient.flatten() for gradient in gradients])


def verdict(found: Tensor, wanted: Tensor) -> str:
    """What a value or gradient is, beside that of one process."""
    size = wanted.norm().item()
    factor = (found.flatten() @ wanted.flatten()).item() / size**2
    if (found - wanted).norm().item() <= CLOSE * size:
        return "agrees"
    if (found - factor * wanted).norm().item() <= 1e-9 * size:
        return f"× {factor:.3g}"
    return f"{100 * (found - wanted).norm().item() / size:.0f} % off"


def cells(rank: int, folder: Path, losses: list[str], batch: str, wrapper: str) -> None:
    """Write down for each loss what of a step is as on one process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    join(rank, folder)
    for loss in losses:
        (folder / f"{loss} {rank}").write_text(json.dumps(cell(rank, loss, batch, wrapper)))


def cell(rank: int, loss: str, batch: str, wrapper: str) -> dict[str, str]:
    """Verdicts on value, gradient of the network and, if there are any, of class weights."""
    labels = BATCHES[batch]
    sizes = [len(part) for part in labels]
    x = torch.randn(sum(sizes), INPUTS, generator=torch.Generator().manual_seed(1)).double()
    y = torch.tensor([*labels[0], *labels[1]])
    own = x.split(sizes)[rank], y.split(sizes)[rank]
    wanted = trained(LOSSES[loss], x, y)
    try:
        found = trained(LOSSES[loss], *own, WRAPPERS[wrapper])
    except ValueError:
        return {"loss": "refused"}
    except Exception:  # whatever the library, or gloo, makes of it
        return {"loss": "fails"}
    return {name: verdict(found[name], wanted[name]) for name in wanted}


def agreement() -> None:
    """Print the table."""
    table: dict[tuple[str, str], list[str]] = {(x, y): [] for x in LOSSES for y in BATCHES}
    for batch, labels in BATCHES.items():
        equal = len({len(part) for part in labels}) == 1
        for wrapper in WRAPPERS:
            # what may end the processes has some of its own
            alone = not equal and wrapper != "GatheredLoss"
            for losses in [[loss] for loss in LOSSES] if alone else [list(LOSSES)]:
                for loss, verdict_of_both in together(losses, batch, wrapper).items():
                    table[loss, batch].append(verdict_of_both)
    row("loss", "batch", *WRAPPERS)
    row("---", "---", *["---"] * len(WRAPPERS))
    for (loss, batch), verdicts in table.items():
        row(loss, batch, *verdicts)


def together(losses: list[str], batch: str, wrapper: str) -> dict[str, str]:
    """Start two processes; by loss, what they found."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "circlemnist.losses.library"])
    with tempfile.TemporaryDirectory() as name:
        arguments = Path(name), losses, batch, wrapper
        both = [context.Process(target=cells, args=(rank, *arguments)) for rank in range(WORLD)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        return {loss: of_both(Path(name), loss) for loss in losses}


def of_both(folder: Path, loss: str) -> str:
    """What the two processes wrote; nothing by one that gloo has ended."""
    files = [folder / f"{loss} {rank}" for rank in range(WORLD)]
    found = [json.loads(file.read_text()) if file.exists() else {"loss": "fails"} for file in files]
    for verdicts in found:
        if "loss" in verdicts:
            return str(verdicts["loss"])
    merged = {name: list(dict.fromkeys(both[name] for both in found)) for name in found[0]}
    if all(verdicts == ["agrees"] for verdicts in merged.values()):
        return "agrees"
    return "; ".join(f"{name} {' and '.join(verdicts)}" for name, verdicts in merged.items())


def row(*cells: str) -> None:
    """One line of the table, valid Markdown."""
    print("|", " | ".join(cells), "|", flush=True)


def join(rank: int, folder: Path, limit: timedelta = LIMIT) -> None:
    """Meet the other process."""
    store = dist.FileStore(str(folder / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD, timeout=limit)


def times(rank: int, folder: Path, size: int, rounds: int) -> None:
    """Print seconds of one process with the whole batch, and of two with half of it each."""
    torch.set_num_threads(1)
    join(rank, folder, AT_WORK)
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, 64, generator=generator)
    y = torch.randint(min(100, size // 4), (size,), generator=generator)
    own = slice(rank * size // WORLD, (rank + 1) * size // WORLD)
    alone, shared = [], []
    for _ in range(rounds + 1):
        dist.barrier()
        if rank == 0:
            alone.append(seconds(CircleLoss(), x, y))
        dist.barrier()
        shared.append(seconds(GatheredLoss(CircleLoss()), x[own], y[own]))
    if rank == 0:
        print(f"B = {size:,}, {rounds} rounds, medians and the range of the ratios of a round\n")
        for what, one, two in zip(
            ("time", "processor time"), columns(alone), columns(shared), strict=True
        ):
            ratios = sorted(b / a for a, b in zip(one, two, strict=True))
            print(
                f"{what}: one process {statistics.median(one):.3f} s, two "
                f"{statistics.median(two):.3f} s each, {statistics.median(ratios):.2f} of it "
                f"({ratios[0]:.2f}–{ratios[-1]:.2f})"
            )
    dist.destroy_process_group()


def seconds(loss: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Of forward and backward: by the clock, and of the processor that it took."""
    x = x.clone().requires_grad_()
    start, worked = time.perf_counter(), time.process_time()
    loss(x, y).backward()
    return time.perf_counter() - start, time.process_time() - worked


def columns(measured: list[tuple[float, float]]) -> list[tuple[float, ...]]:
    """All times, then all processor times, without the first round."""
    return list(zip(*measured[1:], strict=True))


def main() -> None:
    """Parse, start two processes, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time", type=int, metavar="B", help="time this global batch instead")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {WORLD} processes of one thread on {os.cpu_count()} cores, "
        f"{platform.machine()}\n"
    )
    if options.time is None:
        agreement()
        return
    with tempfile.TemporaryDirectory() as name:
        arguments = (Path(name), options.time, options.rounds)
        torch.multiprocessing.spawn(times, arguments, nprocs=WORLD)


if __name__ == "__main__":
    main()
