"""A disk that is full: one line, and the last good files as they were."""

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from circlemnist.runs.checkpoint import load_checkpoint
from tests.process import ONE_THREAD, run, start, wait_for

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


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 600 KiB."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("only the superuser may mount a small disk, and not in every container")
        yield Path(folder)
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_small_disk_ends_in_one_line(small_disk: Path, tmp_path: Path) -> None:
    """One checkpoint fits, a second one beside it does not."""
    result = run(tmp_path, *TRAIN, "--outputs", str(small_disk), **ONE_THREAD)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    mend = f"make room, then continue with --resume {small_disk / 'full'}"
    assert f"No space left on device; {mend}" in result.stderr
    assert load_checkpoint(small_disk / "full" / "last.pt")["history"]
