"""Deep metric learning with Circle Loss on MNIST.

The public names are the losses, what takes them over many processes, the statistics of their pairs,
and `load`, which opens a trained run; importing the package alone imports no torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circlemnist.evaluation.loaded import load
    from circlemnist.losses import (
        AdaCosLoss,
        CenterLoss,
        CircleLoss,
        ClassCircleLoss,
        GatheredLoss,
        PairStatistics,
        References,
        gather_references,
        pair_statistics,
    )

__version__ = "0.1.0"
__all__ = [
    "AdaCosLoss",
    "CenterLoss",
    "CircleLoss",
    "ClassCircleLoss",
    "GatheredLoss",
    "PairStatistics",
    "References",
    "__version__",
    "gather_references",
    "load",
    "pair_statistics",
]


def __getattr__(name: str) -> object:
    if name == "load":
        from circlemnist.evaluation.loaded import load

        return load
    if name in __all__:
        from circlemnist import losses

        return getattr(losses, name)
    raise AttributeError(f"module 'circlemnist' has no attribute {name!r}")
