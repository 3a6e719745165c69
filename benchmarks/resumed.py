"""Many trainings in processes of one thread, and the CSV from which the same command goes on."""

import csv
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import click
import torch

from benchmarks import shared
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.models.precision import resolve_precision
from circlemnist.runs.files import write_csv
from circlemnist.runs.run import alone
from circlemnist.training.build import build_training
from circlemnist.training.state import Diverged, TrainState

FOLDER = shared.ROOT / "benchmarks" / "family"
VALIDATION = 10_000  # images
folder_option = click.option(
    "--folder", type=Path, default=FOLDER, help="of the CSV files", show_default=False
)

Row = dict[str, str]  # a training, or its result: column → text


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows in the order of their texts, whichever training ended first."""
    write_csv(path, list(rows[0]), sorted(rows, key=lambda row: list(row.values())))


def train_missing(
    path: Path,
    trainings: Iterable[Row],
    run: Callable[[Row], list[Row]],
    pool: ProcessPoolExecutor,
) -> int:
    """Run what has no row in the CSV, write each result as it comes; return how many were run.

    Args:
        run: returns the rows of a training, its own columns first; at the top of a module.
    """
    rows = read_rows(path)
    futures = [
        pool.submit(run, training)
        for training in trainings
        if not any(training.items() <= row.items() for row in rows)
    ]
    try:
        for future in as_completed(futures):
            results = future.result()
            for row in results:
                print(time.strftime("%H:%M:%S"), *filter(None, row.values()), flush=True)
            rows += results
            write_rows(path, rows)
    finally:  # where it is stopped, nothing waits for trainings whose results would be lost
        for future in futures:
            future.cancel()
    return len(futures)


@cache
def load_mnist(data_dir: Path, validate: bool) -> Dataset:
    dataset = load_dataset("mnist", data_dir)
    return dataset.hold_out(VALIDATION) if validate else dataset


def train_alone(config: Config, split: Split) -> TrainState | None:
    """Train without a run folder; None where the loss diverged."""
    precision = resolve_precision(config.precision, split.labels.device)
    state = build_training(replace(config, precision=precision), split)
    try:
        shared.train(state, config, split, config.epochs)
    except Diverged:
        return None
    return state


@contextmanager
def workers(jobs: int, folder: Path) -> Iterator[ProcessPoolExecutor]:
    """Start processes, and let nobody else write in the folder of the CSV files meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, "written"), ProcessPoolExecutor(jobs, initializer=_start_worker) as pool:
        yield pool


def _start_worker() -> None:
    """Compute with one thread; end where the parent is killed, instead of waiting for ever."""
    torch.set_num_threads(1)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
