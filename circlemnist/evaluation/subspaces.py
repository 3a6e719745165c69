"""How typical an image is of a class: by the features of an earlier layer than the embedding.

An embedding keeps what tells the classes apart, and forgets what would tell a letter from a digit;
the last convolution has it still. The features of a class lie close to a linear subspace of few
dimensions, and how typical of it an image is, is the cosine of its features to that subspace: the
subspace method of Watanabe et al., "Evaluation and Selection of Variables in Pattern Recognition",
1967.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from circlemnist.config import CLASSES
from circlemnist.models.embedder import BLOCK, Embedder

DIMENSIONS = 32  # of a subspace, at most
SHARE = 8  # one dimension for as many features, at most
FITTED_TO = 10_000  # training images, the first ones


def features(embedder: Embedder, images: Tensor) -> Tensor:
    """Return what the last convolution makes of images, ahead of its ReLU, in eval mode.

    Args:
        images: (N, 28, 28) uint8, on the device of the embedder.

    Returns:
        (N, F) float32, unit rows.
    """
    layers = up_to_last_convolution(embedder)
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        found = [
            F.normalize(layers((block[:, None].float() / 255 - embedder.mean) / embedder.std))
            for block in images.split(BLOCK)
        ]
    embedder.train(training)
    return torch.cat(found)


def class_subspaces(features: Tensor, labels: Tensor) -> NDArray[np.float16]:
    """Return the directions in which most of the features of each class lie.

    Args:
        features: (N, F) float, unit rows.
        labels: (N,) int64.

    Returns:
        (C, K, F) float16, orthonormal rows; 0 where a class has no images, or fewer than K.
    """
    width = features.shape[1]
    count = max(1, min(DIMENSIONS, width // SHARE))
    found = torch.zeros(CLASSES, count, width)
    for label in labels.unique().tolist():
        rows = features[labels == label].float().cpu().nan_to_num()  # of a network that diverged
        directions = torch.linalg.svd(rows, full_matrices=False).Vh[:count]
        found[label, : len(directions)] = directions
    return found.numpy().astype(np.float16)


def typicality(features: Tensor, subspaces: NDArray[np.float16]) -> Tensor:
    """Return how typical features (N, F) are of each class, (N, C) float32 in 0-1, on the CPU."""
    bases = torch.from_numpy(subspaces).float()
    along = features.float().cpu() @ bases.flatten(0, 1).T  # (N, C·K)
    found: Tensor = along.unflatten(1, bases.shape[:2]).norm(dim=2).clamp(max=1)
    return found


def up_to_last_convolution(embedder: Embedder) -> nn.Sequential:
    """Return the layers ahead of the ReLU of the last convolution, (B, 1, 28, 28) to (B, F)."""
    layers = list(embedder.layers.children())
    last = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    end = next(
        (last + after for after, layer in enumerate(layers[last:]) if isinstance(layer, nn.ReLU)),
        len(layers),
    )
    return nn.Sequential(*layers[:end], nn.Flatten())
