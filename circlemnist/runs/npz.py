"""Reading arrays from `.npz` files that may be damaged, or not ours."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays `names` from a file, and run nothing that is pickled in it.

    Raises:
        ValueError: the file cannot be read, is damaged, or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, EOFError, KeyError, TypeError, MemoryError, zlib.error) as error:
        raise ValueError(str(error)) from error
    except zipfile.BadZipFile as error:
        raise ValueError("no archive of arrays") from error
