"""Circle Loss and its family: `CircleLoss` for pair-wise labels, `ClassCircleLoss` for class-level.

A loss is an `nn.Module`, loss(embeddings (B, D), labels (B,)) -> (), and no more. What a training
shows of its pairs is `pair_statistics`, for whichever loss. `GatheredLoss` takes any of them over
the embeddings of many processes. `circle_kernel/formula.py` has Circle Loss in its shortest form.
"""

import inspect
from importlib import import_module
from typing import Any

from torch import nn

from circlemnist.losses.adacos import AdaCosLoss
from circlemnist.losses.center import CenterLoss
from circlemnist.losses.circle import CircleLoss, ClassCircleLoss
from circlemnist.losses.class_weights import fix_class_weights
from circlemnist.losses.gathered import (
    GatheredLoss,
    References,
    gather_references,
    gathered_loss,
    gathered_statistics,
)
from circlemnist.losses.pair_statistics import PairStatistics, pair_statistics

__all__ = [
    "LOSSES",
    "AdaCosLoss",
    "CenterLoss",
    "CircleLoss",
    "ClassCircleLoss",
    "GatheredLoss",
    "PairStatistics",
    "References",
    "build_loss",
    "fix_class_weights",
    "gather_references",
    "gathered_loss",
    "gathered_statistics",
    "pair_statistics",
]

LOSSES = {
    "circle": "circle.CircleLoss",
    "circle-class": "circle.ClassCircleLoss",
    "triplet": "library.triplet",
    "contrastive": "library.contrastive",
    "softmax": "library.softmax",
    "sphereface": "library.sphereface",
    "cosface": "library.cosface",
    "arcface": "library.arcface",
    "adacos": "adacos.AdaCosLoss",
    "center": "center.CenterLoss",
}
"""The name of each loss, and where in `circlemnist.losses` it is; imported when it is built."""
SETTINGS = {"num_classes", "embedding_dim", "gamma", "m", "pairs", "reduction", "normalize"}


def build_loss(name: str, **settings: Any) -> nn.Module:
    """Build a loss of the family from those of the settings that it takes.

    Args:
        name: a key of `LOSSES`.
        settings: num_classes, embedding_dim, gamma, m, pairs, reduction, normalize; one that the
            loss does not take is left out.

    Returns:
        A loss(embeddings (B, D), labels (B,)) -> ().

    Raises:
        KeyError: there is no such loss.
        TypeError: a setting is none of these.
        ValueError: a setting is out of the limits of a loss of ours.
    """
    if unknown := settings.keys() - SETTINGS:
        raise TypeError(f"no setting of a loss: {', '.join(sorted(unknown))}")
    module, attribute = LOSSES[name].split(".")
    build = getattr(import_module(f"circlemnist.losses.{module}"), attribute)
    accepted = set(inspect.signature(build).parameters)
    if "options" in accepted:
        accepted |= {"reduction", "normalize"}
    loss: nn.Module = build(**{key: value for key, value in settings.items() if key in accepted})
    return loss
