"""From the images of both splits to the metrics of a run, also of classes that it leaves out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.evaluation.metrics import COSINE, DISTANCE, Similarity
from circlemnist.models.embedder import build_embedder, embed


@pytest.mark.parametrize("views", [1, 3])
def test_metrics_are_those_of_the_embedded_splits(views: int) -> None:
    whole = load_dataset("digits", Path())
    train, test = (split.where(torch.arange(300)) for split in (whole.train, whole.test))
    embedder = build_embedder(Config(net="tiny", dim=8))
    result, arrays = evaluate(embedder, Dataset("digits", train, test), views)

    gallery, queries = (embed(embedder, split.images, views) for split in (train, test))
    references = {
        "1nn": KNeighborsClassifier(1, metric="cosine"),
        "20nn": KNeighborsClassifier(20, metric="cosine"),
        "centroid": NearestCentroid(),
    }
    expected = {
        name: reference.fit(gallery.double(), train.labels).score(queries.double(), test.labels)
        for name, reference in references.items()
    }
    pairs = metrics.pair_similarities(queries, test.labels)
    assert result == pytest.approx(
        {**expected, **metrics.retrieval(queries, test.labels), **metrics.verification(pairs)}
    )

    distances, neighbors = references["20nn"].kneighbors(queries.double())
    np.testing.assert_array_equal(arrays.embeddings, queries)
    np.testing.assert_array_equal(arrays.labels, test.labels)
    np.testing.assert_array_equal(arrays.neighbors, neighbors)
    np.testing.assert_array_equal(arrays.neighbor_labels, train.labels[torch.tensor(neighbors)])
    np.testing.assert_allclose(arrays.neighbor_similarities, 1 - distances, atol=1e-6)
    kinds = [array.dtype for array in vars(arrays).values()]
    assert kinds == [np.float32, np.int64, np.int32, np.int64, np.float32]


@pytest.mark.parametrize("similarity", [COSINE, DISTANCE], ids=["cosine", "distance"])
def test_seen_classes_are_evaluated_as_if_there_were_no_others(similarity: Similarity) -> None:
    whole = load_dataset("digits", Path())
    embedder = build_embedder(Config(net="tiny", dim=8, loss="center"))
    embedder.on_sphere = similarity is COSINE
    of_train, unseen = (
        torch.isin(split.labels, torch.tensor([2, 7, 9])) for split in (whole.train, whole.test)
    )
    alone = Dataset("digits", whole.train.where(~of_train), whole.test.where(~unseen))
    expected, _ = evaluate(embedder, alone, 1, similarity)
    result, arrays = evaluate(embedder, whole.leave_out((2, 7, 9)), 1, similarity)
    assert {name: result[name] for name in expected} == pytest.approx(expected)

    queries, labels = embed(embedder, whole.test.images), whole.test.labels
    within = metrics.retrieval(queries[unseen], labels[unseen], similarity)
    pairs = metrics.pair_similarities(queries[unseen], labels[unseen], similarity)
    verified = metrics.verification(pairs)
    within |= {name: verified[name] for name in ("roc_auc", "eer", "tar@far=1e-02")}
    assert {name: result[f"unseen/{name}"] for name in within} == pytest.approx(within)

    # every image is kept, with its neighbours among the images of seen classes
    np.testing.assert_array_equal(arrays.labels, labels)
    neighbors = torch.from_numpy(arrays.neighbors).long()
    np.testing.assert_array_equal(arrays.neighbor_labels, alone.train.labels[neighbors])
    pool = embed(embedder, whole.train.images), whole.train.labels
    nearest = torch.from_numpy(arrays.neighbor_similarities[:, 0])
    more = metrics.few_shot((queries, labels), pool, unseen, similarity)
    more |= metrics.rejection(nearest, unseen)
    assert {name: result[name] for name in more} == pytest.approx(more)
