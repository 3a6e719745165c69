"""Halves of two images as one, as classes of their own: shapes to learn that no class has."""

from collections.abc import Iterable

import torch

from circlemnist.config import CLASSES, SIDE, TURNS
from circlemnist.data.datasets import Split

LABELS = CLASSES * max(TURNS.values())  # of images in all their turns: 0 to this


def halves(split: Split, first_label: int, seed: int) -> Split:
    """Return as many images, the upper half of each above the lower half of one of another class.

    Args:
        split: of two classes or more, labels below `LABELS`.
        first_label: the label of class a above class b is this + `LABELS`·a + b.
        seed: of which lower half each upper half is given; the same seed gives the same images.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = split.labels.cpu()
    lower = torch.empty_like(labels)
    for label in labels.unique():
        upper, others = (labels == label).nonzero()[:, 0], (labels != label).nonzero()[:, 0]
        lower[upper] = others[torch.randint(len(others), (len(upper),), generator=generator)]
    images = split.images.clone()
    images[:, SIDE // 2 :] = split.images[lower, SIDE // 2 :]
    return Split(images, first_label + LABELS * split.labels + split.labels[lower])


def pairs_of(classes: Iterable[int], first_label: int) -> set[int]:
    """Return the labels that `halves` gives images of these classes."""
    classes = set(classes)
    return {first_label + LABELS * a + b for a in classes for b in classes if a != b}
