"""Data sets as tensors in memory: MNIST and its kin by torchvision, digits by scikit-learn."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.config import CLASSES, SIDE, Config
from circlemnist.data.torchvision_files import DownloadError, torchvision_arrays
from circlemnist.errors import SettingError

DISPLAY_NAMES = {
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "digits": "scikit-learn digits",
}
TEN_DIGITS = tuple("0123456789")
CLASS_NAMES = {
    "mnist": TEN_DIGITS,
    "digits": TEN_DIGITS,
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "fashion-mnist": (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
}
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
DIGITS_TEST = 360  # the last ones, mostly by other writers than the rest
SHOTS = 20  # images of a class in a few-shot index
FEWEST = 100  # images of a split: it has pairs of both kinds, and 20 neighbours in a gallery


@dataclass(frozen=True)
class Split:
    """Images (N, 28, 28) uint8, 0 the background and 255 full ink, and labels (N,) int64, 0-9."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def where(self, chosen: Tensor) -> "Split":
        return Split(self.images[chosen], self.labels[chosen])

    def counts(self) -> list[int]:
        return torch.bincount(self.labels, minlength=CLASSES).tolist()


@dataclass(frozen=True)
class Dataset:
    """A data set by name, with the training and test split its makers fixed.

    `hold_out` makes the last training images `test`, and names them in `split_name`. `leave_out`
    moves the training images of some classes to `unseen`; `test` has all classes.
    """

    name: str
    train: Split
    test: Split
    split_name: str = "test"
    unseen: Split | None = None

    def hold_out(self, count: int) -> "Dataset":
        """Return a data set that is evaluated on the last `count` training images; itself where 0.

        SettingError where fewer than `FEWEST` images would be left in a split.
        """
        if count == 0:
            return self
        most = len(self.train) - FEWEST
        if not FEWEST <= count <= most:
            raise SettingError("holdout", f"must be 0, or from {FEWEST} to {most}, not {count}")
        images, labels = self.train.images, self.train.labels
        validation = Split(images[-count:], labels[-count:])
        train = Split(images[:-count], labels[:-count])
        return Dataset(self.name, train, validation, "validation")

    def first(self, count: int | None) -> "Dataset":
        """Return a data set with the first `count` training images; all of them where None."""
        return replace(self, train=Split(self.train.images[:count], self.train.labels[:count]))

    def leave_out(self, classes: Sequence[int]) -> "Dataset":
        """Return a data set that does not train on `classes`; itself where there are none.

        SettingError where a class has fewer than `SHOTS` training or 2 test images.
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
        """Return the images that a run with these settings trains on and is evaluated on."""
        return self.hold_out(config.holdout).leave_out(config.unseen_classes)

    def checksum(self) -> str:
        """Return the SHA-256 of both splits, hexadecimal."""
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
            be downloaded quickly, else digits.
        folder: holds `MNIST/raw` and the like, the layout of `torchvision.datasets`.
        timeout: seconds of silence after which a server is given up; `auto` waits a third of it.
        say: takes a line where `auto` falls back to digits, or where a file was damaged.

    Raises:
        DownloadError: a file is missing and cannot be downloaded.
        UserError: `folder` cannot be read or written.
    """
    if name == "digits":
        return _load_digits()
    kind, wait = TORCHVISION.get(name, "MNIST"), timeout / 3 if name == "auto" else timeout
    try:
        arrays = torchvision_arrays(kind, folder, wait, quiet, say)
    except DownloadError:
        if name != "auto":
            raise
        say(
            f"MNIST is not in {folder} and cannot be downloaded now: "
            "using scikit-learn's 1,797 handwritten digits instead."
        )
        return _load_digits()
    tensors = {part: torch.from_numpy(array) for part, array in arrays.items()}
    train, test = (
        Split(tensors[f"{split}_images"], tensors[f"{split}_labels"].long())
        for split in ("train", "test")
    )
    return Dataset("mnist" if name == "auto" else name, train, test)


def _load_digits() -> Dataset:
    """Load scikit-learn's digits (UCI test set, 8 × 8, 0-16), resized to 28 × 28."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32)[:, None]  # (1797, 1, 8, 8)
    large = F.interpolate(small / 16, size=(SIDE, SIDE), mode="bilinear")[:, 0]
    images = (large * 255).round().to(torch.uint8)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    cut = len(labels) - DIGITS_TEST
    return Dataset("digits", Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:]))
