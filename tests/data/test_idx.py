"""IDX files: those of a known MD5 are read, others are refused in one line and little memory."""

import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from circlemnist.data.idx import read_official_idx
from circlemnist.errors import UserError


def packed(array: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.mark.parametrize("shape", [(5,), (0,), (300, 4), (2, 3, 4)])
def test_array_comes_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = packed(array)
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    found = read_official_idx(path, hashlib.md5(content).hexdigest())
    np.testing.assert_array_equal(found, array)


def test_file_of_another_md5_is_not_unpacked(tmp_path: Path) -> None:
    """Nor is more of it read than an official file could have: here of a terabyte of holes."""
    path = tmp_path / "a.gz"
    path.write_bytes(packed(np.zeros(3, np.uint8)))
    with pytest.raises(UserError, match="not the official file"):
        read_official_idx(path, "0" * 32)
    with path.open("wb") as file:
        file.truncate(2**40)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"1,099,511,627,776 bytes, wrong checksum"):
        read_official_idx(path, "0" * 32)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*a\.gz"):
        read_official_idx(tmp_path / "a.gz", "0" * 32)
