"""A sweep that is killed at any moment and begun again is the sweep that was never stopped."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from circlemnist.runs.checkpoint import load_checkpoint
from tests.process import ONE_THREAD, start
from tests.sweep.sweeping import (
    CELLS,
    GRID,
    duration,
    finish,
    kill,
    read_results,
    trials_of,
    wait_for_workers,
)

KILLS_OF_A_SWEEP = 5


@pytest.mark.parametrize(
    ("storage", "count"),
    [
        pytest.param("journal", 3, marks=pytest.mark.slow),
        pytest.param("journal", 25, marks=pytest.mark.soak),
        pytest.param("database", 1, marks=pytest.mark.slow),
        pytest.param("database", 25, marks=pytest.mark.soak),
    ],
)
def test_killed_sweep_comes_to_the_values_of_one_that_was_not(
    storage: str, count: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """So many times in all, five times each."""
    new_database = request.getfixturevalue("new_database") if storage == "database" else None
    (tmp_path / "whole").mkdir()
    seconds = duration(tmp_path / "whole", GRID)
    expected = read_results(tmp_path / "whole" / "outputs" / "grid")
    assert len(expected) == CELLS
    moments = random.Random(count)
    for first in range(0, count, KILLS_OF_A_SWEEP):
        folder = tmp_path / f"killed{first}"
        folder.mkdir()
        url = new_database() if new_database else None
        args = (*GRID, "--storage", url) if url else GRID
        for _ in range(min(KILLS_OF_A_SWEEP, count - first)):
            moment = moments.uniform(0, seconds)
            kill(folder, args, moment, moments.choice(("sweep", "worker", "both")))
        assert finish(folder, args) == expected
        # each cell has one trial that ended; those of processes that were killed have failed
        trials = trials_of(folder, url)
        ended = [trial.params for trial in trials if trial.state == TrialState.COMPLETE]
        assert len(ended) == len({tuple(params.values()) for params in ended}) == CELLS
        assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
        assert len(list((folder / "outputs" / "grid" / "cells").iterdir())) == CELLS


@pytest.mark.slow
def test_ctrl_c_keeps_every_step_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    expected = finish(tmp_path / "whole", GRID)
    with start(tmp_path, *GRID, "--jobs", "2", **ONE_THREAD) as process:
        workers = wait_for_workers(process)
        cells = tmp_path / "outputs" / "grid" / "cells"
        while not list(cells.glob("*/last.pt")):
            time.sleep(0.01)
        for process_id in (process.pid, *workers):  # as a terminal does
            os.kill(process_id, signal.SIGINT)
        output, error = process.communicate()
    assert (process.returncode, output) == (130, "")
    (line,) = error.splitlines()
    command = " ".join(["circlemnist", *GRID, "--jobs", "2"])
    assert line.startswith("stopped; grid has ")
    assert line.endswith(f"continue with the same command: {command}")
    assert sum(load_checkpoint(path)["step"] for path in cells.glob("*/last.pt")) > 0
    assert finish(tmp_path, GRID) == expected
