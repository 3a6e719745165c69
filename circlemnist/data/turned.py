"""Images turned and mirrored, as classes of their own: shapes to learn beside the classes'.

Some look like another digit: a 6 half turned like a 9, a 2 mirrored much like a 5.
"""

import torch
from torch import Tensor

from circlemnist.config import CLASSES, TURNS, Config
from circlemnist.data.datasets import Split

DIGITS = ("mnist", "digits")
# of digits that look alike in several turns: the first of those that each turn looks like
ALIKE = {
    0: (0, 0, 0, 0, 0, 0, 0, 0),
    1: (0, 1, 0, 1, 4, 5, 4, 5),
    8: (0, 1, 0, 1, 0, 1, 0, 1),
}


def turned(split: Split, config: Config) -> Split:
    """Return a split of every image in all the turns that `config.turned` names; itself where none.

    Args:
        config: resolved for the data set of the split.

    Returns:
        A split of 1, 4 or 8 times as many images, all of one turn after all of another. The label
        of class c in turn t is c + 10·t, or that of an earlier turn in which a digit looks alike.
    """
    turns = TURNS[config.turned]
    if turns == 1:
        return split
    labels = _labels(config)
    return Split(
        torch.cat([_turn(split.images, turn) for turn in range(turns)]),
        torch.cat([labels[turn][split.labels] for turn in range(turns)]),
    )


def turned_classes(config: Config) -> set[int]:
    """Return the labels that `turned` gives the seen classes."""
    seen = list(config.seen_classes)
    return set(_labels(config)[:, seen].flatten().tolist())


def _labels(config: Config) -> Tensor:
    """The label of each class in each turn, (turns, 10) int64."""
    turns = torch.arange(TURNS[config.turned])[:, None].repeat(1, CLASSES)
    if config.dataset in DIGITS:
        for label, alike in ALIKE.items():
            turns[:, label] = torch.tensor(alike[: len(turns)])
    return torch.arange(CLASSES) + CLASSES * turns


def _turn(images: Tensor, turn: int) -> Tensor:
    mirrored = images.flip(-1) if turn >= 4 else images
    return mirrored.rot90(turn % 4, (-2, -1))
