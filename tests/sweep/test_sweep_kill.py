"""A sweep that is killed at any moment and begun again is the sweep that was never stopped."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from circlemnist.runs.checkpoint import load_checkpoint
from tests.process import ONE_THREAD, start
from tests.sweep.sweeping import (
    CELLS,
    GRID,
    finish,
    kill,
    results,
    timed,
    trials_of,
    wait_for_workers,
)

A_SWEEP = 5  # kills of one sweep


def assert_trained_once(trials: list[FrozenTrial]) -> None:
    """Each cell has one trial that ended; those of processes that were killed have failed."""
    states = Counter(trial.state for trial in trials)
    assert states.keys() <= {TrialState.COMPLETE, TrialState.FAIL}
    ended = [trial.params for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(ended) == len({tuple(params.values()) for params in ended}) == CELLS


def kill_many(count: int, tmp_path: Path, new_storage: Callable[[], str] | None) -> None:
    """Kill sweeps so many times, five times each, and compare what they come to."""
    whole = tmp_path / "whole"
    whole.mkdir()
    expected, duration = timed(whole, GRID)
    assert len(expected) == CELLS
    moments = random.Random(count)
    for first in range(0, count, A_SWEEP):
        folder = tmp_path / f"killed{first}"
        folder.mkdir()
        storage = None if new_storage is None else new_storage()
        args = GRID if storage is None else (*GRID, "--storage", storage)
        for _ in range(min(A_SWEEP, count - first)):
            seconds = moments.uniform(0, duration)
            kill(folder, args, seconds, moments.choice(("sweep", "worker", "both")))
        assert finish(folder, args) == expected
        assert_trained_once(trials_of(folder, storage))
        assert len(list((folder / "outputs" / "grid" / "cells").iterdir())) == CELLS


@pytest.mark.slow
def test_killed_sweep_comes_to_the_values_of_one_that_was_not(tmp_path: Path) -> None:
    kill_many(4, tmp_path, None)


@pytest.mark.slow
def test_killed_sweep_in_a_database_comes_to_the_same(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    kill_many(2, tmp_path, new_database)


@pytest.mark.soak
def test_25_kills_of_a_sweep_in_a_journal(tmp_path: Path) -> None:
    kill_many(25, tmp_path, None)


@pytest.mark.soak
def test_25_kills_of_a_sweep_in_a_database(tmp_path: Path, new_database: Callable[[], str]) -> None:
    kill_many(25, tmp_path, new_database)


@pytest.mark.slow
def test_ctrl_c_keeps_every_step_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    expected, _ = timed(tmp_path / "whole", GRID)
    with start(tmp_path, *GRID, "--jobs", "2", **ONE_THREAD) as process:
        workers = wait_for_workers(process)
        cells = tmp_path / "outputs" / "grid" / "cells"
        while not list(cells.glob("*/last.pt")):
            time.sleep(0.01)
        for each in (process.pid, *workers):  # as a terminal does
            os.kill(each, signal.SIGINT)
        output, error = process.communicate()
    assert process.returncode == 130
    assert output == ""
    (line,) = error.splitlines()
    command = " ".join(["circlemnist", *GRID, "--jobs", "2"])
    assert line.startswith("stopped; grid has ")
    assert line.endswith(f"continue with the same command: {command}")
    steps = [load_checkpoint(path)["step"] for path in cells.glob("*/last.pt")]
    assert sum(steps) > 0
    assert finish(tmp_path, GRID) == expected == results(tmp_path)
