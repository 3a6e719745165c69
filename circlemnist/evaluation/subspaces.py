"""How typical an image is of a class: by the features of an earlier layer than the embedding.

An embedding keeps what tells the classes apart, and forgets what would tell a letter from a digit;
the last convolution has it still. The features of a class lie close to a linear subspace of few
dimensions, and how typical of it an image is, is the cosine of its features to that subspace: the
subspace method of Watanabe et al., "Evaluation and Selection of Variables in Pattern Recognition",
1967.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from circlemnist.config import CLASSES
from circlemnist.models.embedder import BLOCK, Embedder, embed

DIMENSIONS = 64  # of a subspace, at most
SHARE = 8  # one dimension for as many features, at most


def embed_with_features(
    embedder: Embedder, images: Tensor, views: int = 1
) -> tuple[Tensor, Tensor]:
    """Embed images as `embed` does, and return what the last convolution makes of them on the way.

    Args:
        images: (N, 28, 28) uint8, on the device of the embedder.
        views: of each image, as for `embed`; the features are of the image itself.

    Returns:
        Embeddings (N, D) float32; and features (N, F) float32, unit rows, ahead of the ReLU.
    """
    embeddings, features = [], []
    for block in images.split(BLOCK):
        of_views: list[Tensor] = []
        with up_to_last_convolution(embedder)[-1].register_forward_hook(_kept(of_views)):
            embeddings.append(embed(embedder, block, views))
        features.append(of_views[0])
    return torch.cat(embeddings), torch.cat(features)


def _kept(found: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    """Keep what a layer gives, at unit length: the ReLU after it works in place."""
    return lambda _layer, _given, output: found.append(F.normalize(output.flatten(1)))


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
        known = min(count, len(rows))
        # of more rows than columns, in less time than their singular vectors
        found[label, :known] = torch.linalg.eigh(rows.T @ rows).eigenvectors.T.flip(0)[:known]
    return found.numpy().astype(np.float16)


def typicality(features: Tensor, subspaces: NDArray[np.float16]) -> Tensor:
    """Return how typical features (N, F) are of each class, (N, C) float32 in 0-1, on the CPU."""
    bases = torch.from_numpy(subspaces).float()
    along = features.float().cpu() @ bases.flatten(0, 1).T  # (N, C·K)
    found: Tensor = along.unflatten(1, bases.shape[:2]).norm(dim=2).clamp(max=1)
    return found


def up_to_last_convolution(embedder: Embedder) -> nn.Sequential:
    """Return the layers ahead of the ReLU of the last convolution, (B, 1, 28, 28) to (B, ...)."""
    layers = list(embedder.layers.children())
    last = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    end = next(
        (last + after for after, layer in enumerate(layers[last:]) if isinstance(layer, nn.ReLU)),
        len(layers),
    )
    return nn.Sequential(*layers[:end])
