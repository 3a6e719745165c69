"""A worker of a sweep, in this process."""

import errno
import json
import multiprocessing
import signal
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from circlemnist.config import Config
from circlemnist.process import StopSignals
from circlemnist.sweep.study import Claim
from circlemnist.sweep.worker import Answer, Worker, Workers


def answer(folder: Path, **settings: Any) -> Answer:
    """What a new worker says of a cell."""
    config = Config(dataset="digits", net="tiny", epochs=1, **settings)
    return Worker(Pipe()[0], StopSignals()).answer(config, folder)


@pytest.mark.parametrize(("holdout", "gallery"), [(287, 100), (0, 1437)])
def test_test_images_are_compared_with_all_and_held_out_ones_with_some(
    holdout: int, gallery: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sweep reports on the test images is what `eval` reports."""
    monkeypatch.setattr("circlemnist.sweep.worker.GALLERY", 100)
    assert answer(tmp_path / "cell", holdout=holdout).kind == "done"
    assert json.loads((tmp_path / "cell" / "eval.json").read_text())["gallery"] == gallery


def test_full_disk_asks_for_the_command_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run in its cell is not continued by itself."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("circlemnist.runs.checkpoint.write_bytes", full)
    problem = f"cannot write {tmp_path / 'cell' / 'last.pt'}: No space left on device"
    mend = "make room, then give the same command of the sweep again"
    assert answer(tmp_path / "cell") == Answer("error", {}, f"{problem}; {mend}")


def test_a_folder_that_fails_ends_the_sweep_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as a worker that died."""

    def refuse(_folder: Path, shared: bool = False) -> None:
        if not shared:  # in the run, not beside it
            raise PermissionError(errno.EACCES, "Permission denied", "plots/a.png")

    monkeypatch.setattr("circlemnist.runs.run.remove_unfinished", refuse)
    said = answer(tmp_path / "cell")
    assert said.kind == "error"
    assert "Permission denied: 'plots/a.png'" in said.words


def test_worker_that_has_not_loaded_yet_is_not_waited_for(tmp_path: Path) -> None:
    workers = Workers(1)
    workers.give(Claim(None, 0, {}, [0]), Config(dataset="digits"), tmp_path / "cell")  # type: ignore[arg-type]
    (process,) = multiprocessing.active_children()
    assert workers.busy == 1
    workers.close()
    assert process.exitcode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())
