"""Many picture files predicted in batches: the good ones, and an error for each bad one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from circlemnist.data.images import Read, picture_files, read_all
from circlemnist.evaluation.loaded import LoadedRun, Nearest, Prediction

SEVERAL = 500  # files at a time


@dataclass(frozen=True)
class Seen:
    """A picture, what the network saw of it, and what that is taken for.

    Attributes:
        name: its file.
        picture: as it was given, upright; large ones made smaller.
        pixels: (28, 28) uint8.
        indices, labels: (K,) int64, the nearest images of the gallery.
        similarities: (K,) float32.
        prediction: what it is taken for.
    """

    name: str
    picture: Image.Image
    pixels: NDArray[np.uint8]
    indices: Tensor
    labels: Tensor
    similarities: Tensor
    prediction: Prediction


def predict_files(
    loaded: LoadedRun, paths: Sequence[Path], threshold: float, as_is: bool | None = None
) -> Iterator[Seen | str]:
    """Predict files and folders of them, in order; "-" is standard input.

    A bar shows how far it is, where there is a terminal.

    Returns:
        What was seen of each, or one line of what is wrong with it.
    """
    files = list(picture_files(paths))
    with tqdm(total=len(files), unit=" images", disable=None, leave=False) as bar:
        for start in range(0, len(files), SEVERAL):
            part = files[start : start + SEVERAL]
            read = list(read_all(part, loaded.as_is if as_is is None else as_is))
            yield from _predicted(loaded, [str(file) for file in part], read, threshold)
            bar.update(len(part))


def _predicted(
    loaded: LoadedRun, names: Sequence[str], read: Sequence[Read | str], threshold: float
) -> Iterator[Seen | str]:
    good: list[Any] = [one for one in read if not isinstance(one, str)]
    found = Nearest(torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, 0))
    predictions: list[Prediction] = []
    if good:
        found = loaded.nearest(np.stack([pixels for _, pixels in good]), loaded.asked)
        predictions = loaded.verdicts(found, threshold)
    place = 0
    for name, one in zip(names, read, strict=True):
        if isinstance(one, str):
            yield one
            continue
        nearest = (found.indices[place], found.labels[place], found.similarities[place])
        yield Seen(name, *one, *nearest, predictions[place])
        place += 1
