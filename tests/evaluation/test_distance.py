"""A run whose embeddings are off the sphere is evaluated and drawn by distance."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.projection import native_dimensions, project
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.plots.figures import drawn, words


@pytest.fixture(scope="module")
def star(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of Center Loss in the plane, with snapshots."""
    outputs = tmp_path_factory.mktemp("outputs")
    args = ("--loss", "center", "--dim", 2, "--hidden-layers", 1, "--net", "tiny", "--snapshots")
    more = ("--dataset", "digits", "--epochs", 6, "--outputs", outputs, "--name", "star")
    result = invoke("train", *args, *more, "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("digits, 360 test images, by distance, run star\n")
    return outputs / "star"


def test_evaluation_says_by_what(star: Path) -> None:
    report = json.loads((star / "eval.json").read_text())
    assert report["similarity"] == "distance"
    with np.load(star / "embeddings.npz") as arrays:
        points, labels = arrays["embeddings"].astype(float), arrays["labels"]
        near = arrays["neighbor_similarities"]
    assert np.linalg.norm(points, axis=1).std() > 0.1
    assert (np.diff(near, axis=1) <= 0).all()
    assert near.max() <= 0
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    pairs = np.triu_indices(360, 1)
    same = (labels[:, None] == labels)[pairs]
    cosines = (unit @ unit.T)[pairs]
    assert report["metrics"]["mean_sp"] == pytest.approx(cosines[same].mean(), abs=1e-5)
    assert report["metrics"]["mean_sn"] == pytest.approx(cosines[~same].mean(), abs=1e-5)
    accepted = cosines > 0.75
    share = (same & accepted).sum() / accepted.sum()
    assert report["metrics"]["precision@0.75"] == pytest.approx(share, abs=1e-4)


def test_predict_prints_a_distance(star: Path, tmp_path: Path) -> None:
    Image.fromarray(load_dataset("digits", Path()).test.images[0].numpy()).save(tmp_path / "a.png")
    line = invoke("predict", star, tmp_path / "a.png", "--as-is").stdout
    with np.load(star / "embeddings.npz") as arrays:
        distance = -arrays["neighbor_similarities"][0, 0]
    assert f"  distance {distance:.3f}  " in line


def test_pictures_are_by_distance_and_show_the_centres(star: Path) -> None:
    trained = EvaluatedRun(Run(star))
    figure = drawn("embedding", trained)
    (cross,) = figure.findobj(lambda artist: artist.get_label() == "centres" and artist.axes)
    np.testing.assert_array_equal(np.stack(cross.get_data(), 1), trained.centers)
    assert "centres" in words(figure)
    pairs = words(drawn("similarities", trained))
    assert "distance of a pair" in pairs
    assert f"equal error rate {100 * trained.report.metrics['eer']:.2f} %" in pairs
    (threshold,) = (text for text in pairs if text.startswith("equal errors at "))
    assert float(threshold.split()[-1]) > 0
    near = words(drawn("neighbors", trained))
    assert any("the nearest by distance" in text for text in near)
    distances = [float(text.split("  ")[1]) for text in near if "  " in text]
    assert len(distances) > 10
    assert min(distances) >= 0
    assert any("no boundary" in text for text in words(drawn("circle", trained)))


def test_three_dimensions_off_the_sphere_are_projected() -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 3))
    for loss, expected in (("center", "PCA of 3-D"), ("circle", "3-D")):
        native = native_dimensions(Config(loss=loss, dim=3))
        assert project(embeddings, "pca", 0, native)[1] == expected
