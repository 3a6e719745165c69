"""Classes left out of training are evaluated by themselves, and the others without them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from circlemnist.config import Config
from circlemnist.data.datasets import SHOTS, Dataset, Split, load_dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.evaluation.metrics import (
    COSINE,
    DISTANCE,
    DRAWS,
    Similarity,
    few_shot,
    few_shot_indices,
    rejection,
)
from circlemnist.models.embedder import build_embedder, embed

UNSEEN = (2, 7, 9)


def only(split: Split, classes: tuple[int, ...]) -> Split:
    return split.where(torch.isin(split.labels, torch.tensor(classes)))


@pytest.mark.parametrize("similarity", [COSINE, DISTANCE], ids=["cosine", "distance"])
def test_seen_classes_are_evaluated_as_if_there_were_no_others(similarity: Similarity) -> None:
    whole = load_dataset("digits", Path())
    embedder = build_embedder(Config(net="tiny", dim=8, loss="center"))
    embedder.on_sphere = similarity is COSINE
    seen = tuple(label for label in range(10) if label not in UNSEEN)
    alone = Dataset("digits", only(whole.train, seen), only(whole.test, seen))
    expected, _ = evaluate(embedder, alone, similarity=similarity)
    found, arrays = evaluate(embedder, whole.leave_out(UNSEEN), similarity=similarity)
    assert {name: found[name] for name in expected} == pytest.approx(expected)

    others = only(whole.test, UNSEEN)
    embeddings = embed(embedder, others.images)
    within = metrics.retrieval(embeddings, others.labels, similarity)
    assert {name: found[f"unseen/{name}"] for name in within} == pytest.approx(within)
    pairs = metrics.pair_similarities(embeddings, others.labels, similarity)
    for name in ("roc_auc", "eer", "tar@far=1e-02"):
        assert found[f"unseen/{name}"] == pytest.approx(metrics.verification(pairs)[name])

    # every image is kept, with its neighbours among the images of seen classes
    np.testing.assert_array_equal(arrays.labels, whole.test.labels)
    assert not np.isin(arrays.neighbor_labels, UNSEEN).any()
    np.testing.assert_array_equal(
        arrays.neighbor_labels, alone.train.labels[torch.from_numpy(arrays.neighbors).long()]
    )
    unseen = torch.isin(whole.test.labels, torch.tensor(UNSEEN))
    queries = embed(embedder, whole.test.images), whole.test.labels
    pool = embed(embedder, whole.train.images), whole.train.labels
    nearest = torch.from_numpy(arrays.neighbor_similarities[:, 0])
    more = few_shot(queries, pool, unseen, similarity) | rejection(nearest, unseen)
    assert {name: found[name] for name in more} == pytest.approx(more)


def test_few_shot_is_the_mean_of_1_nn_over_draws_of_an_index() -> None:
    """Within what twenty draws differ by from five hundred by another hand."""
    generator = torch.Generator().manual_seed(1)
    labels, of = (torch.randint(10, (count,), generator=generator) for count in (300, 900))
    centers = torch.nn.functional.normalize(torch.randn(10, 6, generator=generator))
    queries, pool = (
        torch.nn.functional.normalize(
            centers[classes] + 0.4 * torch.randn(len(classes), 6, generator=generator)
        )
        for classes in (labels, of)
    )
    unseen = torch.isin(labels, torch.tensor(UNSEEN))
    found = few_shot((queries, labels), (pool, of), unseen)
    random, shares = np.random.default_rng(5), []
    cosines = (queries.double() @ pool.double().T).numpy()
    for _ in range(500):
        index = np.concatenate(
            [random.choice(np.flatnonzero(of == c), SHOTS, replace=False) for c in range(10)]
        )
        correct = of[index[cosines[:, index].argmax(1)]] == labels
        shares.append(
            [part.double().mean() for part in (correct, correct[~unseen], correct[unseen])]
        )
    for name, values in zip(("all", "seen", "unseen"), np.array(shares).T, strict=True):
        error = values.std() * (1 / 20 + 1 / 500) ** 0.5
        assert abs(found[f"few-shot/{name}"] - values.mean()) < 4 * error
    assert found == few_shot((queries, labels), (pool, of), unseen)
    assert 0.3 < found["few-shot/all"] < 0.95


def test_index_has_as_many_of_each_class() -> None:
    """Of a class of 20 images among thousands it has all; and 20 of the thousands."""
    labels = torch.tensor([0] * 5000 + [1] * SHOTS)
    indices = few_shot_indices(labels)
    assert len(indices) == DRAWS
    for index in indices:
        assert len(index.unique()) == len(index)
        assert torch.bincount(labels[index]).tolist() == [SHOTS, SHOTS]


def test_few_shot_tells_seen_and_unseen_apart() -> None:
    """The only query of an unseen class lies among the images of the other."""
    labels = torch.tensor([0, 1] * SHOTS)
    queries = (torch.eye(2)[[0, 0, 0, 0]], torch.tensor([0, 0, 0, 1]))
    found = few_shot(queries, (torch.eye(2)[labels], labels), queries[1] == 1)
    assert found == {"few-shot/all": 0.75, "few-shot/seen": 1.0, "few-shot/unseen": 0.0}


scores = st.lists(st.integers(-20, 20), min_size=1, max_size=60)


@given(scores, scores)
def test_rejection_against_another_hand(seen: list[int], unseen: list[int]) -> None:
    similarities = torch.tensor([*seen, *unseen]) / 20
    of_unseen = torch.tensor([False] * len(seen) + [True] * len(unseen))
    found = rejection(similarities, of_unseen)
    assert found["rejection/roc_auc"] == pytest.approx(roc_auc_score(~of_unseen, similarities))
    # the strictest of all thresholds that accept enough
    rates = [(np.mean(np.array(seen) >= t), np.mean(np.array(unseen) >= t)) for t in range(-20, 21)]
    least = min(falsely for truly, falsely in rates if truly >= 0.95 - 1e-12)
    assert found["rejection/fpr@tpr=0.95"] == pytest.approx(least)


def test_evaluation_of_a_run_names_its_unseen_classes(unseen_run: Path) -> None:
    report = json.loads((unseen_run / "eval.json").read_text())
    assert report["unseen"] == [0, 3, 8]
    assert {"unseen/map@r", "unseen/tar@far=1e-04", "few-shot/unseen"} < set(report["metrics"])
