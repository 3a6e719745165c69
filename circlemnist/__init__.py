"""Deep metric learning with Circle Loss on MNIST.

The public names are the losses and the statistics of their pairs; importing the package alone
imports no torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circlemnist.losses import (
        AdaCosLoss,
        CenterLoss,
        CircleLoss,
        ClassCircleLoss,
        PairStatistics,
        pair_statistics,
    )

__version__ = "0.1.0"
__all__ = [
    "AdaCosLoss",
    "CenterLoss",
    "CircleLoss",
    "ClassCircleLoss",
    "PairStatistics",
    "__version__",
    "pair_statistics",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from circlemnist import losses

        return getattr(losses, name)
    raise AttributeError(f"module 'circlemnist' has no attribute {name!r}")
