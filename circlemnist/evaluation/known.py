"""Whether an image is of a known class: how alike it must be to the nearest image of one."""

import math

import torch
from torch import Tensor

from circlemnist.evaluation.metrics import blocks
from circlemnist.evaluation.similarity import COSINE, Similarity


def leave_one_class_out(
    embeddings: Tensor, labels: Tensor, similarity: Similarity = COSINE
) -> Tensor:
    """Return how alike each image is to the nearest of another class, as if its own were unknown.

    Args:
        embeddings: (N, D) float, of images that the network was not trained on.
        labels: (N,) int64, of two classes or more.

    Returns:
        (N,) float.
    """
    found = []
    for start, block in blocks(embeddings, len(embeddings)):
        s = similarity.between(block, embeddings)
        s[labels[start : start + len(block), None] == labels] = -math.inf
        found.append(s.max(1).values)
    return torch.cat(found)


def threshold(impostors: Tensor, false_accept_rate: float) -> float:
    """Return the least similarity that accepts no more than that share of the impostors (N,).

    An image is accepted where it is as alike as this, or more.
    """
    scores = impostors.double().sort().values
    refused = scores[len(scores) - 1 - int(false_accept_rate * len(scores) + 1e-9)]
    return math.nextafter(float(refused), math.inf)
