"""Circle Loss: `CircleLoss` for pair-wise labels, `ClassCircleLoss` for class-level ones.

A loss is an `nn.Module`, loss(embeddings (B, D), labels (B,)) -> (), and no more: what a training
shows of its pairs is `pair_statistics`, for whichever loss. `circle_kernel/plain.py` holds the
formula in its shortest form; the other files beside it are the same numbers faster and in less
memory. This folder imports nothing else of the package.
"""

from circlemnist.losses.circle import CircleLoss
from circlemnist.losses.class_circle import ClassCircleLoss
from circlemnist.losses.pair_statistics import PairStatistics, pair_statistics

__all__ = ["CircleLoss", "ClassCircleLoss", "PairStatistics", "pair_statistics"]
