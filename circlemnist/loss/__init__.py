"""Circle Loss: `CircleLoss` for pair-wise labels, `ClassCircleLoss` for class-level ones.

`plain.py` holds the formula in its shortest form; the other files are the same numbers faster and
in less memory. This folder imports torch and nothing else of the package.
"""

from circlemnist.loss.circle import CircleLoss, ClassCircleLoss
from circlemnist.loss.statistics import PairStatistics

__all__ = ["CircleLoss", "ClassCircleLoss", "PairStatistics"]
