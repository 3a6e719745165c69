"""Classes to train on beside those of the data set: turned, of two halves, invented."""

from collections.abc import Mapping, Sequence

import torch

from circlemnist.config import CLASSES, Config
from circlemnist.data.datasets import Split
from circlemnist.data.halves import LABELS, halves, pairs_of
from circlemnist.data.invented import invented
from circlemnist.data.turned import turned, turned_classes

# first labels of each kind; those of turned images are class + 10·turn
OF_HALVES = LABELS
OF_INVENTED = OF_HALVES + LABELS**2


def with_further_classes(split: Split, config: Config) -> Split:
    """Return the images of a split and those of all further classes that `config` names.

    Args:
        split: the training images, of the seen classes.
        config: resolved for the data set of the split.

    Returns:
        The images in all their turns, as many of two halves of these, and the invented ones; the
        split itself where there are none of them.
    """
    parts = [turned(split, config)]
    if config.halves:
        parts.append(halves(parts[0], OF_HALVES, config.seed))
    if config.invented:
        parts.append(invented(config.invented, OF_INVENTED, config.seed))
    if len(parts) == 1:
        return parts[0]
    return Split(
        torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    )


def trained_classes(config: Config) -> tuple[int, ...]:
    """Return all labels that are trained on, ascending: of seen and of further classes."""
    found = turned_classes(config)
    if config.halves:
        found |= pairs_of(found, OF_HALVES)
    found |= set(range(OF_INVENTED, OF_INVENTED + config.invented))
    return tuple(sorted(found))


def what_is_learned(name: str, classes: Sequence[int]) -> str:
    """Return the name of a loss and its classes, as the state of an `Objective` keeps them."""
    ten = tuple(classes) == tuple(range(CLASSES))
    return name if ten else f"{name} of {','.join(map(str, classes))}"


def check_learned(state: Mapping[str, object], config: Config) -> None:
    """Raise ValueError for the state of an `Objective` that `build_objective` would not build.

    Args:
        state: of the objective, as in a checkpoint.
    """
    refuse_other(state["_extra_state"], what_is_learned(config.loss, trained_classes(config)))


def refuse_other(found: object, wanted: str) -> None:
    """Raise ValueError where the state of an `Objective` is not of the wanted loss and classes."""
    if found != wanted:
        raise ValueError(f"the state is of the loss {found}, not {wanted}")
