"""Data sets as tensors in memory: MNIST and its kin by torchvision, digits by scikit-learn."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.config import CLASSES, SIDE, Config
from circlemnist.data.torchvision_files import DownloadError, torchvision_arrays
from circlemnist.errors import SettingError

# names of the classes in `torchvision.datasets`
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
DIGITS_TEST = 360
# images of a class that a few-shot index takes
SHOTS = 20
# of a split that still has like and unlike pairs, and 20 neighbours in a gallery
FEWEST = 100


@dataclass(frozen=True)
class Split:
    """Images (N, 28, 28) uint8, 0 the background and 255 full ink, and labels (N,) int64, 0-9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Return the split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))

    def where(self, chosen: Tensor) -> "Split":
        """Return the images that (N,) bool or some indices choose, in that order."""
        return Split(self.images[chosen], self.labels[chosen])

    def counts(self) -> list[int]:
        """Return how many images each of the classes has."""
        return torch.bincount(self.labels, minlength=CLASSES).tolist()


@dataclass(frozen=True)
class Dataset:
    """A data set by name, with the training and test split its makers fixed.

    Where the last training images are held out, these are `test`, and `measured` says so. Where
    classes are left out of training, their training images are `unseen`; `test` has all classes.
    """

    name: str
    train: Split
    test: Split
    measured: str = "test"
    unseen: Split | None = None

    def hold_out(self, count: int) -> "Dataset":
        """Return a data set that measures on the last `count` training images; itself where 0.

        Raises:
            SettingError: fewer than `FEWEST` images would be left to train or to measure on.
        """
        if count == 0:
            return self
        most = len(self.train) - FEWEST
        if not FEWEST <= count <= most:
            raise SettingError("holdout", f"must be 0, or from {FEWEST} to {most}, not {count}")
        images, labels = self.train.images, self.train.labels
        return Dataset(
            self.name,
            Split(images[:-count], labels[:-count]),
            Split(images[-count:], labels[-count:]),
            "held-out training",
        )

    def first(self, count: int | None) -> "Dataset":
        """Return a data set of the first `count` training images, all of them where it is None."""
        images, labels = self.train.images[:count], self.train.labels[:count]
        return replace(self, train=Split(images, labels))

    def leave_out(self, classes: Sequence[int]) -> "Dataset":
        """Return a data set that does not train on `classes`; itself where there are none.

        Raises:
            SettingError: a class has fewer than `SHOTS` training images, or fewer than 2 others.
        """
        if not classes:
            return self
        for split, least in ((self.train, SHOTS), (self.test, 2)):
            label, count = min(enumerate(split.counts()), key=lambda pair: pair[1])
            if count < least:
                raise SettingError(
                    "unseen", f"wants {least} images or more of each class, and {label} has {count}"
                )
        left_out = torch.isin(self.train.labels, torch.tensor(classes))
        return replace(self, train=self.train.where(~left_out), unseen=self.train.where(left_out))

    def used_by(self, config: Config) -> "Dataset":
        """Return what a run with these settings trains on and is measured on.

        Raises:
            SettingError: `holdout` or `unseen` leaves too few images.
        """
        return self.hold_out(config.holdout).leave_out(config.unseen_classes)

    def checksum(self) -> str:
        """Return the SHA-256 of the images and labels of both splits, hexadecimal."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            for tensor in (split.images, split.labels):
                digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def load_dataset(
    name: str,
    folder: Path,
    *,
    timeout: float = 15.0,
    quiet: bool = False,
    say: Callable[[str], object] = lambda line: print(line, file=sys.stderr),
) -> Dataset:
    """Load a data set into memory, downloading what `folder` lacks.

    Args:
        name: mnist, fashion-mnist, kmnist, digits, or auto: MNIST where it is in `folder` or can
            be had quickly, else digits.
        folder: holds `MNIST/raw` and the like, the layout of `torchvision.datasets`.
        timeout: seconds of silence after which a server is given up; `auto` waits a third of it.
        quiet: show no progress of a download.
        say: told, in one line, where `auto` falls back to digits, and of a damaged file.

    Raises:
        DownloadError: a file is neither there nor to be had.
        UserError: `folder` cannot be read or written.
    """
    if name == "digits":
        return _load_digits()
    if name != "auto":
        return _from_arrays(
            name, torchvision_arrays(TORCHVISION[name], folder, timeout, quiet, say)
        )
    try:
        arrays = torchvision_arrays(TORCHVISION["mnist"], folder, timeout / 3, quiet, say)
    except DownloadError:
        say(
            f"MNIST is not in {folder} and cannot be downloaded now: "
            "using scikit-learn's 1,797 handwritten digits instead."
        )
        return _load_digits()
    return _from_arrays("mnist", arrays)


def _from_arrays(name: str, arrays: dict[str, np.ndarray]) -> Dataset:
    train, test = (
        Split(
            torch.from_numpy(arrays[f"{split}_images"]),
            torch.from_numpy(arrays[f"{split}_labels"]).long(),
        )
        for split in ("train", "test")
    )
    return Dataset(name, train, test)


def _load_digits() -> Dataset:
    """Load scikit-learn's digits (UCI test set, 8 × 8, 0-16), resized to 28 × 28.

    The last 360 are the test split: they are mostly by other writers than the rest.
    """
    from sklearn.datasets import load_digits

    small = torch.tensor(load_digits().images, dtype=torch.float32)[:, None]  # (1797, 1, 8, 8)
    large = F.interpolate(small / 16, size=(SIDE, SIDE), mode="bilinear")[:, 0]
    images = (large * 255).round().to(torch.uint8)
    labels = torch.tensor(load_digits().target, dtype=torch.int64)
    cut = len(labels) - DIGITS_TEST
    return Dataset("digits", Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:]))
