"""Gzipped IDX files, the format of MNIST.

Two zero bytes, the type (8, unsigned bytes), the number of axes, the size of each axis as a
big-endian uint32, then the bytes of the array, the last axis running fastest.
"""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.errors import UserError

# bytes, packed or unpacked: the largest official file unpacks to 60,000 × 28 × 28
MOST = 1 << 26
UNSIGNED_BYTES = b"\0\0\x08"


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
    return read_idx(path)


def read_idx(path: Path) -> NDArray[Any]:
    """Read a file as a uint8 array of one to three axes, of at most `MOST` bytes.

    Raises:
        UserError: the file cannot be read, or is no such array; nothing larger is allocated,
            whatever its header announces.
    """
    try:
        with gzip.open(path) as file:
            kind, axes = file.read(3), file.read(1)
            if kind != UNSIGNED_BYTES or axes not in (b"\1", b"\2", b"\3"):
                raise ValueError("it is not an array of bytes in one to three axes")
            shape = struct.unpack(f">{axes[0]}I", file.read(4 * axes[0]))
            size = math.prod(shape)
            if size > MOST:
                raise ValueError(f"it announces {size:,} bytes")
            content = file.read(size + 1)
            if len(content) != size:
                raise ValueError(f"its {size:,} bytes are not there, or more are")
    except (OSError, EOFError, ValueError, zlib.error, struct.error) as error:
        raise UserError(f"{path} is not a gzipped IDX file: {error}") from error
    return np.frombuffer(content, np.uint8).reshape(shape)
