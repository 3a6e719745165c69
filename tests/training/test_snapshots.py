"""Looks at the test images while a run trains: when, of what, and without changing the run."""

from pathlib import Path

import numpy as np
import pytest

from circlemnist.errors import UserError
from circlemnist.training.snapshots import load_snapshots
from tests.conftest import invoke
from tests.process import ONE_THREAD, fingerprint, run, start, wait_for

TRAIN = ("train", "--dataset", "digits", "--epochs", 3, "--quiet")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with snapshots and two pictures."""
    outputs = tmp_path_factory.mktemp("outputs")
    result = invoke(*TRAIN, "--snapshots", "--outputs", outputs, "--name", "watched")
    assert result.exit_code == 0, result.output
    return outputs / "watched"


def test_looks_are_from_the_first_step_to_the_last(watched: Path) -> None:
    seen = load_snapshots(watched / "snapshots.npz")
    assert seen.steps[0] == 0
    assert seen.steps[-1] == 15
    assert (np.diff(seen.steps) > 0).all()
    assert seen.embeddings.shape == (len(seen.steps), 360, 64)
    np.testing.assert_allclose(np.linalg.norm(seen.embeddings.astype(float), axis=2), 1, atol=2e-3)
    with np.load(watched / "embeddings.npz") as file:
        np.testing.assert_allclose(seen.embeddings[-1], file["embeddings"][seen.indices], atol=1e-3)
        np.testing.assert_array_equal(seen.labels, file["labels"][seen.indices])


def test_looking_changes_nothing(watched: Path, finished_run: Path) -> None:
    assert fingerprint(watched) == fingerprint(finished_run)


@pytest.mark.slow
def test_killed_run_has_seen_the_same(tmp_path: Path) -> None:
    """The looks of steps after the checkpoint are forgotten, and taken again."""
    args = [str(arg) for arg in (*TRAIN[:4], 30, "--batch-size", 50, "--snapshots")]
    assert run(tmp_path, *args, "--name", "whole", **ONE_THREAD).returncode == 0
    with start(tmp_path, *args, "--name", "parts", **ONE_THREAD) as process:
        wait_for(process, "epoch 9/")
        process.kill()
    resumed = run(tmp_path, "train", "--resume", "parts", "--quiet", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "parts") == fingerprint(outputs / "whole")
    seen, again = (load_snapshots(outputs / name / "snapshots.npz") for name in ("whole", "parts"))
    for one, other in zip(vars(seen).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_run_without_snapshots_gets_one_line(finished_run: Path) -> None:
    with pytest.raises(UserError, match="has no snapshots: train with `snapshots`"):
        load_snapshots(finished_run / "snapshots.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello"])
def test_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "snapshots.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"snapshots.npz is damaged"):
        load_snapshots(tmp_path / "snapshots.npz")
