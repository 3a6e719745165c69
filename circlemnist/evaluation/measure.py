"""Embed the splits of a data set and measure the embedding of the test split."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.data.datasets import Dataset
from circlemnist.evaluation import metrics
from circlemnist.evaluation.results import Arrays
from circlemnist.evaluation.similarity import COSINE, Similarity
from circlemnist.evaluation.unseen import drawn, few_shot, rejection
from circlemnist.models.embedder import Embedder, embed

NEIGHBORS = 20
COSINE_MEASURES = ("precision@0.75", "recall@0.75", "mean_sp", "mean_sn")


class Embedded(NamedTuple):
    """Embeddings of the training split, (G, D) float, and of the test split, (Q, D)."""

    gallery: Tensor
    queries: Tensor


def measure(
    embedder: Embedder,
    dataset: Dataset,
    views: int = 1,
    similarity: Similarity = COSINE,
    embedded: Embedded | None = None,
) -> tuple[dict[str, float], Arrays]:
    """Measure the test split: against the training split as gallery, and within itself.

    Where classes are unseen, all this is of the images of the others; of the unseen there are
    the measures within themselves, as `unseen/…`, and those of `few_shot` and `rejection`.

    Args:
        embedder: on the device to compute on.
        views: of each image, as for `embed`.
        similarity: how embeddings are compared; `COSINE_MEASURES` are of cosines always.
        embedded: both splits, where they are already.

    Returns:
        Name → value, shares as 0-1, and what is kept of each image.
    """
    device = embedder.mean.device
    gallery, queries = embedded or (
        embed(embedder, split.images.to(device), views) for split in (dataset.train, dataset.test)
    )
    if device.type == "mps":  # which has no float64
        gallery, queries = gallery.cpu(), queries.cpu()
    train, test = dataset.train.to(gallery.device), dataset.test.to(queries.device)
    similarities, neighbors = metrics.nearest(queries, gallery, NEIGHBORS, similarity)
    of_neighbors = train.labels[neighbors]
    arrays = Arrays(
        queries.cpu().numpy(),
        test.labels.cpu().numpy(),
        neighbors.int().cpu().numpy(),
        of_neighbors.cpu().numpy(),
        similarities.float().cpu().numpy(),
    )
    labels, unseen = test.labels, torch.zeros(len(test), dtype=torch.bool, device=queries.device)
    beyond: dict[str, float] = {}
    if dataset.unseen is not None:
        others = dataset.unseen.to(gallery.device)
        unseen = torch.isin(labels, others.labels)
        of_pool = torch.cat([train.labels, others.labels])
        # of the many images of unseen classes, those alone that an index takes
        taken = drawn(of_pool).unique() - len(train)
        taken = taken[taken >= 0]
        beside = gallery.new_zeros(len(others), gallery.shape[1])
        beside[taken] = embed(embedder, others.images[taken].to(device), views).to(gallery.device)
        pool = torch.cat([gallery, beside]), of_pool
        within = within_itself(queries[unseen], labels[unseen], similarity)
        beyond = {f"unseen/{name}": value for name, value in within.items()}
        beyond |= few_shot((queries, labels), pool, unseen, similarity)
        beyond |= rejection(similarities[:, 0], unseen)
    queries, labels, of_neighbors = queries[~unseen], labels[~unseen], of_neighbors[~unseen]
    measures = {
        "1nn": metrics.knn_accuracy(of_neighbors, labels, k=1),
        "20nn": metrics.knn_accuracy(of_neighbors, labels, k=NEIGHBORS),
        "centroid": metrics.centroid_accuracy(queries, labels, gallery, train.labels),
        **within_itself(queries, labels, similarity),
        **beyond,
    }
    return measures, arrays


def within_itself(queries: Tensor, labels: Tensor, similarity: Similarity) -> dict[str, float]:
    """Measure retrieval and verification within one set: embeddings (N, D) and labels (N,)."""
    measures = {
        **metrics.retrieval(queries, labels, similarity),
        **metrics.verification(metrics.pair_similarities(queries, labels, similarity)),
    }
    if similarity is not COSINE:
        cosines = metrics.pair_similarities(F.normalize(queries), labels)
        by_cosine = metrics.verification(cosines)
        measures |= {name: by_cosine[name] for name in COSINE_MEASURES}
    return measures
