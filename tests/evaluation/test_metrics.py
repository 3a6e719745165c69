"""Each measure against an independent library."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from sklearn.metrics import precision_score, recall_score, roc_auc_score, roc_curve
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors
from torch import Tensor

from circlemnist.evaluation import metrics


def clusters(n: int, seed: int, noise: float = 1.0, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Overlapping classes on the sphere, so that no measure is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, 8, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(classes, (n,), generator=generator)
    points = centers[labels] + noise * torch.randn(n, 8, generator=generator)
    return torch.nn.functional.normalize(points), labels


@pytest.fixture(params=[2**24, 700], ids=["one block", "many blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_equals_scikit_learn(k: int) -> None:
    (gallery, of), (queries, labels) = clusters(400, 0), clusters(150, 1)
    neighbors = of[metrics.nearest(queries, gallery, k=20)[1]]
    reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(gallery, of)
    expected = reference.score(queries, labels)
    assert 0.3 < expected < 0.99
    assert metrics.knn_accuracy(neighbors, labels, k) == pytest.approx(expected, abs=1e-12)


def test_centroid_equals_scikit_learn() -> None:
    (gallery, of), (queries, labels) = clusters(400, 0), clusters(150, 1)
    expected = NearestCentroid().fit(gallery, of).score(queries, labels)
    assert metrics.centroid_accuracy(queries, labels, gallery, of) == pytest.approx(expected)


@pytest.mark.usefixtures("_blocks")
def test_retrieval_equals_pytorch_metric_learning() -> None:
    embeddings, labels = clusters(300, 2)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    )
    expected = calculator.get_accuracy(embeddings, labels)
    found = metrics.retrieval(embeddings, labels)
    assert found["recall@1"] == pytest.approx(expected["precision_at_1"], abs=1e-6)
    assert found["r-precision"] == pytest.approx(expected["r_precision"], abs=1e-6)
    assert found["map@r"] == pytest.approx(expected["mean_average_precision_at_r"], abs=1e-6)


def test_recall_at_k_equals_scikit_learns_neighbours() -> None:
    embeddings, labels = clusters(300, 3, noise=2.0)
    nearest = NearestNeighbors(n_neighbors=9, metric="cosine").fit(embeddings)
    like = labels[nearest.kneighbors(embeddings)[1][:, 1:]] == labels[:, None]
    found = metrics.retrieval(embeddings, labels)
    for k in (1, 2, 4, 8):
        assert found[f"recall@{k}"] == pytest.approx(like[:, :k].any(1).double().mean().item())


def test_class_of_one_is_left_out_of_precision_at_r() -> None:
    embeddings, labels = clusters(60, 4)
    alone = torch.cat([labels, torch.tensor([7])])
    found = metrics.retrieval(torch.cat([embeddings, -embeddings[:1]]), alone)
    assert np.isfinite(found["map@r"])
    assert found["recall@1"] < metrics.retrieval(embeddings, labels)["recall@1"]


def all_pairs(embeddings: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    i, j = torch.triu_indices(len(labels), len(labels), 1)
    same = (labels[i] == labels[j]).numpy()
    return (embeddings @ embeddings.T)[i, j].numpy(), same


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("decimals", [None, 2], ids=["distinct", "with ties"])
def test_verification_equals_scikit_learn(decimals: int | None) -> None:
    embeddings, labels = clusters(300, 5)
    s, same = all_pairs(embeddings, labels)
    pairs = metrics.pair_similarities(embeddings, labels)
    np.testing.assert_allclose(pairs.sp, np.sort(s[same]), atol=1e-6)
    np.testing.assert_allclose(pairs.sn, np.sort(s[~same]), atol=1e-6)
    if decimals is not None:
        s = s.round(decimals)
    found = metrics.verification(metrics.PairSimilarities(np.sort(s[same]), np.sort(s[~same])))
    assert found["roc_auc"] == pytest.approx(roc_auc_score(same, s), abs=1e-12)
    false_accept, true_accept, _ = roc_curve(same, s, drop_intermediate=False)
    for rate in (1e-2, 1e-3, 1e-4):
        expected = true_accept[false_accept <= rate].max()
        assert found[f"tar@far={rate:.0e}"] == pytest.approx(expected, abs=1e-12)
    position = np.linspace(0, 1, 2_000_001)
    gap = 1 - np.interp(position, false_accept, true_accept) - position
    assert found["eer"] == pytest.approx(position[np.abs(gap).argmin()], abs=1e-6)
    assert found["precision@0.75"] == pytest.approx(precision_score(same, s > 0.75))
    assert found["recall@0.75"] == pytest.approx(recall_score(same, s > 0.75))
    assert found["mean_sp"] == pytest.approx(s[same].mean(), abs=1e-6)
    assert found["mean_sn"] == pytest.approx(s[~same].mean(), abs=1e-6)


def test_perfectly_separated_pairs_have_no_errors() -> None:
    sp, sn = np.array([0.5, 0.9], np.float32), np.array([-0.1, 0.2], np.float32)
    found = metrics.verification(metrics.PairSimilarities(sp, sn))
    assert (found["roc_auc"], found["eer"], found["tar@far=1e-04"]) == (1, 0, 1)


def test_rate_where_no_threshold_is_stricter() -> None:
    """All pairs have the highest cosine: accept all or none, and half of each is the crossing."""
    one = np.ones(2, np.float32)
    found = metrics.verification(metrics.PairSimilarities(one, one))
    assert found["eer"] == pytest.approx(0.5)
    assert found["roc_auc"] == pytest.approx(0.5)
