"""Many trainings whose only trace is a CSV, from which the same command goes on."""

import csv
import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path

from circlemnist.runs.files import write_text

Row = dict[str, str]  # a training, or its result: column → text


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows in the order of their texts, whichever training ended first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: list(row.values())))
    write_text(path, text.getvalue())


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
    missing = [
        training
        for training in trainings
        if not any(training.items() <= row.items() for row in rows)
    ]
    futures = [pool.submit(run, training) for training in missing]
    for future in as_completed(futures):
        rows += (results := future.result())
        for row in results:
            print(time.strftime("%H:%M:%S"), *filter(None, row.values()), flush=True)
        write_rows(path, rows)
    return len(futures)


def workers(jobs: int) -> AbstractContextManager[ProcessPoolExecutor]:
    return ProcessPoolExecutor(jobs, initializer=_end_with_the_parent)


def _end_with_the_parent() -> None:
    """End this worker where its parent is killed, which would leave it waiting for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
