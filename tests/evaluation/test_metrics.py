"""The metrics against independent libraries, by cosine and by distance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from sklearn.metrics import precision_score, recall_score, roc_auc_score, roc_curve
from torch import Tensor

from circlemnist.data.datasets import SHOTS
from circlemnist.evaluation import metrics
from circlemnist.evaluation.metrics import COSINE, DISTANCE, Similarity

LARGE = 3000  # vectors, whose similarities are computed in more than one block

sizes = pytest.mark.parametrize(
    ("size", "similarity"),
    [(90, COSINE), (90, DISTANCE), (LARGE, COSINE)],
    ids=["cosine", "distance", "large"],
)
both = pytest.mark.parametrize("similarity", [COSINE, DISTANCE], ids=lambda s: s.name)


def clusters(
    n: int, seed: int, similarity: Similarity = COSINE, noise: float = 1.0, classes: int = 5
) -> tuple[Tensor, Tensor]:
    """Overlapping classes, so that no metric is 0 or 1; on the sphere for cosines."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, 8, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(classes, (n,), generator=generator)
    points = centers[labels] + noise * torch.randn(n, 8, generator=generator)
    return torch.nn.functional.normalize(points) if similarity is COSINE else points, labels


def matrix(a: Tensor, b: Tensor, similarity: Similarity) -> np.ndarray:
    a, b = a.double(), b.double()
    return (a @ b.T).numpy() if similarity is COSINE else -cdist(a, b)


@sizes
def test_neighbours_are_the_most_similar(size: int, similarity: Similarity) -> None:
    (gallery, _), (queries, _) = clusters(size, 0, similarity), clusters(size - 5, 1, similarity)
    to_others = matrix(gallery, gallery, similarity)
    np.fill_diagonal(to_others, -np.inf)
    for expected, (values, indices) in (
        (matrix(queries, gallery, similarity), metrics.nearest(queries, gallery, 7, similarity)),
        (to_others, metrics.nearest_others(gallery, 7, similarity)),
    ):
        highest = np.sort(np.partition(expected, -7)[:, -7:])[:, ::-1]
        np.testing.assert_allclose(values, highest, atol=1e-6)
        there = np.take_along_axis(expected, indices.numpy(), 1)
        np.testing.assert_allclose(there, values, atol=1e-6)
        assert (np.diff(np.sort(indices, 1)) > 0).all()


def test_class_that_no_neighbour_has_wins_no_vote() -> None:
    neighbors, labels = torch.tensor([[0, 1, 1], [1, 0, 0]]), torch.tensor([1, 9])
    assert metrics.knn_accuracy(neighbors, labels, 3) == 0.5


def test_retrieval_equals_pytorch_metric_learning() -> None:
    embeddings, labels = clusters(LARGE, 2)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    )
    expected = calculator.get_accuracy(embeddings, labels)
    ours = metrics.retrieval(embeddings, labels)
    for name, theirs in (
        ("recall@1", "precision_at_1"),
        ("r-precision", "r_precision"),
        ("map@r", "mean_average_precision_at_r"),
    ):
        assert ours[name] == pytest.approx(expected[theirs], abs=1e-6)


def retrieval_by_loop(s: np.ndarray, labels: Tensor) -> dict[str, float]:
    """One query at a time, as the docstring of `retrieval` says it."""
    result: dict[str, list[float]] = {}
    for query, label in enumerate(labels):
        others = [i for i in range(len(labels)) if i != query]
        same = [labels[i] == label for i in sorted(others, key=lambda i: -s[query, i])]
        for k in (1, 2, 4, 8):
            result.setdefault(f"recall@{k}", []).append(any(same[:k]))
        if r := sum(same):
            precisions = [sum(same[:i]) / i for i in range(1, r + 1) if same[i - 1]]
            result.setdefault("r-precision", []).append(sum(same[:r]) / r)
            result.setdefault("map@r", []).append(sum(precisions) / r)
    return {name: float(np.mean(values)) for name, values in result.items()}


@both
@pytest.mark.parametrize("size", [3, 5, 9, 10, 30])
def test_retrieval_equals_a_loop_over_queries(size: int, similarity: Similarity) -> None:
    """Of a few vectors, one of them alone in its class, and another of a pair far apart."""
    for seed in range(5):
        embeddings, labels = clusters(size, seed, similarity, noise=2.0, classes=2)
        labels[0], labels[1], embeddings[1] = 7, labels[2], -embeddings[2]
        expected = retrieval_by_loop(matrix(embeddings, embeddings, similarity), labels)
        result = metrics.retrieval(embeddings, labels, similarity)
        assert result == pytest.approx(expected, abs=1e-6)


@sizes
def test_pairs_are_each_two_once(size: int, similarity: Similarity) -> None:
    """Also where one class has nearly all vectors."""
    embeddings, labels = clusters(size, 5, similarity)
    if size == LARGE:
        labels[100:] = 3
    i, j = np.triu_indices(size, 1)
    s, same = matrix(embeddings, embeddings, similarity)[i, j], (labels[i] == labels[j]).numpy()
    pairs = metrics.pair_similarities(embeddings, labels, similarity)
    for kind, result in ((same, pairs.sp), (~same, pairs.sn)):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, np.sort(s[kind]), atol=2e-6)


def check_verification(sp: np.ndarray, sn: np.ndarray) -> None:
    """Compare with scikit-learn, the crossing with a root of its curve."""
    pairs = metrics.PairSimilarities(np.sort(sp), np.sort(sn))
    result, curve = metrics.verification(pairs), metrics.roc_curve(pairs)
    s, same = np.concatenate([sp, sn]), np.arange(len(sp) + len(sn)) < len(sp)
    false_accept, true_accept, _ = roc_curve(same, s, drop_intermediate=False)
    crossing = brentq(lambda x: 1 - np.interp(x, false_accept, true_accept) - x, 0, 1)
    expected = {
        "roc_auc": roc_auc_score(same, s),
        "eer": crossing,
        **{
            f"tar@far={rate:.0e}": true_accept[false_accept <= rate].max()
            for rate in (1e-2, 1e-3, 1e-4)
        },
        "precision@0.75": precision_score(same, s > 0.75, zero_division=0),
        "recall@0.75": recall_score(same, s > 0.75),
        "mean_sp": sp.mean(dtype=np.float64),
        "mean_sn": sn.mean(dtype=np.float64),
    }
    assert result == pytest.approx(expected, abs=1e-9)
    assert (curve.area, curve.equal_error) == (result["roc_auc"], result["eer"])
    # ascending on a log scale, from one pair of the negatives to all
    assert curve.false_accepts[[0, -1]] == pytest.approx([1 / len(sn), 1], abs=1e-15)
    np.testing.assert_allclose(np.diff(np.log(curve.false_accepts)), np.log(len(sn)) / 299)
    most = [true_accept[false_accept <= rate].max() for rate in curve.false_accepts]
    np.testing.assert_allclose(curve.true_accepts, most, atol=1e-12)

    def rejects_no_more_than_it_accepts(t: float) -> bool:
        return (sp < t).sum() * len(sn) <= (sn >= t).sum() * len(sp)

    assert curve.threshold in s
    assert rejects_no_more_than_it_accepts(curve.threshold)
    stricter = s[s > curve.threshold]
    assert not len(stricter) or not rejects_no_more_than_it_accepts(stricter.min())


@pytest.mark.parametrize("decimals", [7, 2], ids=["distinct", "with ties"])
def test_verification_equals_scikit_learn(decimals: int) -> None:
    embeddings, labels = clusters(300, 5)
    i, j = torch.triu_indices(300, 300, 1)
    s, same = (embeddings @ embeddings.T)[i, j].numpy().round(decimals), labels[i] == labels[j]
    check_verification(s[same], s[~same])


quarters = st.lists(st.integers(-4, 4), min_size=1, max_size=20)


@given(quarters, quarters)
def test_verification_of_a_few_pairs_equals_scikit_learn(sp: list[int], sn: list[int]) -> None:
    """From one pair to twenty of either kind, with ties, some at the threshold."""
    check_verification(np.array(sp, np.float32) / 4, np.array(sn, np.float32) / 4)


def test_verification_counts_whole_pairs() -> None:
    """49 · (1/49) is less than 1 in floats; still one pair of 49 may be accepted."""
    pairs = np.linspace(-0.9, 0.99, 20), np.linspace(-1, 1, 49)
    check_verification(*(side.astype(np.float32) for side in pairs))


def test_index_has_as_many_of_each_class() -> None:
    """Of a class of 20 images among thousands it has all; and 20 of the thousands."""
    labels = torch.tensor([0] * 5000 + [1] * SHOTS)
    indices = metrics.few_shot_indices(labels)
    assert len({tuple(index.tolist()) for index in indices}) == metrics.DRAWS  # each another one
    for index in indices:
        assert len(index.unique()) == len(index)
        assert torch.bincount(labels[index]).tolist() == [SHOTS, SHOTS]


def test_few_shot_tells_seen_and_unseen_apart() -> None:
    """The only query of an unseen class lies among the images of the other."""
    labels = torch.tensor([0, 1] * SHOTS)
    queries = (torch.eye(2)[[0, 0, 0, 0]], torch.tensor([0, 0, 0, 1]))
    result = metrics.few_shot(queries, (torch.eye(2)[labels], labels), queries[1] == 1)
    assert result == {"few-shot/all": 0.75, "few-shot/seen": 1.0, "few-shot/unseen": 0.0}


scores = st.lists(st.integers(-20, 20), min_size=1, max_size=60)


@given(scores, scores)
def test_rejection_against_another_hand(seen: list[int], unseen: list[int]) -> None:
    similarities = torch.tensor([*seen, *unseen]) / 20
    is_unseen = torch.tensor([False] * len(seen) + [True] * len(unseen))
    result = metrics.rejection(similarities, is_unseen)
    assert result["rejection/roc_auc"] == pytest.approx(roc_auc_score(~is_unseen, similarities))
    # the strictest of all thresholds that accept enough
    rates = [(np.mean(np.array(seen) >= t), np.mean(np.array(unseen) >= t)) for t in range(-20, 21)]
    least = min(falsely for truly, falsely in rates if truly >= 0.95 - 1e-12)
    assert result["rejection/fpr@tpr=0.95"] == pytest.approx(least)
