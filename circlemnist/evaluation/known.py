"""Known or unknown: how typical an image is of a class, and thresholds on that.

An embedding distinguishes the classes, but not a letter from a digit; the last convolution still
does. The features of a class lie close to a linear subspace of few dimensions. An image is as
typical of the class as the cosine of its features to that subspace: the subspace method of Watanabe
et al., "Evaluation and Selection of Variables in Pattern Recognition", 1967.

Thresholds are calibrated on training images that the subspaces were not fitted to, and on
`mixed_halves` of them. Of unseen digits fewer are accepted: a share to the power of `HARDER`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import halves
from circlemnist.evaluation.report import OperatingPoint
from circlemnist.models.embedder import BLOCK, Embedder, embed

DIMENSIONS = 64  # of a subspace, at most
SHARE = 8  # one dimension for as many features, at most
MOST_ROWS = 6400  # of all subspaces together
MOST_WHOLE = 60_000
RATES = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
VALIDATION, MOST = 6, 5000  # one of so many training images, and no more than that
HARDER = 1.5
FEWEST = 5  # images that a threshold accepts, so that its rate is more than chance


def embed_with_features(
    embedder: Embedder, images: Tensor, views: int = 1
) -> tuple[Tensor, Tensor]:
    """Embed images as `embed` does, and return the features of the last convolution, too.

    Args:
        images: (N, 28, 28) uint8, on the device of the embedder.
        views: of each image, as for `embed`; the features are of the image itself.

    Returns:
        Embeddings (N, D) float32; and features (N, F) float32, of more than `MOST_WHOLE` images
        float16, unit rows, ahead of the ReLU.
    """
    embeddings, outputs = list[Tensor](), list[Tensor]()
    features, end = torch.empty(0), 0

    def keep(_layer: object, _inputs: object, output: Tensor) -> None:
        outputs.append(F.normalize(output.flatten(1)))  # the ReLU after it works in place

    with up_to_last_convolution(embedder)[-1].register_forward_hook(keep):
        for block in images.split(BLOCK):
            embeddings.append(embed(embedder, block, views))
            start, end, part = end, end + len(block), outputs[0]
            if start == 0:  # hundreds of megabytes, which no list holds beside them
                dtype = torch.float16 if len(images) > MOST_WHOLE else part.dtype
                features = part.new_empty(len(images), part.shape[1], dtype=dtype)
            features[start:end] = part
            outputs.clear()
    return torch.cat(embeddings), features


def class_subspaces(features: Tensor, labels: Tensor, classes: int) -> NDArray[np.float16]:
    """Return the directions in which most of the features of each class lie.

    Args:
        features: (N, F) float, unit rows.
        labels: (N,) int64; -1 of those to leave out.
        classes: how many there are.

    Returns:
        (C, K, F) float16, orthonormal rows; 0 where a class has no images, or fewer than K.
    """
    width = features.shape[1]
    count = max(1, min(DIMENSIONS, width // SHARE, MOST_ROWS // classes))
    bases = torch.zeros(classes, count, width)
    for label in labels[labels >= 0].unique().tolist():
        rows = features[labels == label].float().cpu().nan_to_num()  # of a network that diverged
        known = min(count, len(rows))
        if len(rows) < width:
            bases[label, :known] = torch.linalg.svd(rows, full_matrices=False).Vh[:known]
        else:  # in less time than the singular vectors
            bases[label, :known] = torch.linalg.eigh(rows.T @ rows).eigenvectors.T.flip(0)[:known]
    return bases.numpy().astype(np.float16)


def typicality(features: Tensor, subspaces: NDArray[np.float16]) -> Tensor:
    """Return how typical features (N, F) are of each class, (N, C) float32 in 0-1, on the CPU."""
    bases = torch.from_numpy(subspaces).float()
    along = features.float().cpu() @ bases.flatten(0, 1).T  # (N, C·K)
    cosines: Tensor = along.unflatten(1, bases.shape[:2]).norm(dim=2).clamp(max=1)
    return cosines


def up_to_last_convolution(embedder: Embedder) -> nn.Sequential:
    """Return the layers ahead of the ReLU of the last convolution, (B, 1, 28, 28) to (B, ...)."""
    layers = list(embedder.layers.children())
    last = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    relus = [place for place, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    return nn.Sequential(*layers[: next(place for place in relus if place > last)])


def validation(labels: Tensor) -> Tensor:
    """Return which training images (N,) bool thresholds are taken on: of no class all of them."""
    count = len(labels)
    chosen = torch.arange(count) % max(VALIDATION, -(-count // MOST)) == 0
    return chosen & torch.isin(labels.cpu(), labels.cpu()[~chosen])


def mixed_halves(images: Split) -> Tensor:
    """Return two halves of these images as one, (N, 28, 28); none where all are of one class."""
    if len(images.labels.unique()) < 2:
        return images.images[:0]
    return halves(images, 0, 0).images


def operating_points(known: Tensor, unknown: Tensor) -> tuple[OperatingPoint, ...]:
    """Return the threshold for each of `RATES` that the images support, and what it gets wrong.

    Args:
        known: (N,) float, how typical validation images are of any class.
        unknown: (M,) float, the same of mixed halves.
    """
    points = []
    for rate in RATES:
        share = rate ** (1 / HARDER)
        if share * len(unknown) < FEWEST:
            continue
        bound = threshold(unknown, share)
        accepted = float((unknown > bound).double().mean()) ** HARDER
        rejected = float((known <= bound).double().mean())
        points.append(OperatingPoint(rate, bound, accepted, rejected))
    if not points:  # too few images to tell known from unknown: all are known
        points.append(OperatingPoint(RATES[-1], 0.0, 1.0, 0.0))
    return tuple(points)


def threshold(unknown: Tensor, false_accept_rate: float) -> float:
    """Return the least score that no more than that share of the unknown (N,) is above."""
    scores = unknown.sort().values
    allowed = min(int(false_accept_rate * len(scores) + 1e-9), len(scores) - 1)
    return float(scores[len(scores) - 1 - allowed])
