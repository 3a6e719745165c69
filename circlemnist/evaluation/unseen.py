"""What an embedding makes of classes that it was not trained on.

Beside retrieval and verification among the unseen classes by themselves: how well few labelled
images of all classes tell all of them apart, and how well an image shows that its class is not in
the gallery.
"""

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

    The same at every call; what is in none of them need not be embedded.
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
    """Return 1-NN against an index of `SHOTS` images of each class, the mean of `DRAWS` of them.

    As the notebook of TensorFlow Similarity does: the index has seen and unseen classes alike.

    Args:
        queries: embeddings (Q, D) float and labels (Q,) int64, of all classes.
        pool: the same of the images that an index is drawn from, `SHOTS` a class or more; those
            that are not of `few_shot_indices` are not looked at.
        unseen: (Q,) bool, the queries of unseen classes; some are, and some are not.

    Returns:
        The accuracy on all queries, and of either kind; the same at every call.
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
    """Return metrics of "is its class in the gallery?" by how alike the nearest gallery image is.

    Args:
        similarities: (Q,) float, of each query to the nearest of the gallery, which has seen
            classes alone.
        unseen: (Q,) bool, the queries of other classes; some are, and some are not.

    Returns:
        The area under the ROC curve of accepting the seen; and the share of the unseen that a
        threshold accepts which accepts `KNOWN_ACCEPTED` of the seen, or more.
    """
    seen_scores, unseen_scores = (
        np.sort(similarities[chosen].float().cpu().numpy()) for chosen in (~unseen, unseen)
    )
    threshold = seen_scores[int((1 - KNOWN_ACCEPTED) * len(seen_scores) + 1e-9)]
    return {
        "rejection/roc_auc": roc_curve(PairSimilarities(seen_scores, unseen_scores)).area,
        f"rejection/fpr@tpr={KNOWN_ACCEPTED:g}": float((unseen_scores >= threshold).mean()),
    }
