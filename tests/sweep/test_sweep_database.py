"""Sweeps that share one real PostgreSQL."""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from optuna.trial import TrialState

from tests.cells import read_cells
from tests.process import ONE_THREAD, run, start
from tests.sweep.sweeping import trials_of

TINY = ("sweep", "--dataset", "digits", "--net", "tiny", "--epochs", "1", "--quiet")
GRID = (*TINY, "--vary", "gamma=16,32,80", "--vary", "m=0.1,0.25")
CELLS = 6
SHARED = (*GRID, "--name", "grid", "--storage")


def share(folder: Path, url: str) -> list[Path]:
    """Run one sweep as two processes at once, each in a folder of its own; return those."""
    machines = [folder / "one", folder / "two"]
    for machine in machines:
        machine.mkdir(parents=True)
    processes = [start(machine, *SHARED, url, **ONE_THREAD) for machine in machines]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == 0, error
    return machines


def share_many(count: int, tmp_path: Path, new_database: Callable[[], str]) -> None:
    whole = run(tmp_path, *GRID, "--name", "grid", **ONE_THREAD)
    assert whole.returncode == 0, whole.stderr
    expected = read_cells(tmp_path / "outputs" / "grid" / "results.csv")
    assert len(expected) == CELLS
    for number in range(count):
        url = new_database()
        machines = share(tmp_path / f"try{number}", url)
        trained = [path for machine in machines for path in machine.glob("outputs/grid/cells/*")]
        assert len({path.name for path in trained}) == len(trained) == CELLS
        for machine in machines:
            assert read_cells(machine / "outputs" / "grid" / "results.csv") == expected
        trials = trials_of(machines[0], url)
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * CELLS


@pytest.mark.slow
def test_two_processes_share_the_cells_of_a_sweep(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    share_many(1, tmp_path, new_database)


@pytest.mark.soak
def test_two_processes_share_the_cells_of_a_sweep_20_times(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    share_many(20, tmp_path, new_database)


@pytest.mark.slow
def test_sweep_in_a_database_is_found_by_what_it_trains_and_no_other_is_taken(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()
    (tmp_path / "there").mkdir()
    first = run(tmp_path, *SHARED, url, **ONE_THREAD)
    assert first.returncode == 0, first.stderr
    # on another machine, and without its name
    second = run(tmp_path / "there", *GRID, "--storage", url, **ONE_THREAD)
    assert second.returncode == 0, second.stderr
    assert second.stdout.replace(str(tmp_path / "there"), str(tmp_path)) == first.stdout
    assert not list((tmp_path / "there" / "outputs" / "grid" / "cells").iterdir())
    other = ("--vary", "dim=8", "--name", "grid", "--storage", url)
    refused = run(tmp_path / "there", *TINY, *other, **ONE_THREAD)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "grid is a sweep of other settings" in line
    (tmp_path / "third").mkdir()
    refused = run(tmp_path / "third", *TINY, *other, **ONE_THREAD)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "has a study grid of another sweep" in line
    assert not list((tmp_path / "third").iterdir())
    without = run(tmp_path, *GRID, "--name", "grid", **ONE_THREAD)
    (line,) = without.stderr.splitlines()
    assert "keeps its results in a database: give its --storage" in line


@pytest.mark.slow
def test_database_that_goes_away_ends_a_sweep_in_one_line(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()
    with start(tmp_path, *SHARED, url, "--epochs", "5", **ONE_THREAD) as process:
        while not list(tmp_path.glob("outputs/grid/cells/*/last.pt")):
            assert process.poll() is None
            time.sleep(0.01)
        server, _, name = url.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())
        _, error = process.communicate()
    assert process.returncode == 1
    (line,) = error.splitlines()
    assert line.startswith("Error: --storage does not answer")
