"""Metrics of classes that an embedding was not trained on: few-shot accuracy, and rejection."""

import numpy as np
import torch
from torch import Tensor

from circlemnist.data.datasets import SHOTS
from circlemnist.evaluation.metrics import (
    COSINE,
    PairSimilarities,
    Similarity,
    nearest,
    roc_curve,
)

DRAWS = 20
KNOWN_ACCEPTED = 0.95


def few_shot_indices(labels: Tensor) -> Tensor:
    """Return the images of each index, (DRAWS, C·SHOTS) int64, of a pool with these labels (N,).

    The same at every call; images that are in no index need not be embedded.
    """
    generator = torch.Generator().manual_seed(0)
    places = [(labels == label).nonzero()[:, 0].cpu() for label in labels.unique()]
    indices = [
        torch.cat(
            [place[torch.randperm(len(place), generator=generator)[:SHOTS]] for place in places]
        )
        for _ in range(DRAWS)
    ]
    return torch.stack(indices).to(labels.device)


def few_shot(
    queries: tuple[Tensor, Tensor],
    pool: tuple[Tensor, Tensor],
    unseen: Tensor,
    similarity: Similarity = COSINE,
) -> dict[str, float]:
    """Return 1-NN accuracy against an index of `SHOTS` images a class, mean of `DRAWS` indices.

    As in the notebook of TensorFlow Similarity, the index has seen and unseen classes.

    Args:
        queries: embeddings (Q, D) float and labels (Q,) int64, of all classes.
        pool: the same of the images that an index is drawn from, `SHOTS` a class or more; only
            those of `few_shot_indices` are used.
        unseen: (Q,) bool, the queries of unseen classes, not none and not all.

    Returns:
        The accuracy on all queries, on the seen and on the unseen; the same at every call.
    """
    (embeddings, labels), (gallery, gallery_labels) = queries, pool
    correct = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    for index in few_shot_indices(gallery_labels):
        _, neighbors = nearest(embeddings, gallery[index], 1, similarity)
        correct += gallery_labels[index][neighbors[:, 0]] == labels
    correct /= DRAWS
    parts = {"all": correct, "seen": correct[~unseen], "unseen": correct[unseen]}
    return {f"few-shot/{name}": float(shares.mean()) for name, shares in parts.items()}


def rejection(similarities: Tensor, unseen: Tensor) -> dict[str, float]:
    """Return metrics of "is its class in the gallery?" by the similarity of the nearest image.

    Args:
        similarities: (Q,) float, of each query to the nearest image of the gallery of seen classes.
        unseen: (Q,) bool, the queries of unseen classes, not none and not all.

    Returns:
        The area under the ROC curve of accepting the seen; and the false-accept rate of the unseen
        at the threshold that accepts `KNOWN_ACCEPTED` of the seen.
    """
    seen_scores, unseen_scores = (
        np.sort(similarities[chosen].float().cpu().numpy()) for chosen in (~unseen, unseen)
    )
    threshold = seen_scores[int((1 - KNOWN_ACCEPTED) * len(seen_scores) + 1e-9)]
    return {
        "rejection/roc_auc": roc_curve(PairSimilarities(seen_scores, unseen_scores)).area,
        f"rejection/fpr@tpr={KNOWN_ACCEPTED:g}": float((unseen_scores >= threshold).mean()),
    }
