"""Data sets as tensors in memory: by torchvision, scikit-learn's digits, or folders of pictures."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circlemnist.catalog import CATALOG, LEAST_SPLIT, TEN_DIGITS, is_folder
from circlemnist.config import SIDE, Config
from circlemnist.data.torchvision_files import DownloadError, torchvision_arrays
from circlemnist.errors import SettingError
from circlemnist.process import to_stderr

DIGITS_TEST = 360  # the last ones, mostly by other writers than the rest
SHOTS = 20  # images of a class in a few-shot index


@dataclass(frozen=True)
class Split:
    """Images (N, 28, 28) uint8, 0 the background and 255 full ink, and labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def where(self, chosen: Tensor) -> "Split":
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Dataset:
    """A data set by name, with the training and test split its makers fixed.

    `hold_out` makes the last training images `test`, and names them in `split_name`. `leave_out`
    moves the training images of some classes to `unseen`; `test` has all classes.

    The name is a key of `CATALOG`, or the path of a folder; `classes` are the names of the classes.
    """

    name: str
    train: Split
    test: Split
    split_name: str = "test"
    unseen: Split | None = None
    classes: tuple[str, ...] = TEN_DIGITS

    def hold_out(self, count: int) -> "Dataset":
        """Return a data set that is evaluated on the last `count` training images; itself where 0.

        SettingError where fewer than `LEAST_SPLIT` images would be left in a split.
        """
        if count == 0:
            return self
        most = len(self.train) - LEAST_SPLIT
        if not LEAST_SPLIT <= count <= most:
            allowed = f", or from {LEAST_SPLIT} to {most}"
            allowed = allowed if most >= LEAST_SPLIT else " with so few images"
            raise SettingError("holdout", f"must be 0{allowed}, not {count}")
        images, labels = self.train.images, self.train.labels
        validation = Split(images[-count:], labels[-count:])
        train = Split(images[:-count], labels[:-count])
        return replace(self, train=train, test=validation, split_name="validation")

    def first(self, count: int | None) -> "Dataset":
        """Return a data set with the first `count` training images; all of them where None."""
        return replace(self, train=Split(self.train.images[:count], self.train.labels[:count]))

    def leave_out(self, classes: Sequence[int]) -> "Dataset":
        """Return a data set that does not train on `classes`; itself where there are none.

        SettingError where a class has fewer than `SHOTS` training or 2 test images; those of a
        folder may have 2 training images.
        """
        if not classes:
            return self
        shots = 2 if is_folder(self.name) else SHOTS
        for split, least in ((self.train, shots), (self.test, 2)):
            counts = torch.bincount(split.labels, minlength=len(self.classes)).tolist()
            count, name = min(zip(counts, self.classes, strict=True))
            if count < least:
                raise SettingError(
                    "unseen", f"wants {least} images or more of each class, and {name} has {count}"
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
    say: Callable[[str], object] = to_stderr,
    config: Config | None = None,
) -> Dataset:
    """Load a data set into memory, downloading what `folder` lacks.

    Args:
        name: a key of `CATALOG`, or auto: MNIST where it is in `folder` or can be downloaded
            quickly, else digits; or the path of a folder of pictures.
        folder: holds `MNIST/raw` and the like, the layout of `torchvision.datasets`, and the images
            made of folders of pictures.
        timeout: seconds of silence after which a server is given up; `auto` waits a third of it.
        say: takes a line where `auto` falls back to digits, where a file was damaged, or where
            pictures are left out.
        config: says how the pictures of a folder are taken; None for the defaults.

    Raises:
        DownloadError: a file is missing and cannot be downloaded.
        UserError: `folder` or a picture cannot be read, or `folder` not be written.
    """
    if name == "digits":
        return _load_digits()
    if is_folder(name):
        from circlemnist.data.folders import folder_arrays  # which loads Pillow and SciPy

        path, classes, arrays = folder_arrays(name, folder, config or Config(), quiet, say)
        return Dataset(path, *_splits(arrays), classes=classes)
    wait = timeout / 3 if name == "auto" else timeout
    try:
        info = CATALOG["mnist" if name == "auto" else name]
        arrays = torchvision_arrays(info.kind, folder, wait, quiet, say)
    except DownloadError:
        if name != "auto":
            raise
        say(
            f"MNIST is not in {folder} and cannot be downloaded now: "
            "using scikit-learn's 1,797 handwritten digits instead."
        )
        return _load_digits()
    return Dataset("mnist" if name == "auto" else name, *_splits(arrays), classes=info.classes)


def _splits(arrays: dict[str, np.ndarray]) -> tuple[Split, Split]:
    """Return the training and the test split in the arrays of both."""
    tensors = {part: torch.from_numpy(array) for part, array in arrays.items()}
    train, test = (
        Split(tensors[f"{split}_images"], tensors[f"{split}_labels"].long())
        for split in ("train", "test")
    )
    return train, test


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
