"""The losses of the family that pytorch-metric-learning has, with the names and units of theirs.

Each function returns a module, loss(embeddings (B, D), labels (B,) int64) -> (), on cosines. A
gamma is a scale and an m a margin, as the papers write them. The options of all of them:
`normalize=False` takes embeddings as they are, for those that have unit length already, and class
weights too; `reduction="sum"` adds what "mean" divides; another one is a ValueError.
"""

import math
from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    CosFaceLoss,
    NormalizedSoftmaxLoss,
    SphereFaceLoss,
    TripletMarginLoss,
)
from pytorch_metric_learning.reducers import SumReducer
from torch import Tensor, nn

from circlemnist.losses.inputs import check_embeddings, class_inputs, compute_dtype

# the arc cosine is infinitely steep at 1, where float32 puts an embedding on its class weight
STEEP = 1e-6


def triplet(m: float, **options: Any) -> nn.Module:
    """[s_n - s_p + m]_+, 0 < m <= 2: the mean over all triplets of the batch that are not 0.

    Schroff et al., "FaceNet", CVPR 2015, on cosines. L / gamma of the unified loss (Eq. 1 of Circle
    Loss) tends to the hardest triplet alone. 0 for a batch without triplets.
    """
    return _Triplet(m, **_options(**options))


def contrastive(m: float, **options: Any) -> nn.Module:
    """1 - s_p over the positive pairs, [s_n - m]_+ over the negative ones, the two means added.

    Each mean is over the pairs not at 0. The terms are those of torch.nn.CosineEmbeddingLoss, which
    takes one mean over all pairs. Hadsell et al., "Dimensionality Reduction by Learning an
    Invariant Mapping", CVPR 2006, take squared distances.
    """
    return _Contrastive(pos_margin=1.0, neg_margin=m, **_options(**options))


def softmax(num_classes: int, embedding_dim: int, gamma: float, **options: Any) -> nn.Module:
    """Cross-entropy of gamma cos(theta): Zhai & Wu, "Classification is a Strong Baseline", 2019.

    The class weights, `W` (D, C), are normalised whatever `normalize` says.
    """
    return _Softmax(num_classes, embedding_dim, 1 / gamma, **_options(**options))


def sphereface(
    num_classes: int, embedding_dim: int, gamma: float, m: float, **options: Any
) -> nn.Module:
    """Cross-entropy of gamma psi(theta), psi(theta) = (-1)^k cos(m theta) - 2k for the own class.

    Liu et al., "SphereFace", CVPR 2017, Eq. 7, with a scale in place of the length that an
    embedding has there, and without the annealing. k is the whole number with theta in
    [k pi / m, (k + 1) pi / m].

    Raises:
        ValueError: m is no whole number >= 1.
    """
    if m != int(m) or m < 1:
        raise ValueError(f"m is a whole number of at least 1, not {m}")
    return _SphereFace(num_classes, embedding_dim, int(m), scale=gamma, **_options(**options))


def cosface(
    num_classes: int, embedding_dim: int, gamma: float, m: float, **options: Any
) -> nn.Module:
    """Cross-entropy of gamma (s - m) for the own class and gamma s for the others.

    Wang et al., "CosFace", CVPR 2018, Eq. 4, which is AM-Softmax.
    """
    return _CosFace(num_classes, embedding_dim, margin=m, scale=gamma, **_options(**options))


def arcface(
    num_classes: int, embedding_dim: int, gamma: float, m: float, **options: Any
) -> nn.Module:
    """Cross-entropy of gamma cos(theta + m) for the own class, m in radians.

    Deng et al., "ArcFace", CVPR 2019, Eq. 3.
    """
    return _ArcFace(num_classes, embedding_dim, math.degrees(m), scale=gamma, **_options(**options))


def _options(reduction: str = "mean", normalize: bool = True) -> dict[str, Any]:
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")
    distance = CosineSimilarity()
    distance.normalize_embeddings = normalize
    return {"distance": distance, "reducer": SumReducer() if reduction == "sum" else None}


class _Careful(nn.Module):
    """What every loss of the family promises, over one of the library's, which comes after it."""

    def forward(self, embeddings: Tensor, labels: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The loss of a batch, and more where the library's takes more.

        Args:
            embeddings: (B, D) of any float dtype, computed in float32, or float64 where they or the
                class weights are, also under autocast; B may be 0, which gives 0.
            labels: (B,) of any integer dtype; of a loss with class weights a class.

        Returns:
            () tensor, NaN where an embedding is not finite.

        Raises:
            TypeError, ValueError: for dtypes, shapes, lengths or labels that do not fit.
        """
        check_embeddings(embeddings, labels)
        weights = list(self.parameters())
        embeddings, labels = embeddings.to(compute_dtype(embeddings, *weights)), labels.long()
        for weight in weights:
            embeddings, labels = class_inputs(embeddings, labels, weight.T)
        if len(embeddings) == 0:
            return 0 * sum((weight.sum() for weight in weights), embeddings.sum())
        with torch.autocast(embeddings.device.type, enabled=False):
            value: Tensor = super().forward(embeddings, labels, *args, **kwargs)
        return value + (0 * embeddings.detach()).sum()  # a mean over pairs leaves out what is NaN


class _Triplet(_Careful, TripletMarginLoss):  # type: ignore[misc]
    pass


class _Contrastive(_Careful, ContrastiveLoss):  # type: ignore[misc]
    pass


class _Softmax(_Careful, NormalizedSoftmaxLoss):  # type: ignore[misc]
    pass


class _CosFace(_Careful, CosFaceLoss):  # type: ignore[misc]
    pass


class _SphereFace(_Careful, SphereFaceLoss):  # type: ignore[misc]
    """With no other scale than its own."""

    scale: float

    def scale_logits(self, logits: Tensor, embeddings: Tensor) -> Tensor:
        scaled: Tensor = logits * self.scale
        return scaled


class _ArcFace(_Careful, ArcFaceLoss):  # type: ignore[misc]
    """With a finite gradient where an embedding lies on its class weight."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        inside = cosine_of_target_classes.clamp(STEEP - 1, 1 - STEEP)
        angles: Tensor = super().get_angles(inside)
        return angles
