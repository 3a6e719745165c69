"""A sweep as a real process that is killed, and what it leaves is compared by."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from circlemnist.evaluation.group import Cell
from tests.cells import read_cells
from tests.process import ONE_THREAD, run, start

# steps enough for a kill to find one amid them
GRID = (
    *("sweep", "--dataset", "digits", "--net", "tiny", "--epochs", "12", "--batch-size", "50"),
    *("--vary", "gamma=16,80", "--vary", "m=0.1,0.25", "--name", "grid", "--quiet"),
)
CELLS = 4


def finish(folder: Path, args: Sequence[str]) -> list[Cell]:
    """Run a sweep to its end, from what there is of it, and return its cells."""
    done = run(folder, *args, **ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return results(folder)


def results(folder: Path) -> list[Cell]:
    """The cells of the sweep in a folder that is at its end."""
    assert not list((folder / "outputs" / "grid").rglob(".unfinished-*"))
    return read_cells(folder / "outputs" / "grid" / "results.csv")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Ids of the worker processes of a sweep that runs."""
    found = []
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in map(int, children):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found += [child]
    return found


def wait_for_workers(process: subprocess.Popen[str]) -> list[int]:
    """Wait until a sweep has a worker, and return their ids; none where it is at its end."""
    while process.poll() is None:
        if workers := workers_of(process):
            return workers
        time.sleep(0.01)
    return []


def timed(folder: Path, args: Sequence[str]) -> tuple[list[Cell], float]:
    """Run a sweep that nobody kills; return its cells, and its seconds from the first worker on."""
    with start(folder, *args, **ONE_THREAD) as process:
        wait_for_workers(process)
        begun = time.monotonic()
        _, error = process.communicate()
        seconds = time.monotonic() - begun
    assert process.returncode == 0, error
    return results(folder), seconds


def kill(folder: Path, args: Sequence[str], seconds: float, whom: str) -> None:
    """Start a sweep, and that long after its first worker kill "sweep", "worker", or "both"."""
    with start(folder, *args, **ONE_THREAD) as process:
        workers = wait_for_workers(process)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            if whom != "worker":
                process.kill()
            if whom != "sweep" and workers:
                os.kill(random.choice(workers), signal.SIGKILL)
        _, error = process.communicate()
    # a sweep goes on without a worker
    assert process.returncode in ((0,) if whom == "worker" else (0, -signal.SIGKILL)), error


def trials_of(folder: Path, storage: str | None) -> list[optuna.trial.FrozenTrial]:
    """The trials of the sweep in a folder, from its journal or from a database."""
    if storage is None:
        file = str(folder / "outputs" / "grid" / "journal.log")
        journal = JournalStorage(JournalFileBackend(file))
        return optuna.load_study(study_name="grid", storage=journal).get_trials()
    kept = RDBStorage(storage.replace("postgresql:", "postgresql+psycopg:"))
    trials = optuna.load_study(study_name="grid", storage=kept).get_trials()
    kept.engine.dispose()
    return trials
