"""Many picture files predicted in batches: the good ones, and an error for each bad one."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from circlemnist.data.images import Read, picture_files, read_all
from circlemnist.evaluation.loaded import LoadedRun, Prediction

SEVERAL = 100  # files at a time


@dataclass(frozen=True)
class Seen:
    """A picture, what the network saw of it, and what that is taken for.

    Attributes:
        name: its file.
        picture: as it was given, upright, RGB; large ones made smaller.
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
    every = read_all(files, loaded.as_is if as_is is None else as_is)
    with (
        closing(every),
        tqdm(total=len(files), unit=" images", disable=None, leave=False) as bar,
    ):
        for start in range(0, len(files), SEVERAL):
            part = files[start : start + SEVERAL]
            read = list(islice(every, len(part)))
            files_read = [
                (str(file), one)
                for file, one in zip(part, read, strict=True)
                if not isinstance(one, str)
            ]
            seen = iter(_seen(loaded, files_read, threshold))
            bar.clear()  # what is made of these is printed where it stands
            yield from (one if isinstance(one, str) else next(seen) for one in read)
            bar.update(len(part))


def _seen(loaded: LoadedRun, read: Sequence[tuple[str, Read]], threshold: float) -> list[Seen]:
    """What is seen of pictures that could be read, by the names of their files."""
    if not read:
        return []
    found, typical = loaded.compared(
        torch.from_numpy(np.stack([pixels for _, (_, pixels) in read]))
    )
    predictions = loaded.verdicts(found, typical, threshold)
    rows = zip(read, found.indices, found.labels, found.similarities, predictions, strict=True)
    return [Seen(name, *one, *of) for (name, one), *of in rows]
