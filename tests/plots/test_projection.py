"""Embeddings as points in the plane or in space; those of a run, computed once and kept."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.report import save_report
from circlemnist.explorer.page import space_of
from circlemnist.models.embedder import build_embedder
from circlemnist.plots import projection
from circlemnist.plots.projection import project, project_frames, project_run
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.plots.figures import cloud

METHODS = ["tsne", pytest.param("umap", marks=pytest.mark.slow), "pca"]


def apart(points: np.ndarray) -> np.ndarray:
    """Distances (N, N) to the other points, and none to itself."""
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    return distances


@pytest.mark.parametrize("method", METHODS)
def test_projection_repeats_and_keeps_classes_apart(method: str) -> None:
    embeddings, labels = cloud(16)
    points, how = project(embeddings, method, seed=0)
    assert points.shape == (200, 2)
    assert "16-D" in how
    np.testing.assert_array_equal(points, project(embeddings, method, seed=0)[0])
    assert (labels[apart(points).argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_points_of_a_movie_do_not_jump(method: str) -> None:
    """Between looks at a space that changes a little, points move a little, and classes stay."""
    embeddings, labels = cloud(16)
    noise = np.random.default_rng(1).normal(size=embeddings.shape)
    times = np.stack([embeddings + size * noise for size in (0.2, 0.15, 0.1, 0.05, 0)])
    times = (times / np.linalg.norm(times, axis=2, keepdims=True)).astype(np.float32)
    frames, how = project_frames(times, method, 0)
    assert frames.shape == (5, 200, 2)
    assert "16-D" in how
    width = np.ptp(frames[-1], axis=0).max()
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=2)
    assert np.median(steps, axis=1).max() < 0.1 * width
    assert (labels[apart(frames[-1]).argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_few_dimensions_are_not_projected(dim: int) -> None:
    embeddings, _ = cloud(dim)
    points, how = project(embeddings, "tsne", 0)
    np.testing.assert_array_equal(points[:, :dim], embeddings)
    assert how == f"{dim}-D"


def test_nearest_are_by_distance_off_the_sphere() -> None:
    """A ray, whose points differ in length alone, and so in no cosine."""
    noise = np.random.default_rng(0).normal(size=(100, 1)) / 9
    lengths = np.repeat([1.0, 40.0], 50)[:, None] + noise
    embeddings = (lengths * np.eye(8)[0]).astype(np.float32)
    points, _ = project(embeddings, "tsne", seed=0, native=2)
    assert ((apart(points).argmin(1) < 50) == (np.arange(100) < 50)).mean() > 0.95


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The method of each projection that is computed; a quick one stands in for it."""
    methods: list[str] = []

    def quick(embeddings: np.ndarray, method: str, seed: int, native: int) -> tuple[object, str]:
        methods.append(method)
        return embeddings[:, :2] + len(methods), "t-SNE of 8-D"

    monkeypatch.setattr(projection, "project", quick)
    return methods


def points_of(run: Run, method: str = "tsne") -> np.ndarray:
    trained = EvaluatedRun(run)
    return project_run(trained, trained.report.arrays.embeddings, method)[0]


def test_pictures_of_a_run_share_one_projection(copy: Run, computed: list[str]) -> None:
    picture = copy.folder / "a.png"
    assert invoke("plot", copy.folder, "--out", picture).exit_code == 0
    first = picture.read_bytes()
    assert invoke("plot", copy.folder, "--theme", "dark", "--width", 300).exit_code == 0
    assert invoke("plot", copy.folder, "--out", picture).exit_code == 0
    trained = EvaluatedRun(copy)
    trained.embedder = build_embedder(trained.config)
    space_of(trained, "tsne")  # of the page
    assert computed == ["tsne"]
    assert picture.read_bytes() == first


def test_points_are_those_of_the_first_time_and_words_too(copy: Run) -> None:
    trained = EvaluatedRun(copy)
    embeddings = trained.report.arrays.embeddings
    (points, how), (again, the_same) = (project_run(trained, embeddings, "tsne") for _ in range(2))
    assert how == the_same == "t-SNE of 8-D"
    np.testing.assert_array_equal(again, points)
    with np.load(copy.folder / "projection-tsne.npz") as file:
        np.testing.assert_array_equal(file["points"], points)


def test_another_method_seed_or_checkpoint_is_another_projection(
    copy: Run, computed: list[str]
) -> None:
    for method in ("tsne", "pca") * 2:
        points_of(copy, method)
    assert computed == ["tsne", "pca", "pca"]  # PCA is not stored
    settings, report = copy.config_file.read_text(), EvaluatedRun(copy).report
    mirrored = replace(report.arrays, embeddings=-report.arrays.embeddings)
    for change in (
        lambda: copy.config_file.write_text(settings.replace("seed = 13", "seed = 4")),
        lambda: save_report(replace(report, per_image=mirrored)),
    ):
        change()
        computed.clear()
        points_of(copy)
        points_of(copy)
        assert computed == ["tsne"]


@pytest.mark.parametrize("fault", ["cut", "noise", "empty", "folder"])
def test_damaged_projection_is_computed_again(fault: str, copy: Run, computed: list[str]) -> None:
    """And each time where it cannot be stored, as where a folder has its name."""
    good, path = points_of(copy), copy.folder / "projection-tsne.npz"
    if fault == "folder":
        path.unlink()
        path.mkdir()
    else:
        damage = {"cut": path.read_bytes()[:1000], "noise": b"\x00 noise", "empty": b""}
        path.write_bytes(damage[fault])
    first, second = points_of(copy), points_of(copy)
    np.testing.assert_allclose(first, good + 1, rtol=1e-5)
    np.testing.assert_allclose(second, good + (2 if fault == "folder" else 1), rtol=1e-5)
