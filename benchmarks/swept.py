"""Trainings that a benchmark needs, by `circlemnist sweep`: one that was stopped goes on."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import ttest_rel

from circlemnist.config import Config
from circlemnist.evaluation.report import point_at, read_points
from circlemnist.runs.run import Run, find_runs

ROOT = Path(__file__).resolve().parent.parent
REFUSED = "refused"  # of the images of known classes, at `predict`'s default threshold
ROUNDING = 1e-9  # of percentages that are the same
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Outcome:
    """What one training reached: its run, its settings, its measures, shares as 0-1, its times."""

    run: Run
    config: Config
    metrics: dict[str, float]
    seconds: tuple[float, ...]

    def percent(self, metric: str) -> float:
        return 100 * self.metrics[metric]


def add_arguments(parser: argparse.ArgumentParser, seeds: int) -> None:
    """Add what the tables share: data, seeds, where sweeps are kept, flags of `sweep`."""
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=CORES, help="trainings at once")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="folder of sweeps")
    parser.add_argument("more", nargs="*", help="flags of `circlemnist sweep`, after --")


def swept(flags: Sequence[str], arguments: argparse.Namespace) -> list[Outcome]:
    """Sweep, with a progress line a training, and read what each training left.

    Args:
        flags: of `circlemnist sweep`; those of `add_arguments` come after them.
    """
    data = ("--dataset", arguments.dataset, "--data-dir", str(arguments.data_dir.resolve()))
    trained = ("--seeds", str(arguments.seeds), "--jobs", str(arguments.jobs))
    place = ("--outputs", str(arguments.outputs))
    printed = circlemnist("sweep", *flags, *data, *trained, *place, *arguments.more)
    (folder,) = [line[7:] for line in printed.splitlines() if line.startswith("sweep: ")]
    runs, _ = find_runs(arguments.outputs, folder)
    return [outcome_of(run) for run in runs]


def outcome_of(run: Run) -> Outcome:
    """Read what a finished run left in its folder."""
    report = json.loads(run.metrics_file.read_text("utf-8"))
    metrics = report["metrics"] | {REFUSED: point_at(read_points(report), 0.01).false_rejects}
    return Outcome(run, run.config(), metrics, tuple(epoch.seconds for epoch in run.history()))


def circlemnist(*args: str) -> str:
    """Run the program in a process of its own; return what it printed."""
    command = [sys.executable, "-m", "circlemnist", *args]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def spread(values: Sequence[float]) -> str:
    """Return mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


def print_beside_the_first(reached: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print of each row but the first, measure by measure, how it differs from the first.

    Args:
        reached: row → measure → a value a seed, of the same seeds; of one seed nothing is said.
    """
    (first, ours), *others = reached.items()
    for name, values in others:
        for measure in values:
            if len(values[measure]) > 1:
                print(f"{measure}: {name} over {first} {paired(values[measure], ours[measure])}")


def paired(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return ours less theirs, one by one, and whether that is more than chance."""
    gaps = [one - other for one, other in zip(ours, theirs, strict=True)]
    if max(gaps) - min(gaps) < ROUNDING:
        return f"{spread(gaps)}, the same each time: no test"
    return f"{spread(gaps)}, paired t-test p = {ttest_rel(ours, theirs).pvalue:.2g}"
