"""Time and memory of CircleLoss beside three other ways to compute it.

    python -m benchmarks.loss                       # the whole table, some minutes
    python -m benchmarks.loss --sizes 256 1024      # some sizes
    python -m benchmarks.loss --device cuda         # adds torch.compile of the plain formula

Each round runs every side in turn, forward + backward, float32, D = 64, short ones again and again
for 20 ms; ratios are of the same round. Memory is the peak above the inputs, each in a process of
its own. The floor is the three matrix products of forward and backward, as this machine's matmul
runs them, plus one pass over the matrix.
Expected on 4 cores: never slower than plain masked tensors, at least 5 times as fast as
pytorch-metric-learning at 256 and 1,024 and 10 times at 4,096, within 3 times of the floor, and
below 1 GiB at 65,536.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist import CircleLoss

SIZES = [64, 256, 1024, 4096, 16384, 65536]
DIM, GAMMA, M = 64, 80.0, 0.25
TURN = 0.02  # seconds of a side in a round: short calls are repeated
Loss = Callable[[Tensor, Tensor], Tensor]

# Memory a side takes for each pair, in bytes, to tell in advance whether a size fits.
BYTES_PER_PAIR = {"ours": 0.1, "plain": 36, "batch": 22, "pml": 66, "compiled": 12, "floor": 0.1}
NAMES = {
    "ours": "CircleLoss",
    "plain": "plain masked",
    "batch": "whole batch",
    "pml": "pytorch-metric-learning",
    "compiled": "plain, compiled",
    "floor": "floor",
}


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


def make(side: str) -> Loss:
    """The loss function of a side."""
    if side == "pml":
        from pytorch_metric_learning.losses import CircleLoss as OtherCircleLoss

        return cast(Loss, OtherCircleLoss(m=M, gamma=GAMMA))
    if side == "compiled":
        return torch.compile(plain)
    sides: dict[str, Loss] = {"ours": CircleLoss(GAMMA, M), "plain": plain, "batch": whole_batch}
    return sides[side]


def batch(size: int, classes: int, device: str) -> tuple[Tensor, Tensor]:
    """Random embeddings and labels."""
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, DIM, generator=generator)
    y = torch.randint(min(classes, size // 4), (size,), generator=generator)
    return x.to(device).requires_grad_(), y.to(device)


def step(loss: Loss, x: Tensor, y: Tensor) -> None:
    """Forward and backward."""
    x.grad = None
    torch.autograd.backward(loss(x, y))


def floor(x: Tensor) -> Callable[[], None]:
    """Three products and one pass, a block at a time where the matrix would not fit."""
    e = x.detach()
    rows, columns = min(len(e), 256), min(len(e), 4096)  # a block that stays in a CPU's cache
    block = torch.empty(rows, columns, device=e.device)
    out, other = torch.empty(rows, DIM, device=e.device), torch.empty(columns, DIM, device=e.device)

    def run() -> None:
        for i in range(0, len(e), rows):
            for j in range(0, len(e), columns):
                torch.mm(e[i : i + rows], e[j : j + columns].t(), out=block)
                block.mul_(0.5)
                torch.mm(block, e[j : j + columns], out=out)
                torch.mm(block.t(), e[i : i + rows], out=other)

    return run


def synchronize(device: str) -> None:
    """Wait for an accelerator."""
    if device != "cpu":
        torch.accelerator.synchronize()


def rounds(
    sides: Mapping[str, Callable[[], object]], device: str, seconds: float
) -> dict[str, list[float]]:
    """Milliseconds a call of each side in each round; at least 3 rounds, at most 60."""
    for run in sides.values():
        run()
    repeats = {name: max(1, round(TURN / timed(run, 1, device))) for name, run in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    begin = time.perf_counter()
    for turn in range(60):
        for name, run in sides.items():
            if repeats[name] > 1:
                run()  # not timed: it brings back what the other sides pushed out of the cache
            times[name].append(timed(run, repeats[name], device) * 1e3)
        if turn >= 2 and time.perf_counter() - begin > seconds:
            break
    return times


def timed(run: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds a call, over some calls in a row."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    synchronize(device)
    return (time.perf_counter() - start) / repeats


def peak_memory(side: str, size: int, classes: int, device: str, threads: int) -> int:
    """Bytes above the inputs at the peak of one step, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak, (side, size, classes, device, threads))


def _peak(side: str, size: int, classes: int, device: str, threads: int) -> int:
    torch.set_num_threads(threads)
    loss = make(side)
    step(loss, *batch(64, classes, device))
    x, y = batch(size, classes, device)
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(loss, x, y)
        return torch.cuda.max_memory_allocated() - before
    # Linux: 5 resets the high-water mark of the resident set
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    step(loss, x, y)
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def available(device: str) -> int:
    """Bytes of free memory."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def ratio(others: list[float], ours: list[float]) -> str:
    """Median of the ratios of each round, and their middle 80 %."""
    values = sorted(b / a for a, b in zip(ours, others, strict=True))
    low, high = values[len(values) // 10], values[-1 - len(values) // 10]
    return f"{statistics.median(values):6.2f} ({low:.2f}–{high:.2f})"


def row(name: str, milliseconds: str, versus: str, memory: str) -> None:
    """One line of the table, also valid Markdown."""
    print(f"| {name:24} | {milliseconds:>10} | {versus:>22} | {memory:>9} |", flush=True)


def table(size: int, options: argparse.Namespace) -> None:
    """The sides that fit, their times, ratios and peaks."""
    x, y = batch(size, options.classes, options.device)
    runs: dict[str, Callable[[], None]] = {"floor": floor(x)}
    for side in options.sides:
        if BYTES_PER_PAIR[side] * size * size < 0.7 * available(options.device):
            runs[side] = functools.partial(step, make(side), x, y)
    times = rounds(runs, options.device, options.seconds)
    print(f"\nB = {size:,}, {len(times['ours'])} rounds\n")
    row("", "ms", "times ours", "peak MiB")
    row("---", "---:", "---:", "---:")
    for side in [*options.sides, "floor"]:
        if side not in runs:
            row(NAMES[side], "too large", "", "")
            continue
        memory = ""
        if side != "floor":
            peak = peak_memory(side, size, options.classes, options.device, options.threads)
            memory = f"{peak / 2**20:,.1f}"
        middle = f"{statistics.median(times[side]):,.2f}"
        versus = ratio(times[side], times["ours"])
        row(NAMES[side], middle, "1" if side == "ours" else versus, memory)


def exponentials(device: str) -> None:
    """Why the tiles are kept in units of ln 2."""
    x = -40 * torch.rand(256, 4096, device=device)
    out = torch.empty_like(x)
    sides = {"exp": lambda: torch.exp(x, out=out), "exp2": lambda: torch.exp2(x, out=out)}
    times = rounds(sides, device, 1)
    errors = {
        f.__name__: (f(x).double() / f(x.double()) - 1).abs().max().item()
        for f in (torch.exp, torch.exp2)
    }
    print()
    for name, values in times.items():
        each = statistics.median(values) * 1e6 / x.numel()
        print(f"torch.{name}: {each:.3f} ns an entry, relative error up to {errors[name]:.1e}")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--classes", type=int, default=100, help="at most B / 4 are used")
    parser.add_argument("--seconds", type=float, default=20, help="of rounds, for each size")
    parser.add_argument("--sides", nargs="+", choices=[*NAMES][:-1])
    options = parser.parse_args()
    if options.sides is None:
        options.sides = ["ours", "plain", "batch", "pml"]
        options.sides += ["compiled"] if options.device == "cuda" else []
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.device}, {options.threads} threads of "
        f"{os.cpu_count()} cores, {platform.machine()}; up to {options.classes} classes"
    )
    exponentials(options.device)
    for size in options.sizes:
        table(size, options)


if __name__ == "__main__":
    main()
