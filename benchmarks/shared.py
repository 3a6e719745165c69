"""What the benchmarks share: options, training, seconds in turn, statistics and tables.

A figure has its spread: median (least to most) over rounds, mean ± standard deviation over seeds.
Sides run in turn within a round, and are compared round by round, or seed by seed.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.evaluation.compare import holm, paired_difference
from circlemnist.process import StopSignals
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1


def choice_option(flag: str, names: Iterable[str]) -> Callable[[Any], Any]:
    """An option that takes names again and again; all of them where it is not given."""
    kind = click.Choice([*names])
    return click.option(flag, type=kind, multiple=True, default=kind.choices, show_default="all")


config_argument = click.argument("config", type=Path, default=Path("configs/default.toml"))
data_dir_option = click.option("--data-dir", type=Path, default="data", help="folder of MNIST")
jobs_option = click.option("--jobs", default=CORES, help="trainings at once")


def rounds_option(rounds: int) -> Callable[[Any], Any]:
    return click.option("--rounds", default=rounds, help="in each, every side runs once")


def train(state: TrainState, config: Config, split: Split, epochs: int | None = 1) -> None:
    """Train without a word, and without a run folder."""
    progress, signals = Progress("quiet", config, len(split)), StopSignals()
    for _ in range(epochs or 0):
        train_epoch(state, config, split, progress, signals)


def circlemnist(*args: str) -> str:
    """Run the program in a process of its own; return what it printed."""
    command = [sys.executable, "-m", "circlemnist", *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def seconds_of(job: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    job()
    return clock() - begun


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Values over others, round by round."""
    return [value / other for value, other in zip(values, others, strict=True)]


def median_range(values: Sequence[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def mean_sd(values: Sequence[float], places: int = 3) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{places}f} ± {deviation:.{places}f}"


def print_beside_the_first(table: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print how each row but the first differs from it, with p corrected for the rows by Holm.

    Args:
        table: row → metric → a value a seed, of the same seeds; a single seed is not tested.
    """
    (first, ours), *others = table.items()
    for metric, values in ours.items():
        if len(values) > 1:
            gaps = [paired_difference(other[metric], values) for _, other in others]
            corrected = holm([gap.p for gap in gaps if gap.p is not None])
            count, ps = len(corrected), iter(corrected)
            for (name, _), (mean, interval, p) in zip(others, gaps, strict=True):
                line = f"{metric}: {name} over {first} {mean:+.3f}"
                if interval is None or p is None:
                    print(f"{line}, the same each time: no test")
                else:
                    ends = f"95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}"
                    print(f"{line}, {ends}, p = {next(ps):.2g} of {count} tests")


def print_row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def print_head(*cells: object) -> None:
    """The first two lines of a Markdown table."""
    print_row(*cells)
    print_row(*["---"] * len(cells))


def machine() -> str:
    threads = f"{torch.get_num_threads()} threads of {CORES} cores"
    return f"torch {torch.__version__}, {threads}, {platform.machine()}"
