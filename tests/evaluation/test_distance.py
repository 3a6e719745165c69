"""Embeddings off the sphere are measured by the Euclidean distance."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize

from circlemnist.evaluation import metrics
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import COSINE, DISTANCE
from circlemnist.runs.run import Run
from tests.conftest import invoke
from tests.plots.figures import drawn, words


def cloud(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Classes that lie behind one another on the same rays, so that cosines cannot tell them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 6
    rays = torch.eye(3)[labels % 3] * (1 + 4 * (labels // 3)[:, None])
    return rays + 0.7 * torch.randn(n, 3, generator=generator), labels


@pytest.mark.parametrize("elements", [2**24, 700, 1])
def test_neighbors_equal_scikit_learn(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", elements)
    (gallery, of), (queries, labels) = cloud(300, 0), cloud(100, 1)
    near, indices = metrics.nearest(queries, gallery, 5, DISTANCE)
    distances, expected = NearestNeighbors(n_neighbors=5).fit(gallery).kneighbors(queries)
    np.testing.assert_allclose(-near, distances, atol=1e-6)
    assert (indices.numpy() == expected).mean() > 0.99
    score = KNeighborsClassifier(5).fit(gallery, of).score(queries, labels)
    assert metrics.knn_accuracy(of[indices], labels, 5) == pytest.approx(score, abs=0.011)
    by_cosine = metrics.nearest(normalize(queries), normalize(gallery), 5)[1]
    assert metrics.knn_accuracy(of[by_cosine], labels, 5) < score - 0.1


@pytest.mark.parametrize("elements", [2**24, 700, 1])
def test_verification_and_retrieval_are_by_distance(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", elements)
    points, labels = cloud(120, 2)
    distances = torch.cdist(points.double(), points.double())
    rows, columns = torch.triu_indices(120, 120, 1)
    alike = labels[rows] == labels[columns]
    found = metrics.verification(metrics.pair_similarities(points, labels, DISTANCE))
    expected = roc_auc_score(alike, -distances[rows, columns])
    assert found["roc_auc"] == pytest.approx(expected, abs=1e-5)
    nearest = distances.fill_diagonal_(torch.inf).argmin(1)
    recall = (labels[nearest] == labels).double().mean().item()
    assert metrics.retrieval(points, labels, DISTANCE)["recall@1"] == pytest.approx(recall)


def test_on_the_sphere_both_agree_on_who_is_nearest() -> None:
    points = normalize(cloud(200, 3)[0])
    by_cosine = metrics.nearest_others(points, 3, COSINE)[1]
    assert (by_cosine == metrics.nearest_others(points, 3, DISTANCE)[1]).float().mean() > 0.99


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
    alike = (labels[:, None] == labels)[pairs]
    cosines = (unit @ unit.T)[pairs]
    assert report["metrics"]["mean_sp"] == pytest.approx(cosines[alike].mean(), abs=1e-5)
    assert report["metrics"]["mean_sn"] == pytest.approx(cosines[~alike].mean(), abs=1e-5)
    accepted = cosines > 0.75
    share = (alike & accepted).sum() / accepted.sum()
    assert report["metrics"]["precision@0.75"] == pytest.approx(share, abs=1e-4)


def test_pictures_are_by_distance_and_show_the_centres(star: Path) -> None:
    trained = EvaluatedRun(Run(star))
    metrics_of = trained.report.metrics
    figure = drawn("embedding", trained)
    (cross,) = (line for line in figure.axes[0].lines if line.get_label() == "centres")
    np.testing.assert_array_equal(np.stack(cross.get_data(), 1), trained.centers)
    assert "centres" in words(figure)
    pairs = drawn("similarities", trained)
    assert {"distance of a pair"} <= words(pairs)
    rate = f"equal error rate {100 * metrics_of['eer']:.2f} %"
    assert rate in words(pairs)
    low, high = pairs.axes[0].get_xlim()
    assert low == 0
    assert high > 1
    (line,) = pairs.axes[0].lines
    (threshold, _) = line.get_xdata()
    assert 0 < threshold < high
    assert f"equal errors at {threshold:.2f}" in words(pairs)
    near = words(drawn("neighbors", trained))
    assert any("the nearest by distance" in text for text in near)
    measures = [float(text.split("  ")[1]) for text in near if "  " in text]
    assert len(measures) > 10
    assert min(measures) >= 0
    assert any("outside the line" in text for text in words(drawn("circle", trained)))


def test_three_dimensions_off_the_sphere_are_projected(tmp_path: Path) -> None:
    args = ("--loss", "center", "--dim", 3, "--net", "tiny", "--dataset", "digits", "--epochs", 1)
    run = ("--quiet", "--outputs", tmp_path, "--name", "run")
    assert invoke("train", *args, *run).exit_code == 0
    figure = drawn("embedding", EvaluatedRun(Run(tmp_path / "run")))
    assert "PCA of 3-D" in figure.get_suptitle()
