"""Looks at the test images while a run trains: when, of what, and without changing the run."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.models.embedder import build_embedder, embed
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.arrays import load_snapshots
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.progress import Progress
from circlemnist.training.snapshots import Recorder
from circlemnist.training.state import TrainState
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


def test_resumed_training_has_seen_the_same(split: Split, tmp_path: Path) -> None:
    """Interrupted amid an epoch; what was seen after the checkpoint is forgotten."""
    config = Config(dataset="digits", net="tiny", epochs=2)
    parts, whole = Run(tmp_path / "parts"), Run(tmp_path / "whole")

    def training() -> TrainState:
        state = build_training(config, split)
        state.recorder = Recorder(split, config.steps(len(split)))
        return state

    stop = StopSignals()

    class StopAtThree(Progress):
        def step(self, epoch: int, step: int, values: torch.Tensor, lr: float) -> None:
            stop.received = signal.SIGTERM if step == 3 else None

    parts.folder.mkdir()
    whole.folder.mkdir()
    quiet = Progress("quiet", config, len(split))
    part = training()
    with pytest.raises(Stopped):
        fit(part, config, split, parts, StopAtThree("quiet", config, len(split)), stop)
    assert part.recorder is not None
    assert (part.step, max(part.recorder.embeddings)) == (3, 3)
    part.recorder.record(5, part.embedder)
    part.recorder.save(parts.snapshots_file)
    rest = training()
    rest.restore(parts)
    assert rest.recorder is not None
    assert max(rest.recorder.embeddings) == 3
    fit(rest, config, split, parts, quiet, StopSignals())
    fit(training(), config, split, whole, quiet, StopSignals())
    seen, again = (load_snapshots(of.snapshots_file) for of in (whole, parts))
    assert seen.steps.tolist() == [*range(11)]
    for state, embeddings in ((training(), seen.embeddings[0]), (rest, seen.embeddings[-1])):
        found = embed(state.embedder, split.images[torch.from_numpy(seen.indices)])
        np.testing.assert_array_equal(found.half().numpy(), embeddings)
    for one, other in zip(vars(seen).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_file_that_cannot_be_written_is_named(split: Split, tmp_path: Path) -> None:
    state = build_training(Config(net="tiny", epochs=1), split)
    state.recorder = Recorder(split, 5)
    state.recorder.record(0, state.embedder)
    run = Run(tmp_path)
    run.snapshots_file.mkdir()
    with pytest.raises(UserError, match=rf"cannot write {run.snapshots_file}"):
        state.save(run)
    assert not run.checkpoint_file.exists()


def test_run_without_snapshots_gets_one_line(finished_run: Path) -> None:
    with pytest.raises(UserError, match="has no snapshots: train with `snapshots`"):
        load_snapshots(finished_run / "snapshots.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello"])
def test_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "snapshots.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"snapshots.npz is damaged"):
        load_snapshots(tmp_path / "snapshots.npz")


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": np.array([0.0, 1.0])},
        {"steps": np.array([[0], [1]])},
        {"indices": np.array([0, 1])},
        {"labels": np.array([0, 1])},
        {"embeddings": np.zeros((3, 3, 4), np.float16)},
        {"embeddings": np.zeros((2, 2, 4), np.float16)},
        {"embeddings": np.zeros((2, 3, 4), int)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_arrays_that_do_not_fit_are_named(changed: dict[str, Any], tmp_path: Path) -> None:
    sound = {
        "steps": np.array([0, 1]),
        "indices": np.array([0, 1, 2]),
        "labels": np.array([0, 1, 2]),
        "embeddings": np.zeros((2, 3, 4), np.float16),
    }
    path = tmp_path / "snapshots.npz"
    np.savez(path, **sound)
    assert load_snapshots(path).embeddings.shape == (2, 3, 4)
    np.savez(path, **(sound | changed))
    with pytest.raises(UserError, match=r"snapshots.npz is damaged: arrays of shapes"):
        load_snapshots(path)


def recorder(size: int, steps: int) -> Recorder:
    """Of images whose label is in each pixel."""
    labels = torch.arange(size) % 10
    images = labels.byte()[:, None, None].expand(size, 28, 28).contiguous()
    return Recorder(Split(images, labels), steps)


def test_sample_goes_from_the_first_image_to_the_last() -> None:
    found = recorder(2001, 90)
    assert found.indices[[0, 1, -1]].tolist() == [0, 4, 2000]
    assert len(found.indices) == 500
    assert torch.equal(found.images[:, 5, 5].long(), found.labels)
    assert torch.equal(found.labels, found.indices % 10)
    assert recorder(30, 90).indices.tolist() == [*range(30)]


def test_snapshots_are_denser_at_the_start() -> None:
    due = sorted(recorder(30, 900).due)
    assert due == [part * part for part in range(31)]


def test_what_was_seen_after_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    embedder = build_embedder(Config(net="tiny", dim=4))
    seen = recorder(30, 900)
    for step in range(12):
        seen.record(step, embedder)
        with torch.no_grad():
            next(embedder.parameters()).add_(0.1)
    assert sorted(seen.embeddings) == [0, 1, 4, 9]
    seen.save(tmp_path / "snapshots.npz")
    again = recorder(30, 900)
    again.restore(tmp_path / "snapshots.npz", 4)
    assert sorted(again.embeddings) == [0, 1, 4]
    for step in (0, 1, 4):
        assert torch.equal(again.embeddings[step], seen.embeddings[step])
    kept = load_snapshots(tmp_path / "snapshots.npz")
    assert kept.steps.tolist() == [0, 1, 4, 9]
    assert kept.labels.tolist() == seen.labels.tolist()
    assert not np.array_equal(kept.embeddings[0], kept.embeddings[3])
