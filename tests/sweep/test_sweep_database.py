"""Sweeps that share one real PostgreSQL."""

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from optuna.trial import TrialState

from tests.process import ONE_THREAD, run, start
from tests.sweep.sweeping import finish, read_results, trials_of

TINY = ("sweep", "--dataset", "digits", "--net", "tiny", "--epochs", "1", "--quiet")
GRID = (*TINY, "--vary", "gamma=16,32,80", "--vary", "m=0.1,0.25")
NAMED = (*GRID, "--name", "grid")
SHARED = (*NAMED, "--storage")
CELLS = 6


@pytest.mark.parametrize(
    "count", [pytest.param(1, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.soak)]
)
def test_two_processes_share_the_cells_of_a_sweep(
    count: int, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    """Each in a folder of its own, as on two machines."""
    expected = finish(tmp_path, NAMED)
    assert len(expected) == CELLS
    for number in range(count):
        url = new_database()
        machines = [tmp_path / f"try{number}" / machine for machine in ("first", "second")]
        for machine in machines:
            machine.mkdir(parents=True)
        processes = [start(machine, *SHARED, url, **ONE_THREAD) for machine in machines]
        for process in processes:
            _, error = process.communicate()
            assert process.returncode == 0, error
        sweeps = [machine / "outputs" / "grid" for machine in machines]
        trained = [cell.name for sweep in sweeps for cell in (sweep / "cells").iterdir()]
        assert len(set(trained)) == len(trained) == CELLS
        assert [read_results(sweep) for sweep in sweeps] == [expected] * 2
        states = [trial.state for trial in trials_of(machines[0], url)]
        assert states == [TrialState.COMPLETE] * CELLS


@pytest.mark.slow
def test_sweep_in_a_database_is_known_by_what_it_trains_and_no_other_is_taken(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()

    def sweep(machine: str, *args: str) -> tuple[int, str, str]:
        folder = tmp_path / machine
        folder.mkdir(exist_ok=True)
        result = run(folder, *args, **ONE_THREAD)
        return result.returncode, result.stdout.replace(str(folder), ""), result.stderr

    code, said, error = sweep("first", *GRID, "--storage", url)
    assert code == 0, error
    assert sweep("second", *GRID, "--storage", url) == (0, said, "")
    (folder,) = (tmp_path / "second" / "outputs").iterdir()
    assert not list((folder / "cells").iterdir())
    other = (*TINY, "--vary", "dim=8", "--name", folder.name, "--storage", url)
    for machine, args, words in (
        ("second", other, f"{folder.name} is a sweep of other settings"),
        ("third", other, f"has a study {folder.name} of another sweep"),
        ("first", GRID, "keeps its results in a database: give its --storage"),
    ):
        code, _, error = sweep(machine, *args)
        assert (code, len(error.splitlines())) == (1, 1)
        assert words in error
    assert not list((tmp_path / "third").iterdir())


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
