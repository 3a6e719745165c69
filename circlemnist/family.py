"""The family of losses as the settings and the command line know it; imports nothing heavy.

`losses.LOSSES` has the losses themselves, under the same names. All of them make s_n - s_p smaller;
`gamma` is the scale and `m` the margin of whichever it is.
"""

from dataclasses import dataclass
from typing import Any

from circlemnist.limits import Limits


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter of a loss: its value unless another is given, and what it may be."""

    default: float
    limits: Limits


@dataclass(frozen=True)
class LossInfo:
    """A loss of the family.

    Attributes:
        title: its name in pictures.
        gamma, m: its hyperparameters; None for one that it does not have.
        lr: peak learning rate unless another is given.
        has_class_weights: compares with one weight a class, in place of the pairs of a batch.
        on_sphere: embeddings have unit length, and cosines compare them; elsewhere distances do.
        decreases: its value becomes smaller as it trains; a mean over what is not yet 0 need not.
        largest_batch: images of the largest batch that it takes, if there is one.
    """

    title: str
    gamma: Hyperparameter | None
    m: Hyperparameter | None
    lr: float
    has_class_weights: bool
    on_sphere: bool = True
    decreases: bool = True
    largest_batch: int | None = None

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Its hyperparameters by name, gamma first."""
        both = {"gamma": self.gamma, "m": self.m}
        return {name: own for name, own in both.items() if own is not None}


def _gamma(default: float) -> Hyperparameter:
    return Hyperparameter(default, Limits(above=0, most=1e6))


def _m(default: float, **limits: Any) -> Hyperparameter:
    return Hyperparameter(default, Limits(**limits))


CIRCLE, CIRCLE_M = "circle", 0.25
CIRCLES = (CIRCLE, "circle-class")
# gamma, m and lr: of Circle Loss those of the recipes, of the others the best of
# 20 trials on held-out training images (benchmarks/tuning.py)
FAMILY = {
    CIRCLE: LossInfo("Circle Loss", _gamma(80.0), _m(CIRCLE_M, above=-1, below=1), 0.08, False),
    "circle-class": LossInfo(
        "Circle Loss to class weights", _gamma(19.2), _m(0.077, above=-1, below=1), 0.113, True
    ),
    "triplet": LossInfo(
        "triplet loss",
        None,
        _m(0.405, above=0, most=2),
        0.69,
        False,
        decreases=False,
        largest_batch=500,
    ),
    "contrastive": LossInfo("contrastive loss", None, _m(0.402, above=-1, below=1), 0.221, False),
    "softmax": LossInfo("normalised softmax", _gamma(9.51), None, 0.473, True),
    "sphereface": LossInfo(
        "SphereFace", _gamma(8.69), _m(3.0, least=1, most=8, whole=True), 0.171, True
    ),
    "cosface": LossInfo("CosFace", _gamma(9.3), _m(0.232, least=0, below=2), 0.351, True),
    "arcface": LossInfo("ArcFace", _gamma(67.8), _m(0.578, least=0, below=3.14), 0.0397, True),
    "adacos": LossInfo("AdaCos", None, None, 0.688, True, decreases=False),
    "center": LossInfo("Center Loss", _gamma(0.000733), None, 0.101, True, on_sphere=False),
}
# settings of which each loss has its own default
LOSS_SETTINGS = ("gamma", "m", "lr")
