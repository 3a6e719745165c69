"""The data sets that have a name: their titles, classes and defaults. A path names a folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

TEN_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded.

    Attributes:
        title: its name in pictures.
        classes: the names of its classes, by label.
        kind: its class in `torchvision.datasets`; empty where it is not from there.
        options: what that class is called with.
        epochs: default length of a training.
        holdout: last training images, which a sweep evaluates on.
        is_digits: it has digits, of which a picture may have several.
        is_placed: an image is placed by its ink, as MNIST's makers did.
        side: pixels a side of its images before they were resized to 28.
    """

    title: str
    classes: tuple[str, ...] = TEN_DIGITS
    kind: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    epochs: int = 6
    holdout: int = 5000
    is_digits: bool = False
    is_placed: bool = True
    side: int = 28


CATALOG = {
    "mnist": DatasetInfo("MNIST", kind="MNIST", is_digits=True),
    "fashion-mnist": DatasetInfo(
        "Fashion-MNIST",
        (
            *("T-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
        kind="FashionMNIST",
        is_placed=False,
    ),
    "kmnist": DatasetInfo(
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        kind="KMNIST",
        is_placed=False,
    ),
    "emnist-letters": DatasetInfo(
        "EMNIST letters", tuple(ascii_lowercase), kind="EMNIST", options={"split": "letters"}
    ),
    "emnist-balanced": DatasetInfo(
        "EMNIST balanced",
        (*TEN_DIGITS, *ascii_uppercase, *"abdefghnqrt"),
        kind="EMNIST",
        options={"split": "balanced"},
    ),
    # the 10,000 test images: all 60,000 have 1.8 billion pairs
    "qmnist": DatasetInfo("QMNIST", kind="QMNIST", options={"what": "test10k"}, is_digits=True),
    "usps": DatasetInfo("USPS", kind="USPS", epochs=40, holdout=1000, is_digits=True, side=16),
    "digits": DatasetInfo("scikit-learn digits", epochs=100, holdout=287, is_digits=True, side=8),
}


def is_folder(dataset: str) -> bool:
    """Tell whether a data set is a folder of pictures: a path with a separator."""
    return os.sep in dataset or "/" in dataset


def title_of(dataset: str) -> str:
    """Return the title of a data set, or the name of its folder."""
    return CATALOG[dataset].title if dataset in CATALOG else Path(dataset).name


def class_names_of(dataset: str, classes: str | None) -> tuple[str, ...]:
    """Return the names of the classes by label; none of a folder that has not been read.

    Args:
        classes: those of a folder, separated by commas.
    """
    if is_folder(dataset):
        return tuple(classes.split(",")) if classes else ()
    return CATALOG.get(dataset, CATALOG["mnist"]).classes  # auto is of digits
