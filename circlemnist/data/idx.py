"""Gzipped IDX files, the format of MNIST.

Two zero bytes, the type (8, unsigned bytes), the number of axes, the size of each axis as a
big-endian uint32, then the bytes of the array, the last axis running fastest.
"""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.errors import UserError

MOST = 1 << 26  # bytes of a packed file; the official ones have 10 million at most


def read_official_idx(path: Path, md5: str) -> NDArray[Any]:
    """Read a file whose MD5 is known, as uint8.

    Raises:
        UserError: the file cannot be read, or is not the one of that MD5.
    """
    try:
        size = path.stat().st_size
        packed = path.read_bytes() if size <= MOST else b""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if hashlib.md5(packed, usedforsecurity=False).hexdigest() != md5:
        raise UserError(
            f"{path} is not the official file ({size:,} bytes, wrong checksum): "
            "delete it, and it is downloaded again"
        )
    content = gzip.decompress(packed)
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + shape.nbytes).reshape(shape)
