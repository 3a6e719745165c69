"""A folder of pictures as a data set: a subfolder a class, perhaps below `train/` and `test/`.

The layout is that of torchvision's `ImageFolder`. The images made of the pictures are stored in the
folder of the data sets, and made again when a picture has another name, size or time.
"""

import hashlib
import os
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from circlemnist.config import SIDE, Config
from circlemnist.data.pictures import (
    Manner,
    named,
    named_as_picture,
    on_all_cores,
    read_digits,
    read_picture,
)
from circlemnist.data.torchvision_files import ARRAYS, cached
from circlemnist.errors import UserError

MOST_CLASSES = 1000
FEWEST = 2  # pictures of a class in either split
TEST_SHARE = 0.2
PARTS = ("train", "test")
SHUFFLED = 0.02  # numbered pictures change their class at the rate of shuffled ones, or near it


class Picture(NamedTuple):
    """A picture of a folder, and by what it is known again."""

    folder: str  # that it is in, below the data set
    name: str
    size: int
    time: int


def folder_arrays(
    name: str, data_dir: Path, config: Config, quiet: bool, say: Callable[[str], object]
) -> tuple[str, tuple[str, ...], dict[str, NDArray[Any]]]:
    """Return the path of a folder, its classes, and the arrays of both splits.

    Raises:
        UserError: the folder is no data set, or a picture cannot be read.
    """
    root = Path(os.path.realpath(name))
    wanted = [name.strip() for name in config.classes.split(",")] if config.classes else None
    pictures, classes = _listed(root, wanted)

    def read() -> dict[str, NDArray[Any]]:
        images, is_read = _read(root, pictures, config, quiet)
        if _listed(root, wanted)[0] != pictures:
            raise UserError(f"{root} changed while it was read: try again")
        return _parted(root, pictures, images, is_read)

    how = f"1 {root} {config.prepare} {config.skip_unreadable} {classes}"
    file = data_dir / f"{root.name}-{_digest(how)[:12]}.npz"
    arrays = cached(file, lambda: _digest(repr(pictures)), ("skipped", *ARRAYS), read)
    if skipped := int(arrays.pop("skipped")):
        say(f"{skipped:,} of {len(pictures):,} pictures cannot be read, and are left out")
    return str(root), classes, arrays


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _listed(root: Path, wanted: Sequence[str] | None) -> tuple[list[Picture], tuple[str, ...]]:
    """List the pictures of the `wanted` classes, or of all, by folder and name; and the classes."""
    Image.init()
    try:
        folders = [entry.name for entry in _entries(root) if entry.is_dir()]
        parts = PARTS if {*folders} >= {*PARTS} else ("",)
        if len(parts) < len(folders) and parts == PARTS:
            other = next(name for name in folders if name not in PARTS)
            raise UserError(f"{root / other} is beside train/ and test/: move it elsewhere")
        classes, *of_test = (_classes(root / part, wanted) for part in parts)
        for name in sorted({*classes}.symmetric_difference(*of_test)) if of_test else ():
            part = "test" if name in classes else "train"
            raise UserError(f"{root / part} lacks the class {name}, which the other part has")
        folders = [os.path.join(part, name) for part in parts for name in classes]  # noqa: PTH118
        pictures = [picture for folder in folders for picture in _pictures(root, folder)]
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or root}: {error.strerror}; `dataset` names a folder "
            "with a class in each subfolder"
        ) from error
    return pictures, classes


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what is in a folder and not hidden, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _classes(folder: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes in a folder, checked."""
    names = [entry.name for entry in _entries(folder) if entry.is_dir()]
    if missing := [name for name in wanted or () if name not in names]:
        raise UserError(f"{folder} has no class {missing[0]!r}, which `classes` names")
    names = [name for name in names if wanted is None or name in wanted]
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(
            f"{folder} has {len(names)} subfolders to train on: there must be from 2 to "
            f"{MOST_CLASSES:,} classes, one in each"
        )
    by_letters: dict[str, str] = {}
    for name in names:
        if not name.isprintable() or "," in name or name != name.strip():
            problem = "no name may have commas, line ends, or spaces at its ends"
            raise UserError(f"{folder} has a class {name!r}: {problem}")
        twin = by_letters.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if twin != name:
            raise UserError(f"{folder / twin} and {name} differ by case alone: rename one of them")
    return tuple(names)


def _pictures(root: Path, folder: str) -> list[Picture]:
    pictures = []
    for entry in _entries(root / folder):
        leads_on = os.path.exists(entry.path)  # noqa: PTH110 - unlike a link to what is not there
        if leads_on and entry.is_dir():
            path = root / folder / entry.name
            raise UserError(f"{path} is a folder in a class: move its pictures into {folder}")
        if named_as_picture(entry.name) and (not leads_on or entry.is_file()):  # no pipe
            facts = entry.stat(follow_symlinks=leads_on)
            pictures.append(Picture(folder, entry.name, facts.st_size, facts.st_mtime_ns))
    _check_count(root, folder, len(pictures))
    return pictures


def _check_count(root: Path, folder: str, count: int) -> None:
    least = FEWEST if os.sep in folder else 2 * FEWEST  # in a part, or for both
    if count < least:
        raise UserError(
            f"{root / folder} has {count or 'no'} pictures that can be read: a class needs {least}"
        )


def _read(
    root: Path, pictures: list[Picture], config: Config, quiet: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Make the images of all pictures, (N, 28, 28), and tell which could be read, (N,)."""
    manner = Manner("placed" if config.prepare else "fitted", one=True)

    def image_of(picture: Picture) -> NDArray[np.uint8] | str:
        path = root / picture.folder / picture.name
        try:
            decoded = read_picture(path)
            with named(path):
                return read_digits(decoded, manner)[0].image
        except UserError as error:
            return str(error)

    images = np.zeros((len(pictures), SIDE, SIDE), np.uint8)
    is_read = np.ones(len(pictures), bool)
    hidden = True if quiet else None  # None: where no terminal is
    with closing(on_all_cores(image_of, pictures)) as made:
        bar = tqdm(made, total=len(pictures), unit=" pictures", leave=False, disable=hidden)
        for place, image in enumerate(bar):
            if not isinstance(image, str):
                images[place] = image
            elif config.skip_unreadable:
                is_read[place] = False
            else:
                bar.close()
                raise UserError(f"{image}; `skip_unreadable` leaves such pictures out")
    return images, is_read


def _parted(
    root: Path, pictures: list[Picture], images: NDArray[np.uint8], is_read: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of both splits, and the number of pictures that were not read."""
    folders, owners = np.unique([picture.folder for picture in pictures], return_inverse=True)
    names = [os.path.split(folder)[1] for folder in folders]
    labels = np.unique(names, return_inverse=True)[1][owners]
    is_test = np.zeros(len(pictures), bool)
    for number, folder in enumerate(folders.tolist()):
        part, name = os.path.split(folder)
        places = np.flatnonzero((owners == number) & is_read)
        _check_count(root, folder, len(places))
        if not part:  # drawn by the name, so that other classes change nothing
            count = max(round(TEST_SHARE * len(places)), FEWEST)
            places = places[_shuffled(len(places), zlib.crc32(name.encode()))[:count]]
        is_test[places] = part != "train"
    arrays: dict[str, NDArray[Any]] = {"skipped": np.array(int((~is_read).sum()))}
    for split, chosen in zip(PARTS, (~is_test & is_read, is_test), strict=True):
        places = np.flatnonzero(chosen)
        names = [Path(pictures[place].name).stem for place in places]
        places = places[_order(names, labels[places])]
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images[places], labels[places]
    return arrays


def _order(names: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of a split: shuffled, or as the pictures are numbered where that is alike.

    MNIST written out has its own order: no number twice, the classes mixed. Others are shuffled, so
    that the last ones, or every sixth, are of all classes.
    """
    if all(name.isascii() and name.isdigit() for name in names):
        numbers = [int(name) for name in names]
        order = np.argsort(numbers, kind="stable")
        shares = np.bincount(labels) / len(labels)
        changes = float((np.diff(labels[order]) != 0).mean())
        if len({*numbers}) == len(names) and abs(changes - 1 + float(shares @ shares)) < SHUFFLED:
            return order
    return _shuffled(len(names), seed=0)


def _shuffled(count: int, seed: int) -> NDArray[np.int64]:
    generator = torch.Generator().manual_seed(seed)
    order: NDArray[np.int64] = torch.randperm(count, generator=generator).numpy()
    return order
