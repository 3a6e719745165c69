"""A disk that is full: one line, and the last good files as they were."""

import resource
from pathlib import Path

import pytest

from circlemnist.runs.checkpoint import load_checkpoint
from tests.process import ONE_THREAD, start, wait_for

TRAIN = ("train", "--dataset", "digits", "--net", "small", "--epochs", "200", "--name", "full")


@pytest.mark.slow
def test_checkpoint_that_does_not_fit_leaves_the_last_good_one(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "full"
    with start(tmp_path, *TRAIN, **ONE_THREAD) as process:
        wait_for(process, "epoch 3/")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        _, error = process.communicate()
    assert process.returncode == 1
    assert error.count("\n") == 1
    assert f"cannot write {folder / 'last.pt'}: File too large; make room, then" in error
    assert f"--resume {folder}" in error
    assert len(load_checkpoint(folder / "last.pt")["history"]) >= 3
    assert not list(folder.glob(".unfinished-*"))
