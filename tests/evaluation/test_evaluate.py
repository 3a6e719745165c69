"""From the images of both splits to the measures of a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.models.embedder import build_embedder, embed


@pytest.mark.parametrize("views", [{}, {"views": 3}], ids=["one view", "three views"])
def test_measures_are_those_of_the_embedded_splits(views: dict[str, int]) -> None:
    whole = load_dataset("digits", Path())
    train = Split(whole.train.images[:300], whole.train.labels[:300])
    test = Split(whole.test.images[:90], whole.test.labels[:90])
    embedder = build_embedder(Config(net="tiny", dim=8))
    found, arrays = evaluate(embedder, Dataset("digits", train, test), **views)

    gallery, queries = (embed(embedder, split.images, **views) for split in (train, test))
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
    assert found == pytest.approx(
        {**expected, **metrics.retrieval(queries, test.labels), **metrics.verification(pairs)}
    )

    arrays.check()
    distances, neighbors = references["20nn"].kneighbors(queries.double())
    np.testing.assert_array_equal(arrays.embeddings, queries)
    np.testing.assert_array_equal(arrays.labels, test.labels)
    np.testing.assert_array_equal(arrays.neighbors, neighbors)
    np.testing.assert_array_equal(arrays.neighbor_labels, train.labels[torch.tensor(neighbors)])
    np.testing.assert_allclose(arrays.neighbor_similarities, 1 - distances, atol=1e-6)
    kinds = [array.dtype for array in vars(arrays).values()]
    assert kinds == [np.float32, np.int64, np.int32, np.int64, np.float32]
