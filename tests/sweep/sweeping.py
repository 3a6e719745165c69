"""A sweep as a real process that is killed, and what it leaves."""

import contextlib
import csv
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

from tests.process import ONE_THREAD, run, start

# steps enough for a kill to come amid them
GRID = (
    *("sweep", "--dataset", "digits", "--net", "tiny", "--epochs", "12", "--batch-size", "50"),
    *("--vary", "gamma=16,80", "--vary", "m=0.1,0.25", "--name", "grid", "--quiet"),
)
CELLS = 4
Row = dict[str, str]


def read_results(sweep: Path) -> list[Row]:
    """The lines of the results.csv of a sweep by the names of its columns."""
    return [*csv.DictReader((sweep / "results.csv").read_text("utf-8").splitlines())]


def finish(folder: Path, args: Sequence[str]) -> list[Row]:
    """Run a sweep to its end, from what there is of it, and return its results."""
    done = run(folder, *args, **ONE_THREAD)
    assert done.returncode == 0, done.stderr
    assert not list((folder / "outputs" / "grid").rglob(".unfinished-*"))
    return read_results(folder / "outputs" / "grid")


def wait_for_workers(process: subprocess.Popen[str]) -> list[int]:
    """Wait until a sweep has a worker, and return their ids; none where it is at its end."""
    while process.poll() is None:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            commands = {
                int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children
            }
            if workers := [child for child, line in commands.items() if b"spawn_main" in line]:
                return workers
        time.sleep(0.01)
    return []


def duration(folder: Path, args: Sequence[str]) -> float:
    """Run a sweep that nobody kills; return its seconds from the first worker on."""
    with start(folder, *args, **ONE_THREAD) as process:
        wait_for_workers(process)
        begun = time.monotonic()
        _, error = process.communicate()
    assert process.returncode == 0, error
    return time.monotonic() - begun


def kill(folder: Path, args: Sequence[str], seconds: float, victim: str) -> None:
    """Start a sweep, and that long after its first worker kill "sweep", "worker", or "both"."""
    with start(folder, *args, **ONE_THREAD) as process:
        workers = wait_for_workers(process)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            if victim != "worker":
                process.kill()
            if victim != "sweep" and workers:
                os.kill(random.choice(workers), signal.SIGKILL)
        _, error = process.communicate()
    # a sweep goes on without a worker
    assert process.returncode in ((0,) if victim == "worker" else (0, -signal.SIGKILL)), error


def trials_of(folder: Path, url: str | None) -> list[optuna.trial.FrozenTrial]:
    """The trials of the sweep in a folder, from its journal or from a database."""
    if url is None:
        file = str(folder / "outputs" / "grid" / "journal.log")
        journal = JournalStorage(JournalFileBackend(file))
        return optuna.load_study(study_name="grid", storage=journal).get_trials()
    storage = RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    trials = optuna.load_study(study_name="grid", storage=storage).get_trials()
    storage.engine.dispose()
    return trials
