"""Snapshots of the test images while a run trains: when, of what, and without changing the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.models.embedder import embed
from circlemnist.process import Stopped
from circlemnist.runs.arrays import load_snapshots
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import fit
from circlemnist.training.state import Recorder, TrainState
from tests.training.helpers import CONFIG, Watcher, bits, trained


def assert_same_snapshots(folder: Path, other: Path) -> None:
    arrays, others = (vars(load_snapshots(f / "snapshots.npz")) for f in (folder, other))
    assert arrays.keys() == others.keys()
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name])


def test_snapshots_are_from_the_first_step_to_the_last(watched_run: Path) -> None:
    snapshots = load_snapshots(watched_run / "snapshots.npz")
    assert (snapshots.steps[0], snapshots.steps[-1]) == (0, 20)
    assert (np.diff(snapshots.steps) > 0).all()
    assert snapshots.embeddings.shape == (len(snapshots.steps), 360, 64)
    lengths = np.linalg.norm(snapshots.embeddings.astype(float), axis=2)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    with np.load(watched_run / "embeddings.npz") as file:
        last = file["embeddings"][snapshots.indices]
        np.testing.assert_allclose(snapshots.embeddings[-1], last, atol=1e-3)
        np.testing.assert_array_equal(snapshots.labels, file["labels"][snapshots.indices])


def test_resumed_training_has_the_same_snapshots_and_weights(split: Split, tmp_path: Path) -> None:
    """Interrupted within an epoch; later snapshots than the checkpoint are dropped.

    Weights are those of a training without snapshots.
    """
    parts, whole = tmp_path / "parts", tmp_path / "whole"

    def train(folder: Path, state: TrainState, stop_at: int = 0) -> TrainState:
        folder.mkdir(exist_ok=True)
        watcher = Watcher(CONFIG, stop_at)
        fit(state, CONFIG, split, Run(folder), watcher, watcher.stop)
        return state

    def build() -> tuple[TrainState, Recorder]:
        state = build_training(CONFIG, split)
        state.recorder = Recorder(split, state.total_steps)
        return state, state.recorder

    state, recorder = build()
    first = embed(state.embedder, recorder.images).half().numpy()
    with pytest.raises(Stopped):
        train(parts, state, stop_at=3)
    assert (state.step, max(recorder.embeddings)) == (3, 3)
    recorder.record(5, state.embedder)
    recorder.save(Run(parts).snapshots_file)
    state, recorder = build()
    state.restore(Run(parts))
    assert max(recorder.embeddings) == 3
    train(parts, state)
    uninterrupted = train(whole, build()[0])
    assert torch.equal(state.points, uninterrupted.points)
    assert_same_snapshots(parts, whole)
    snapshots = load_snapshots(whole / "snapshots.npz")
    assert snapshots.steps.tolist() == [*range(11)]
    np.testing.assert_array_equal(snapshots.embeddings[0], first)
    last = embed(state.embedder, split.images[torch.from_numpy(snapshots.indices)])
    np.testing.assert_array_equal(snapshots.embeddings[-1], last.half().numpy())
    assert bits(state) == bits(trained(CONFIG, split, tmp_path / "without"))


@pytest.mark.parametrize(("batch_size", "stride"), [(5, 2), (100, 1)])
def test_points_are_the_values_of_steps_from_the_first_on(
    batch_size: int, stride: int, few: Split, tmp_path: Path
) -> None:
    """About 50 an epoch, as a bar saw them."""
    config = replace(CONFIG, batch_size=batch_size)
    watcher = Watcher(config)
    points = trained(config, few, tmp_path, watcher).points
    steps = 500 // batch_size
    chosen = (points[:, 0] * steps).round().int().tolist()
    assert chosen == list(range(0, 2 * steps, stride))
    seen = torch.tensor([watcher.steps[step][2] for step in chosen])
    torch.testing.assert_close(points[:, 1:], seen, rtol=0, atol=0, equal_nan=True)


def test_file_that_cannot_be_written_is_named(split: Split, tmp_path: Path) -> None:
    state = build_training(Config(net="tiny", epochs=1), split)
    state.recorder = Recorder(split, 5)
    state.recorder.record(0, state.embedder)
    run = Run(tmp_path)
    run.snapshots_file.mkdir()
    with pytest.raises(UserError, match=rf"cannot write {run.snapshots_file}"):
        state.save(run)
    assert not run.checkpoint_file.exists()


def test_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no snapshots: train with `snapshots`"):
        load_snapshots(path := tmp_path / "snapshots.npz")
    for content in (b"", b"PK", b"hello"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"snapshots.npz is damaged"):
            load_snapshots(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": np.array([[0], [1]])},
        {"labels": np.array([0, 1])},
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
    sample = recorder(2001, 90)
    assert sample.indices[[0, 1, -1]].tolist() == [0, 4, 2000]
    assert len(sample.indices) == 500
    assert torch.equal(sample.images[:, 5, 5].long(), sample.labels)
    assert torch.equal(sample.labels, sample.indices % 10)
    assert recorder(30, 90).indices.tolist() == [*range(30)]


def test_snapshots_are_denser_at_the_start() -> None:
    assert sorted(recorder(30, 900).due) == [i * i for i in range(31)]
