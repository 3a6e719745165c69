"""What a sweep costs beside its trainings: two at once against one, a cell, ten thousand results.

    python -m benchmarks.sweep --data-dir data

Trains 20 cells (5 gammas × 4 m), an epoch of MNIST each, with `--jobs 1` and with `--jobs 2`, in
turn, and a single cell, which has the starting and the ending of a sweep in it; an epoch and the
measuring of a cell are timed alone; 10,000 made-up results are read, put into a table and drawn.
Wanted on 2 cores: `--jobs 2` at most 0.9 of the time of `--jobs 1`, measuring under half an epoch,
the sweep's own time under 0.3 s for each further cell, the made-up results under 5 s.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.swept import circlemnist
from circlemnist.cli.tables import sweep_table
from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.evaluation.group import Group, in_words
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.process import StopSignals
from circlemnist.runs.run import find_runs
from circlemnist.sweep.plan import HOLDOUT, Axis, Plan
from circlemnist.sweep.run import SweepResult
from circlemnist.sweep.storage import SweepFolder
from circlemnist.sweep.worker import GALLERY
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress


def swept(flags: Sequence[str], jobs: int) -> tuple[float, float, int]:
    """Run a sweep; return its seconds, those that its epochs took, and its cells."""
    with tempfile.TemporaryDirectory() as folder:
        place = ("--quiet", "--outputs", folder, "--name", "sweep")
        begun = time.perf_counter()
        circlemnist("sweep", *flags, "--jobs", str(jobs), *place)
        seconds = time.perf_counter() - begun
        cells, _ = find_runs(Path(folder), "sweep")
        epochs = sum(epoch.seconds for cell in cells for epoch in cell.history())
    return seconds, epochs, len(cells)


def timed(config: Config, data_dir: Path) -> tuple[float, float]:
    """Return the seconds of an epoch, and of measuring a cell."""
    dataset = load_dataset(config.dataset, data_dir).hold_out(HOLDOUT[config.dataset])
    state = build_training(config, dataset.train)
    begun = time.perf_counter()
    quiet = Progress("quiet", config, len(dataset.train))
    train_epoch(state, config, dataset.train, quiet, StopSignals())
    trained = time.perf_counter()
    evaluate(state.embedder, dataset.first(GALLERY))
    return trained - begun, time.perf_counter() - trained


def made_up(count: int) -> float:
    """Return the seconds that it takes to list so many results and draw them."""
    side = round(count**0.5)
    axes = [Axis(name, tuple(1 + i / side for i in range(side))) for name in ("gamma", "elastic")]
    plan = Plan({"dataset": "mnist"}, tuple(axes), (0,), None, "1nn")
    groups = [
        Group(in_words(varied), varied, {0: {name: random.random() for name in METRICS}})
        for varied in plan.grid
    ]
    with tempfile.TemporaryDirectory() as folder:
        sweep = SweepFolder(Path(folder))
        begun = time.perf_counter()
        result = SweepResult(sweep, plan, groups, [])
        sweep_table(result)
        result.draw()
        return time.perf_counter() - begun


def main() -> None:
    """Parse the arguments, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--net", default=Config().net)
    parser.add_argument("--gammas", default="16,32,64,128,256")
    parser.add_argument("--ms", default="0,0.1,0.25,0.4")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    config = Config(dataset=arguments.dataset, net=arguments.net, epochs=1)
    flags = ["--dataset", arguments.dataset, "--data-dir", str(arguments.data_dir.resolve())]
    flags += ["--net", arguments.net, "--epochs", "1"]
    all_cells = ["--vary", f"gamma={arguments.gammas}", "--vary", f"m={arguments.ms}"]
    one_cell = ["--vary", f"gamma={config.gamma:g}", "--vary", f"m={config.m:g}"]
    print(f"{os.cpu_count()} cores")
    epoch, measuring = timed(config, arguments.data_dir)
    print(f"epoch {epoch:.2f} s, measuring a cell {measuring:.2f} s, {measuring / epoch:.2f} of it")
    for _ in range(arguments.rounds):
        one, epochs, cells = swept([*flags, *all_cells], 1)
        two, _, _ = swept([*flags, *all_cells], 2)
        single, epoch, _ = swept([*flags, *one_cell], 1)
        own = (one - epochs - (single - epoch)) / (cells - 1) - measuring
        print(f"{cells} cells: --jobs 1 {one:.1f} s, --jobs 2 {two:.1f} s, {two / one:.2f} of it")
        print(f"a sweep of one cell {single:.1f} s, {epoch:.1f} s of it the epoch")
        print(f"beside training and measuring {own:.2f} s for each further cell")
    print(f"10,000 made-up results listed and drawn in {made_up(10_000):.2f} s")


if __name__ == "__main__":
    main()
