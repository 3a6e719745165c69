"""Embed the splits of a data set and measure the embedding of the test split."""

from circlemnist.data.datasets import Dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.results import Arrays
from circlemnist.models.embedder import Embedder, embed

NEIGHBORS = 20


def measure(
    embedder: Embedder, dataset: Dataset, views: int = 1
) -> tuple[dict[str, float], Arrays]:
    """Measure the test split: against the training split as gallery, and within itself.

    Args:
        embedder: on the device to compute on.
        views: of each image, as for `embed`.

    Returns:
        Name → value, shares as 0-1, and what is kept of each image.
    """
    device = embedder.mean.device
    gallery = embed(embedder, dataset.train.images.to(device), views)
    queries = embed(embedder, dataset.test.images.to(device), views)
    if device.type == "mps":  # which has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    cosines, neighbors = metrics.nearest(queries, gallery, NEIGHBORS)
    of_neighbors = train.labels[neighbors]
    measures = {
        "1nn": metrics.knn_accuracy(of_neighbors, test.labels, k=1),
        "20nn": metrics.knn_accuracy(of_neighbors, test.labels, k=NEIGHBORS),
        "centroid": metrics.centroid_accuracy(queries, test.labels, gallery, train.labels),
        **metrics.retrieval(queries, test.labels),
        **metrics.verification(metrics.pair_similarities(queries, test.labels)),
    }
    return measures, Arrays(
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
        neighbors.int().cpu().numpy(),
        of_neighbors.cpu().numpy(),
        cosines.float().cpu().numpy(),
    )
