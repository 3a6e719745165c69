"""The data sets that have a name: their titles, classes and defaults. A path names a folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

TEN_DIGITS = tuple("0123456789")
LEAST_SPLIT = 100  # images: it has pairs of both kinds, and 20 neighbours in a gallery


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded."""

    title: str  # in pictures
    kind: str = ""  # class in `torchvision.datasets`, and its split; empty if it is not from there
    classes: tuple[str, ...] = TEN_DIGITS  # names, by label
    epochs: int = 6  # default length of a training
    holdout: int = 5000  # validation images of a sweep
    is_digits: bool = False  # a picture may have several
    is_placed: bool = True  # an image lies by its ink, as MNIST's makers placed it
    side: int = 28  # pixels a side of its images before they were resized


CATALOG = {
    "mnist": DatasetInfo("MNIST", "MNIST", is_digits=True),
    "fashion-mnist": DatasetInfo(
        *("Fashion-MNIST", "FashionMNIST"),
        (
            *("T-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
        is_placed=False,
    ),
    "kmnist": DatasetInfo(
        *("KMNIST", "KMNIST"),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        is_placed=False,
    ),
    "emnist-letters": DatasetInfo("EMNIST letters", "EMNIST letters", tuple(ascii_lowercase)),
    "emnist-balanced": DatasetInfo(
        *("EMNIST balanced", "EMNIST balanced"), (*TEN_DIGITS, *ascii_uppercase, *"abdefghnqrt")
    ),
    "qmnist": DatasetInfo("QMNIST", "QMNIST", is_digits=True),
    "usps": DatasetInfo("USPS", "USPS", epochs=40, holdout=1000, is_digits=True, side=16),
    "digits": DatasetInfo("scikit-learn digits", epochs=100, holdout=287, is_digits=True, side=8),
}


def is_folder(dataset: str) -> bool:
    """Tell whether a data set is a folder of pictures: a path with a separator."""
    return os.sep in dataset or "/" in dataset


def title_of(dataset: str) -> str:
    """Return the title of a data set, or the name of its folder."""
    return CATALOG[dataset].title if dataset in CATALOG else Path(dataset).name
