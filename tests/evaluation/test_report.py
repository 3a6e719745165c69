"""A report is read back; a damaged or hostile file of it runs no code and breaks nothing."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.evaluation import predict
from circlemnist.evaluation.evaluate import EvaluatedRun, evaluate
from circlemnist.evaluation.predict import Predictor
from circlemnist.evaluation.report import (
    Arrays,
    Gallery,
    Report,
    load_gallery,
    load_report,
    save_report,
)
from circlemnist.runs.checkpoint import checksum, load_checkpoint, save_checkpoint
from circlemnist.runs.run import Run
from tests.conftest import assert_one_line_error, invoke
from tests.payload import Payload


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.mark.parametrize(("images", "neighbors", "dim"), [(1, 1, 1), (7, 3, 5)])
def test_what_is_saved_is_loaded(images: int, neighbors: int, dim: int, tmp_path: Path) -> None:
    """Also of one image; beside it the numbers of the images, and a report to read."""
    random = np.random.default_rng(0)
    arrays = Arrays(
        random.standard_normal((images, dim), np.float32),
        random.integers(10, size=images),
        random.integers(999, size=(images, neighbors), dtype=np.int32),
        random.integers(10, size=(images, neighbors)),
        random.standard_normal((images, neighbors), np.float32),
    )
    run, config, metrics = (
        Run(tmp_path),
        Config(dataset="digits"),
        {"1nn": 1.0, "unseen/recall@1": 0.25},
    )
    run.config_file.write_text(config.to_toml())
    facts = ("digits", "validation", "distance", (3, 7), None)
    saved = Report(run, config, *facts, metrics, arrays, gallery=50)
    save_report(saved)
    loaded = load_report(run)
    assert loaded is not None
    for name, array in vars(arrays).items():
        np.testing.assert_array_equal(getattr(loaded.arrays, name), array, strict=True)
    assert replace(loaded, per_image=None) == replace(saved, per_image=None)
    with np.load(run.embeddings_file) as file:
        np.testing.assert_array_equal(file["indices"], range(images))
    content = {
        "run": run.name,
        "dataset": "digits",
        "images": "validation",
        "similarity": "distance",
        "unseen": [3, 7],
        "checkpoint": None,
        "gallery": 50,
        "metrics": metrics,
    }
    assert run.metrics_file.read_text() == json.dumps(content, indent=2) + "\n"


def test_run_is_evaluated_with_its_views(run: Run) -> None:
    run.config_file.write_text(run.config_file.read_text().replace("views = 1", "views = 2"))
    trained = EvaluatedRun(run)
    report = trained.evaluate()
    expected, arrays = evaluate(trained.embedder, trained.dataset, 2)
    loaded = load_report(run)
    assert loaded is not None
    assert report.metrics == loaded.metrics == expected
    np.testing.assert_array_equal(loaded.arrays.embeddings, arrays.embeddings)
    assert (loaded.run, loaded.dataset, loaded.split_name) == (run, "digits", "test")


def test_evaluation_names_the_checkpoint_it_measured(run: Run) -> None:
    """Copied with other times, a run keeps its evaluation; with another checkpoint, it has none."""
    report = json.loads(run.metrics_file.read_text())
    expected = hashlib.sha256(run.checkpoint_file.read_bytes()).hexdigest()
    assert report["checkpoint"] == expected
    for file in (run.metrics_file, run.embeddings_file):
        os.utime(file, (1, 1))
    assert load_report(run) is not None
    run.checkpoint_file.write_bytes(run.checkpoint_file.read_bytes() + b"x")
    assert load_report(run) is None
    run.checkpoint_file.unlink()
    assert load_report(run) is not None


def change(run: Run) -> None:
    """Replace the checkpoint by that of another network."""
    state = load_checkpoint(run.checkpoint_file)
    for tensor in state["embedder"].values():
        if tensor.is_floating_point():
            tensor.add_(0.1)
    save_checkpoint(run.checkpoint_file, state)


def test_another_checkpoint_is_evaluated_again(run: Run) -> None:
    """The embedder of the new one, not what is kept of the old."""
    change(run)
    before = json.loads(run.metrics_file.read_text())["metrics"]
    again = EvaluatedRun(run).report
    assert again.metrics != before
    assert again.checkpoint == checksum(run.checkpoint_file)
    loaded = load_report(run)
    assert loaded is not None
    assert loaded.metrics == again.metrics


def test_network_of_another_checkpoint_than_the_report_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a training that goes on replaces the checkpoint after the report was read."""
    trained, report = EvaluatedRun(run), load_report(run)
    assert trained.report

    def gallery_and_change(of: Run) -> Gallery:
        gallery = load_gallery(of)
        monkeypatch.setattr(predict, "load_report", lambda *_, **__: report)
        change(run)
        return gallery

    monkeypatch.setattr(predict, "load_gallery", gallery_and_change)
    for load in (lambda: Predictor(run), lambda: trained.embedder):
        with pytest.raises(UserError, match="has trained on since it was evaluated: try again"):
            load()


def test_thresholds_of_another_gallery_are_not_used(run: Run) -> None:
    """As where `eval` was stopped between the gallery and the measures."""
    before, gallery = load_report(run), run.gallery_file.read_bytes()
    assert before is not None
    fewer = EvaluatedRun(run).evaluate(gallery=200)
    run.gallery_file.write_bytes(gallery)
    with pytest.raises(UserError, match=r"no thresholds of this checkpoint and gallery: `eval"):
        Predictor(run)
    subspaces, points = EvaluatedRun(run).typical
    assert points == fewer.known != before.known
    assert not np.array_equal(subspaces, load_gallery(run).subspaces)


def test_no_code_in_embeddings_runs(run: Run, tmp_path: Path) -> None:
    hostile: Any = np.array([Payload(tmp_path / "ran")], dtype=object)
    np.savez(run.embeddings_file, embeddings=hostile, labels=np.zeros(1, int))
    with pytest.raises(UserError, match="is damaged: run `eval"):
        load_report(run)
    assert not (tmp_path / "ran").exists()
    with np.load(run.embeddings_file, allow_pickle=True) as arrays:
        arrays["embeddings"]
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"embeddings": np.zeros((359, 64), np.float32)},
        {"embeddings": np.zeros((360, 0), np.float32)},
        {"labels": np.zeros(1, int)},
        {"neighbor_labels": np.zeros((359, 20), int)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_arrays_that_are_no_embeddings_are_one_line(changed: dict[str, Any], run: Run) -> None:
    with np.load(run.embeddings_file) as file:
        arrays = dict(file)
    np.savez(run.embeddings_file, **(arrays | changed))
    with pytest.raises(UserError, match=r"embeddings.npz .*is damaged: run `eval"):
        load_report(run)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"metrics": {}}', "[" * 100_000, '{"metrics": {"1nn": "x"}}'], ids=len
)
def test_metrics_that_are_none_are_one_line(content: str, run: Run) -> None:
    run.metrics_file.write_text(content)
    assert_one_line_error(invoke("plot", run.folder), "eval.json", "circlemnist eval")


def test_report_that_lacks_a_part_is_one_line(run: Run) -> None:
    report = json.loads(run.metrics_file.read_text())
    parts = ("dataset", "metrics", "images", "checkpoint")
    lacking = [{key: report[key] for key in report if key != part} for part in parts]
    for changed in (*lacking, report | {"dataset": ["cifar"]}, report | {"metrics": ["cifar"]}):
        run.metrics_file.write_text(json.dumps(changed))
        with pytest.raises(UserError, match="is damaged"):
            load_report(run)


@pytest.mark.parametrize("missing", ["embeddings.npz", "eval.json"])
def test_half_of_an_evaluation_is_none(missing: str, run: Run) -> None:
    (run.folder / missing).unlink()
    assert load_report(run) is None
