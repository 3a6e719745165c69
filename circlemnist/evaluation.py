"""Embed the splits of a data set and measure the embedding of the test split."""

import torch
from torch import Tensor

from circlemnist import metrics
from circlemnist.data import Dataset, Split
from circlemnist.model import Embedder
from circlemnist.results import Evaluation

BATCH = 500


def embed(embedder: Embedder, split: Split) -> Tensor:
    """Return the embeddings (N, D) float32 of a split that lies on the embedder's device."""
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        embeddings = torch.cat(
            [embedder(block[:, None].float() / 255) for block in split.images.split(BATCH)]
        )
    embedder.train(training)
    return embeddings


def measure(run: str, embedder: Embedder, dataset: Dataset) -> Evaluation:
    """Measure the test split: against the training split as gallery, and within itself.

    Args:
        run: name of the run, which the result carries.
        embedder: on the device to compute on.
    """
    device = embedder.mean.device
    gallery = embed(embedder, dataset.train.to(device))
    queries = embed(embedder, dataset.test.to(device))
    if device.type == "mps":  # which has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    neighbors = metrics.neighbor_labels(queries, gallery, train.labels, k=20)
    measures = {
        "1nn": metrics.knn_accuracy(neighbors, test.labels, k=1),
        "20nn": metrics.knn_accuracy(neighbors, test.labels, k=20),
        "centroid": metrics.centroid_accuracy(queries, test.labels, gallery, train.labels),
        **metrics.retrieval(queries, test.labels),
        **metrics.verification(metrics.pair_similarities(queries, test.labels)),
    }
    return Evaluation(
        run,
        dataset.name,
        dataset.measured,
        measures,
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
    )
