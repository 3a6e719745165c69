"""Embeddings as points in the plane or in space."""

import sys
from types import ModuleType

import numpy as np
import pytest
from openTSNE import TSNE
from sklearn.datasets import load_digits

from circlemnist.errors import UserError
from circlemnist.plots.projection import project, project_frames
from tests.plots.figures import cloud


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow), "pca"])
def test_projection_repeats_and_keeps_classes_apart(method: str) -> None:
    embeddings, labels = cloud(16)
    points, how = project(embeddings, method, seed=0)
    assert points.shape == (200, 2)
    assert "16-D" in how
    np.testing.assert_array_equal(points, project(embeddings, method, seed=0)[0])
    nearest = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (labels[nearest.argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow), "pca"])
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
    nearest = np.linalg.norm(frames[-1][:, None] - frames[-1], axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (labels[nearest.argmin(1)] == labels).mean() > 0.8


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_few_dimensions_are_not_projected(dim: int) -> None:
    embeddings, _ = cloud(dim)
    points, how = project(embeddings, "tsne", 0)
    np.testing.assert_array_equal(points[:, :dim], embeddings)
    assert how == f"{dim}-D"


def test_nearest_are_by_distance_off_the_sphere() -> None:
    """A ray, whose points differ in length alone, and so in no cosine."""
    lengths = (
        np.repeat([1.0, 40.0], 50)[:, None] + np.random.default_rng(0).normal(size=(100, 1)) / 9
    )
    embeddings = (lengths * np.eye(8)[0]).astype(np.float32)
    points, _ = project(embeddings, "tsne", seed=0, native=2)
    nearest = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert ((nearest.argmin(1) < 50) == (np.arange(100) < 50)).mean() > 0.95


def test_as_many_neighbours_stay_near_as_in_the_layout_of_the_library() -> None:
    embeddings = load_digits().data.astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)

    def near(points: np.ndarray) -> np.ndarray:
        apart = np.linalg.norm(points[:, None] - points, axis=2)
        np.fill_diagonal(apart, np.inf)
        found = np.zeros(apart.shape, bool)
        np.put_along_axis(found, apart.argpartition(10, axis=1)[:, :10], True, axis=1)
        return found

    wanted = near(embeddings)
    ours, theirs = (
        (near(points) & wanted).mean()
        for points in (
            project(embeddings, "tsne", seed=0)[0],
            np.asarray(TSNE(random_state=0, neighbors="exact").fit(embeddings)),
        )
    )
    assert ours > 0.98 * theirs


def test_umap_that_cannot_keep_what_it_compiles_says_where_it_could(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Locked(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("cannot cache function 'rdist': no locator available")

    monkeypatch.setitem(sys.modules, "umap", Locked("umap"))
    with pytest.raises(UserError, match="no locator available; set NUMBA_CACHE_DIR"):
        project(np.eye(20, dtype=np.float32), "umap", 0)
