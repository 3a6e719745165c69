"""Metrics of classes that an embedding was not trained on: few-shot accuracy, and rejection."""

import numpy as np
import torch
from torch import Tensor

from circlemnist.data.datasets import SHOTS
from circlemnist.evaluation import metrics
from circlemnist.evaluation.metrics import COSINE, Similarity

DRAWS = 20
KNOWN_ACCEPTED = 0.95


def few_shot_indices(labels: Tensor) -> Tensor:
    """Return the images of each index, (DRAWS, C·SHOTS), of a pool with these labels (N,)."""
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

    As in the notebook of TensorFlow Similarity, the index has seen and unseen classes. Queries and
    pool are embeddings and labels; of the pool only `few_shot_indices` are used. `unseen` (Q,) are
    the queries of unseen classes, not none and not all.
    """
    (embeddings, labels), (gallery, gallery_labels) = queries, pool
    correct = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    for index in few_shot_indices(gallery_labels):
        _, neighbors = metrics.nearest(embeddings, gallery[index], 1, similarity)
        correct += gallery_labels[index][neighbors[:, 0]] == labels
    correct /= DRAWS
    parts = {"all": correct, "seen": correct[~unseen], "unseen": correct[unseen]}
    return {f"few-shot/{name}": float(shares.mean()) for name, shares in parts.items()}


def rejection(similarities: Tensor, unseen: Tensor) -> dict[str, float]:
    """Return metrics of "is its class in the gallery?" by the similarity of the nearest image.

    They are the area under the ROC curve of accepting the seen (Q,), and the false-accept rate of
    the unseen at the threshold that accepts `KNOWN_ACCEPTED` of the seen.
    """
    seen_scores, unseen_scores = (
        np.sort(similarities[chosen].float().cpu().numpy()) for chosen in (~unseen, unseen)
    )
    threshold = seen_scores[int((1 - KNOWN_ACCEPTED) * len(seen_scores) + 1e-9)]
    scores = metrics.PairSimilarities(seen_scores, unseen_scores)
    return {
        "rejection/roc_auc": metrics.roc_curve(scores).area,
        f"rejection/fpr@tpr={KNOWN_ACCEPTED:g}": float((unseen_scores >= threshold).mean()),
    }
