"""Tables of many trainings by `circlemnist sweep`.

    python -m benchmarks quality configs/default.toml --seeds 10    # a recipe over its seeds
    python -m benchmarks ablation default --epochs 1                # ten changes; 10 minutes

Figures are in percent, mean ± standard deviation; durations are of 2 cores. The same command goes
on where it was stopped. With `--jobs` the seconds are not those of a training alone. Expected: the
tables of docs/benchmarks.md.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import click

from benchmarks import shared
from benchmarks.shared import mean_sd
from circlemnist.config import Config, read_settings
from circlemnist.family import LOSS_SETTINGS
from circlemnist.recipes import recipe_files
from circlemnist.runs.run import Run, find_runs

ACCURACIES = {"1-NN, %": "1nn", "20-NN, %": "20nn"}
# recipe → change → its flags; OF_LOSS: gamma, m and lr of the recipe
CHANGES = {
    "default": {
        "the default": "",
        "one logsumexp over the whole batch, not one an anchor": "--pairs batch",
        "similarities to learned class weights": "--loss circle-class OF_LOSS",
        "without the last BatchNorm": "--no-last-norm",
        "without augmentation": "--no-augment",
        "with augmentation to the end": "--plain-share 0",
        "P × K batches, 10 × 25": "--classes-per-batch 10",
        "m = 0": "--m 0",
        "m = 0.4": "--m 0.4",
        "gamma = 32": "--gamma 32",
        "gamma = 256": "--gamma 256",
    },
    "plane": {
        "the recipe": "",
        "not folded": "--fold 0",
        "nor with hidden layers": "--fold 0 --hidden-layers 0",
        "not folded, class weights learned": "--fold 0 --class-weights learned",
        "not folded, pairs, no class weights": "--fold 0 --loss circle OF_LOSS",
    },
}


@dataclass(frozen=True)
class Training:
    """What a finished run left: settings, metrics in percent, seconds of its epochs."""

    config: Config
    metrics: dict[str, float]
    seconds: list[float]


def read_training(run: Run) -> Training:
    report = json.loads(run.metrics_file.read_text("utf-8"))
    percents = {name: 100 * share for name, share in report["metrics"].items()}
    return Training(run.config(), percents, [epoch.seconds for epoch in run.history()])


def sweep_options(seeds: int) -> Callable[[Any], Any]:
    """The options that `run_sweep` takes."""
    options = (
        shared.data_dir_option,
        click.option("--dataset", default="mnist"),
        click.option("--seeds", default=seeds),
        shared.jobs_option,
        click.option("--outputs", type=Path, default="outputs", help="folder of sweeps"),
        click.argument("more", nargs=-1),
    )
    return lambda command: reduce(lambda wrapped, option: option(wrapped), options, command)


def run_sweep(flags: Sequence[str], more: Sequence[str], **options: Any) -> list[Training]:
    """Sweep, with a progress line a training; return what each training left, by its seed."""
    options["data_dir"] = options["data_dir"].resolve()
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    printed = shared.circlemnist("sweep", *flags, *chain(*pairs), *more)
    (folder,) = [line[7:] for line in printed.splitlines() if line.startswith("sweep: ")]
    runs, _ = find_runs(options["outputs"], folder)
    return sorted(map(read_training, runs), key=lambda training: training.config.seed)


def print_table(
    what: str, rows: Iterable[tuple[str, Sequence[Training]]], columns: Mapping[str, str]
) -> dict[str, dict[str, list[float]]]:
    """Print mean ± standard deviation of each metric; return row → metric → a value a seed."""
    print(shared.machine())
    shared.print_head(what, *columns, "s", "s an epoch")
    table: dict[str, dict[str, list[float]]] = {}
    for name, trainings in rows:
        table[name] = {
            column: [training.metrics[metric] for training in trainings]
            for column, metric in columns.items()
        }
        whole = [sum(training.seconds) for training in trainings]
        epoch = [statistics.mean(training.seconds) for training in trainings]
        shared.print_row(name, *map(mean_sd, [*table[name].values(), whole, epoch]))
    return table


@click.command()
@click.argument("config", type=Path)
@sweep_options(5)
def quality(config: Path, **sweep: Any) -> None:
    """A recipe over several seeds, on the test images."""
    trainings = run_sweep(("--config", str(config), "--holdout", "0"), **sweep)
    print_table("recipe", [(config.stem, trainings)], ACCURACIES)


@click.command()
@click.argument("recipe", type=click.Choice([*CHANGES]))
@click.option("--epochs", default=2)
@sweep_options(10)
def ablation(recipe: str, epochs: int, **sweep: Any) -> None:
    """What each part of a recipe is worth: one change at a time.

    Trained on the first 55,000 training images, evaluated on the last 5,000 against the first
    10,000; each change is set beside the first row, seed by seed.
    """
    file = recipe_files()[recipe]
    settings = read_settings(file)
    own = (f"--{name.replace('_', '-')} {settings[name]}" for name in LOSS_SETTINGS)
    of_loss = " ".join(own)  # another loss takes none from the file
    common = ("--config", str(file), "--epochs", str(epochs))
    rows = (
        (name, run_sweep((*common, *flags.replace("OF_LOSS", of_loss).split()), **sweep))
        for name, flags in CHANGES[recipe].items()
    )
    shared.print_beside_the_first(print_table("change", rows, ACCURACIES))
