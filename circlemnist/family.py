"""The family of losses as the settings and the command line know it; imports nothing heavy.

`losses.LOSSES` has the losses themselves, under the same names. Most of them make s_n - s_p
smaller; `gamma` is the scale (of Center Loss the weight of the centres), `m` the margin.
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
    weight_decay: float
    has_class_weights: bool
    on_sphere: bool = True
    decreases: bool = True
    largest_batch: int | None = None


def _gamma(default: float) -> dict[str, Hyperparameter]:
    return {"gamma": Hyperparameter(default, Limits(above=0, most=1e6))}


def _m(default: float, **limits: Any) -> dict[str, Hyperparameter]:
    return {"m": Hyperparameter(default, Limits(**limits))}


CIRCLE, PAPER_M = "circle", 0.25
CIRCLES = (CIRCLE, "circle-class")
# gamma, m, lr and weight decay: the winners of docs/protocol.md
FAMILY = {
    CIRCLE: LossInfo(
        "Circle Loss", _gamma(40.0) | _m(0.028, above=-1, below=1), 0.0233, 0.00232, False
    ),
    "circle-class": LossInfo(
        "Circle Loss to class weights",
        _gamma(172.0) | _m(0.076, above=-1, below=1),
        0.0213,
        3.98e-5,
        True,
    ),
    "triplet": LossInfo(
        "triplet loss",
        _m(0.571, above=0, most=2),
        0.353,
        0.00107,
        False,
        decreases=False,
        largest_batch=500,
    ),
    "contrastive": LossInfo(
        "contrastive loss", _m(-0.078, above=-1, below=1), 0.0612, 0.000298, False
    ),
    "softmax": LossInfo("normalised softmax", _gamma(3.2), 0.0854, 0.00215, True),
    "sphereface": LossInfo(
        "SphereFace", _gamma(6.75) | _m(2.0, least=1, most=8, whole=True), 0.0804, 0.0001, True
    ),
    "cosface": LossInfo(
        "CosFace", _gamma(6.54) | _m(0.488, least=0, below=2), 0.113, 0.000911, True
    ),
    "arcface": LossInfo(
        "ArcFace", _gamma(5.39) | _m(0.248, least=0, below=3.14), 0.225, 0.000329, True
    ),
    "adacos": LossInfo("AdaCos", {}, 0.299, 0.000312, True, decreases=False),
    "center": LossInfo("Center Loss", _gamma(0.0326), 0.184, 0.00385, True, on_sphere=False),
}
# settings of which each loss has its own default
LOSS_SETTINGS = ("gamma", "m", "lr", "weight_decay")
