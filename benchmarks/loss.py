"""Time and memory of CircleLoss beside three other ways to compute it (docs/circle-loss.md).

    python -m benchmarks loss                          # the whole table, some minutes
    python -m benchmarks loss --size 256 --size 1024  # some sizes

Each round runs every side in turn, short ones again and again for 20 ms; ratios are of the same
round. Memory is the peak above the inputs, each in a process of its own. Expected on 4 cores: never
slower than plain masked tensors, at least 5 times as fast as pytorch-metric-learning at 256 and
1,024 and 10 times at 4,096, within 3 times of the floor, and below 1 GiB at 65,536.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import CircleLoss as LibraryCircleLoss
from torch import Tensor

from benchmarks.shared import machine, print_row, ratios, seconds_of
from circlemnist import CircleLoss

SIZES = [64, 256, 1024, 4096, 16384, 65536]
DIM, GAMMA, M, CLASSES = 64, 80.0, 0.25, 100
TURN = 0.02  # seconds of a side in a round: short calls are repeated


def plain(x: Tensor, y: Tensor) -> Tensor:
    """Eq. 6 per anchor in masked tensors."""
    e = F.normalize(x)
    s = e @ e.t()
    same = y[:, None] == y
    positive = same.clone().fill_diagonal_(False)
    alpha_p, alpha_n = (1 + M - s.detach()).relu(), (s.detach() + M).relu()
    p = (-GAMMA * alpha_p * (s - (1 - M))).masked_fill(~positive, -torch.inf).logsumexp(1)
    n = (GAMMA * alpha_n * (s - M)).masked_fill(same, -torch.inf).logsumexp(1)
    both = positive.any(1) & ~same.all(1)
    return F.softplus(p + n)[both].mean()


def whole_batch(x: Tensor, y: Tensor) -> Tensor:
    """The formula of the whole-batch example: one logsumexp over all pairs i < j."""
    e = F.normalize(x)
    same = y[:, None] == y
    flat = (e @ e.t()).flatten()
    sp, sn = flat[same.triu(1).flatten()], flat[(~same).triu(1).flatten()]
    p = -GAMMA * (1 + M - sp.detach()).relu() * (sp - (1 - M))
    n = GAMMA * (sn.detach() + M).relu() * (sn - M)
    return F.softplus(p.logsumexp(0) + n.logsumexp(0))


# side → its loss, and bytes of memory for each pair, which tell in advance whether a size fits
SIDES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "CircleLoss": (CircleLoss(GAMMA, M), 0.1),
    "plain masked": (plain, 36),
    "whole batch": (whole_batch, 22),
    "pytorch-metric-learning": (LibraryCircleLoss(m=M, gamma=GAMMA), 66),
}


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, DIM, generator=generator)
    y = torch.randint(min(CLASSES, size // 4), (size,), generator=generator)
    return x.requires_grad_(), y


def step(side: str, x: Tensor, y: Tensor) -> None:
    x.grad = None
    torch.autograd.backward(SIDES[side][0](x, y))


def floor(x: Tensor) -> None:
    """Three products and one pass, a block at a time where the matrix would not fit."""
    e = x.detach()
    rows, columns = min(len(e), 256), min(len(e), 4096)  # a block that stays in a CPU's cache
    block = torch.empty(rows, columns)
    out, other = torch.empty(rows, DIM), torch.empty(columns, DIM)
    for i in range(0, len(e), rows):
        for j in range(0, len(e), columns):
            torch.mm(e[i : i + rows], e[j : j + columns].t(), out=block)
            block.mul_(0.5)
            torch.mm(block, e[j : j + columns], out=out)
            torch.mm(block.t(), e[i : i + rows], out=other)


def milliseconds(
    runs: Mapping[str, Callable[[], object]], seconds: float
) -> dict[str, list[float]]:
    """Of a call of each side in each round; at least 3 rounds, at most 60."""
    for run in runs.values():
        run()
    repeats = {name: max(1, round(TURN / seconds_of(run))) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    for turn in range(60):
        for name, run in runs.items():
            if repeats[name] > 1:
                run()  # not timed: it brings back what the other sides pushed out of the cache
            begun = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - begun) / repeats[name] * 1e3)
        if turn >= 2 and time.perf_counter() - begin > seconds:
            break
    return times


def peak_memory(side: str, size: int, threads: int) -> int:
    """Bytes above the inputs at the peak of a step, in a process that has done nothing else."""

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    torch.set_num_threads(threads)
    step(side, *batch(64))
    x, y = batch(size)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: reset the high-water mark
    before = status("VmRSS")
    step(side, x, y)
    return status("VmHWM") - before


def print_table(size: int, seconds: float) -> None:
    """The sides that fit: their times, ratios and peaks."""
    x, y = batch(size)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sides = [side for side in SIDES if SIDES[side][1] * size * size < 0.7 * free]
    runs = {"floor": partial(floor, x), **{side: partial(step, side, x, y) for side in sides}}
    times = milliseconds(runs, seconds)
    print(f"\nB = {size:,}, {len(times['floor'])} rounds; of the ratios, the middle 80 %\n")
    print_row(f"{'':24}", f"{'ms':>10}", f"{'times ours':>22}", f"{'peak MiB':>9}")
    print_row("---", "---:", "---:", "---:")
    for side in [*SIDES, "floor"]:
        middle, versus, memory = "too large", "", ""
        if side in runs:
            middle = f"{statistics.median(times[side]):,.2f}"
            values = sorted(ratios(times[side], times["CircleLoss"]))
            low, high = values[len(values) // 10], values[-1 - len(values) // 10]
            versus = f"{statistics.median(values):6.2f} ({low:.2f}–{high:.2f})"
        if side in sides:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak = pool.apply(peak_memory, (side, size, torch.get_num_threads()))
                memory = f"{peak / 2**20:,.1f}"
        print_row(f"{side:24}", f"{middle:>10}", f"{versus:>22}", f"{memory:>9}")


@click.command("loss")
@click.option("--size", "sizes", type=int, multiple=True, default=SIZES, help="of a batch")
@click.option("--seconds", default=20.0, help="of rounds, for each size")
def loss_command(sizes: Sequence[int], seconds: float) -> None:
    """Time and memory of CircleLoss beside three other ways to compute it."""
    print(f"{machine()}; up to {CLASSES} classes")
    for size in sizes:
        print_table(size, seconds)
