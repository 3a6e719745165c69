"""Embeddings of a fixed sample of test images, taken while a run trained: how the space formed."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from circlemnist.errors import UserError
from circlemnist.runs.npz import read_npz


@dataclass(frozen=True)
class Snapshots:
    """What was seen, as `snapshots.npz`.

    Attributes:
        steps: (T,) int64, steps trained before each, ascending from 0.
        indices: (S,) int64, of the images in the test split.
        labels: (S,) int64.
        embeddings: (T, S, D) float16, unit rows if they are on the sphere.
    """

    steps: NDArray[Any]
    indices: NDArray[Any]
    labels: NDArray[Any]
    embeddings: NDArray[Any]


def load_snapshots(path: Path) -> Snapshots:
    """Read what a run has seen.

    Raises:
        UserError: the file is missing or damaged.
    """
    if not path.exists():
        raise UserError(
            f"{path.parent} has no snapshots: train with `snapshots` to see how the space forms"
        )
    try:
        found = Snapshots(**read_npz(path, [field.name for field in fields(Snapshots)]))
        t, s = len(found.steps), len(found.indices)
        kinds = "".join(array.dtype.kind for array in vars(found).values())
        shapes = [array.shape for array in vars(found).values()]
        if kinds != "iiif" or shapes[:3] != [(t,), (s,), (s,)] or shapes[3][:-1] != (t, s):
            raise ValueError(f"arrays of shapes {shapes}")
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; train the run again") from error
    return found
