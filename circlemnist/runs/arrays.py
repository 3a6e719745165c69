"""Arrays in `.npz` files: written soon, and read from those that may be damaged, or not ours."""

import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.errors import UserError


def read_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays `names` from a file, and run nothing that is pickled in it.

    Raises ValueError where the file cannot be read, is damaged, or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, EOFError, KeyError, TypeError, MemoryError, zlib.error) as error:
        raise ValueError(str(error)) from error
    # RuntimeError where damage makes it seem encrypted, or of a later version
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError("no archive of arrays") from error


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]], packed: Collection[str]) -> None:
    """Write arrays by their names, those in `packed` compressed, as soon as that can be.

    Numbers with random last digits do not get smaller, and images hardly smaller by more effort.
    """
    with zipfile.ZipFile(path, "w", compresslevel=1) as file:
        for name, array in arrays.items():
            file.compression = zipfile.ZIP_DEFLATED if name in packed else zipfile.ZIP_STORED
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@dataclass(frozen=True)
class Snapshots:
    """Embeddings of a fixed sample of test images, taken while a run trained."""

    steps: NDArray[Any]  # (T,) int64, steps trained before each, ascending from 0
    indices: NDArray[Any]  # (S,) int64, of the images in the test split
    labels: NDArray[Any]  # (S,) int64
    embeddings: NDArray[Any]  # (T, S, D) float16, unit rows if they are on the sphere


def load_snapshots(path: Path) -> Snapshots:
    """Read the snapshots of a run; raises UserError where they are missing or damaged."""
    if not path.exists():
        raise UserError(
            f"{path.parent} has no snapshots: train with `snapshots` to see how the space forms"
        )
    try:
        snapshots = Snapshots(**read_npz(path, [field.name for field in fields(Snapshots)]))
        t, s = len(snapshots.steps), len(snapshots.indices)
        kinds = "".join(array.dtype.kind for array in vars(snapshots).values())
        shapes = [array.shape for array in vars(snapshots).values()]
        if kinds != "iiif" or shapes[:3] != [(t,), (s,), (s,)] or shapes[3][:-1] != (t, s):
            raise ValueError(f"arrays of shapes {shapes}")
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; train the run again") from error
    return snapshots
