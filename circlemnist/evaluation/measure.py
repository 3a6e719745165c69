"""Embed the splits of a data set and measure the embedding of the test split."""

import torch.nn.functional as F

from circlemnist.data.datasets import Dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.results import Arrays
from circlemnist.evaluation.similarity import COSINE, Similarity
from circlemnist.models.embedder import Embedder, embed

NEIGHBORS = 20
COSINE_MEASURES = ("precision@0.75", "recall@0.75", "mean_sp", "mean_sn")


def measure(
    embedder: Embedder, dataset: Dataset, views: int = 1, similarity: Similarity = COSINE
) -> tuple[dict[str, float], Arrays]:
    """Measure the test split: against the training split as gallery, and within itself.

    Args:
        embedder: on the device to compute on.
        views: of each image, as for `embed`.
        similarity: how embeddings are compared; `COSINE_MEASURES` are of cosines always.

    Returns:
        Name → value, shares as 0-1, and what is kept of each image.
    """
    device = embedder.mean.device
    gallery = embed(embedder, dataset.train.images.to(device), views)
    queries = embed(embedder, dataset.test.images.to(device), views)
    if device.type == "mps":  # which has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    similarities, neighbors = metrics.nearest(queries, gallery, NEIGHBORS, similarity)
    of_neighbors = train.labels[neighbors]
    measures = {
        "1nn": metrics.knn_accuracy(of_neighbors, test.labels, k=1),
        "20nn": metrics.knn_accuracy(of_neighbors, test.labels, k=NEIGHBORS),
        "centroid": metrics.centroid_accuracy(queries, test.labels, gallery, train.labels),
        **metrics.retrieval(queries, test.labels, similarity),
        **metrics.verification(metrics.pair_similarities(queries, test.labels, similarity)),
    }
    if similarity is not COSINE:
        cosines = metrics.pair_similarities(F.normalize(queries), test.labels)
        by_cosine = metrics.verification(cosines)
        measures |= {name: by_cosine[name] for name in COSINE_MEASURES}
    return measures, Arrays(
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
        neighbors.int().cpu().numpy(),
        of_neighbors.cpu().numpy(),
        similarities.float().cpu().numpy(),
    )
