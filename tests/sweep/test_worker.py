"""A worker of a sweep, in this process."""

import errno
import json
from multiprocessing import Pipe
from pathlib import Path

import pytest

from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.process import StopSignals
from circlemnist.sweep.worker import Worker


def test_each_cell_names_the_images_that_it_was_trained_on(tmp_path: Path) -> None:
    """One environment serves the cells of the same images, and no others."""
    worker = Worker(Pipe()[0], StopSignals())
    for number, (unseen, seed) in enumerate([("1,2", 0), ("1,2", 5), ("0,3,8", 0), (None, 0)]):
        config = Config(dataset="digits", net="tiny", epochs=1, unseen=unseen, seed=seed)
        assert worker.answer(config, tmp_path / f"cell{number}").kind == "done"
        kept = json.loads((tmp_path / f"cell{number}" / "environment.json").read_text())
        used = load_dataset("digits", Path()).used_by(config)
        assert (kept["dataset_sha256"], kept["seed"]) == (used.checksum(), seed)


def test_test_images_are_compared_with_all_and_held_out_ones_with_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sweep reports on the test images is what `eval` reports."""
    monkeypatch.setattr("circlemnist.sweep.worker.GALLERY", 100)
    worker = Worker(Pipe()[0], StopSignals())
    for holdout, gallery in ((287, 100), (0, 1437)):
        config = Config(dataset="digits", net="tiny", epochs=1, holdout=holdout)
        assert worker.answer(config, tmp_path / f"cell{holdout}").kind == "done"
        report = json.loads((tmp_path / f"cell{holdout}" / "eval.json").read_text())
        assert report["gallery"] == gallery


def test_full_disk_asks_for_the_command_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run in its cell is not continued by itself."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("circlemnist.runs.checkpoint.write_bytes", full)
    config = Config(dataset="digits", net="tiny", epochs=1)
    answer = Worker(Pipe()[0], StopSignals()).answer(config, tmp_path / "cell")
    path = tmp_path / "cell" / "last.pt"
    mend = "make room, then give the same command of the sweep again"
    expected = f"cannot write {path}: No space left on device; {mend}"
    assert (answer.kind, answer.words) == ("error", expected)


def test_a_folder_that_fails_ends_the_sweep_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as a worker that died."""

    def refuse(_folder: Path, below: bool = True, **_: object) -> None:
        if below:  # in the run, not beside it
            raise PermissionError(errno.EACCES, "Permission denied", "plots/a.png")

    monkeypatch.setattr("circlemnist.runs.run.remove_unfinished", refuse)
    config = Config(dataset="digits", net="tiny", epochs=1)
    answer = Worker(Pipe()[0], StopSignals()).answer(config, tmp_path / "cell")
    assert (answer.kind, "Permission denied: 'plots/a.png'" in answer.words) == ("error", True)
