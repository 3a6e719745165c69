"""Classes to train on beside those of the data set: turned, of two halves, invented."""

import torch

from circlemnist.config import Config
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
