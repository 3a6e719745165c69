"""Deep metric learning with Circle Loss on MNIST.

The public names are the losses, what takes them over many processes, the statistics of their pairs,
`train`, which trains a run, and `load`, which opens one; importing the package alone imports no
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from circlemnist.process import share_cores

if TYPE_CHECKING:
    from circlemnist.api import train
    from circlemnist.evaluation.predict import load
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
    "train",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'circlemnist' has no attribute {name!r}")
    if name == "train":
        share_cores()
    homes = {"train": "circlemnist.api", "load": "circlemnist.evaluation.predict"}
    return getattr(import_module(homes.get(name, "circlemnist.losses")), name)
