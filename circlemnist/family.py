"""The family of losses as the settings and the command line know it; imports nothing heavy.

`losses.LOSSES` has the losses themselves, under the same names. Most of them make s_n - s_p
smaller; `gamma` is the scale and `m` the margin of whichever it is.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from circlemnist.limits import Limits


class Hyperparameter(NamedTuple):
    """A hyperparameter of a loss: its default, and its limits."""

    default: float
    limits: Limits


@dataclass(frozen=True)
class LossInfo:
    """A loss of the family.

    Attributes:
        title: its name in pictures.
        hyperparameters: by name, gamma first.
        lr, weight_decay: defaults of the peak learning rate and of the weight decay.
        has_class_weights: compares with one weight a class, in place of the pairs of a batch.
        on_sphere: embeddings have unit length, and cosines compare them; elsewhere distances do.
        decreases: its value becomes smaller as it trains; a mean over what is not yet 0 need not.
        largest_batch: images of the largest batch that it takes, if there is one.
    """

    title: str
    hyperparameters: dict[str, Hyperparameter]
    lr: float
    has_class_weights: bool
    on_sphere: bool = True
    decreases: bool = True
    largest_batch: int | None = None
    weight_decay: float = 1e-3


def _gamma(default: float) -> dict[str, Hyperparameter]:
    return {"gamma": Hyperparameter(default, Limits(above=0, most=1e6))}


def _m(default: float, **limits: Any) -> dict[str, Hyperparameter]:
    return {"m": Hyperparameter(default, Limits(**limits))}


CIRCLE, CIRCLE_M = "circle", 0.25
CIRCLES = (CIRCLE, "circle-class")
# gamma, m and lr: of Circle Loss those of the recipes, of the others the best of
# 20 trials by 1-NN on validation images; docs/protocol.md declares a better choice
FAMILY = {
    CIRCLE: LossInfo("Circle Loss", _gamma(80.0) | _m(CIRCLE_M, above=-1, below=1), 0.08, False),
    "circle-class": LossInfo(
        "Circle Loss to class weights", _gamma(19.2) | _m(0.077, above=-1, below=1), 0.113, True
    ),
    "triplet": LossInfo(
        "triplet loss", _m(0.405, above=0, most=2), 0.69, False, decreases=False, largest_batch=500
    ),
    "contrastive": LossInfo("contrastive loss", _m(0.402, above=-1, below=1), 0.221, False),
    "softmax": LossInfo("normalised softmax", _gamma(9.51), 0.473, True),
    "sphereface": LossInfo(
        "SphereFace", _gamma(8.69) | _m(3.0, least=1, most=8, whole=True), 0.171, True
    ),
    "cosface": LossInfo("CosFace", _gamma(9.3) | _m(0.232, least=0, below=2), 0.351, True),
    "arcface": LossInfo("ArcFace", _gamma(67.8) | _m(0.578, least=0, below=3.14), 0.0397, True),
    "adacos": LossInfo("AdaCos", {}, 0.688, True, decreases=False),
    "center": LossInfo("Center Loss", _gamma(0.000733), 0.101, True, on_sphere=False),
}
# settings of which each loss has its own default
LOSS_SETTINGS = ("gamma", "m", "lr", "weight_decay")
