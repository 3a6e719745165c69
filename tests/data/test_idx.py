"""IDX files: real ones are read, damaged ones are refused in one line and little memory."""

import gzip
import struct
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest

from circlemnist.data.idx import read_idx, read_official_idx
from circlemnist.errors import UserError
from tests.conftest import time_limit

CASES, CASE_SECONDS = 600, 10


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("shape", [(5,), (0,), (3, 4), (2, 3, 4)])
def test_array_comes_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x09\1\0\0\0\0",
        b"\0\0\x08\0",
        b"\0\0\x08\4" + bytes(16),
        b"\0\0\x08\3" + struct.pack(">3I", 2**31, 28, 28) + bytes(100),
        b"\0\0\x08\3" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
        b"\0\0\x08\1" + struct.pack(">I", 10) + bytes(9),
        b"\0\0\x08\1" + struct.pack(">I", 10) + bytes(11),
    ],
)
def test_wrong_header_is_refused_in_little_memory(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content))
    tracemalloc.start()
    with pytest.raises(UserError, match="is not a gzipped IDX file"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """1 GiB of zeros behind a header that announces ten bytes."""
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\1" + struct.pack(">I", 10))
        for _ in range(64):
            file.write(bytes(2**24))
    tracemalloc.start()
    with pytest.raises(UserError, match="or more are"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    """Random bytes changed, cut and doubled, in the archive or in what it holds: 600 cases."""
    random = Random(0)
    array = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    plain, path, messages = idx(array), tmp_path / "a.gz", []
    for _ in range(CASES):
        inside = random.random() < 0.5
        content = bytearray(plain if inside else gzip.compress(plain))
        for _ in range(random.randint(1, 4)):
            # the header is a small part: it gets half of the changes
            end = random.choice([20, len(content)])
            start = random.randrange(min(end, len(content)))
            stop = start + random.randint(0, 8)
            content[start:stop] = random.randbytes(random.randint(0, 8))
        path.write_bytes(gzip.compress(bytes(content)) if inside else bytes(content))
        try:
            with time_limit(CASE_SECONDS):
                read = read_idx(path)
            assert read.dtype == np.uint8
            assert read.size <= len(content)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > CASES / 2
    assert all(message.startswith(f"{path} is not a gzipped IDX file: ") for message in messages)


def test_file_of_another_md5_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(3, np.uint8))))
    with pytest.raises(UserError, match="not the official file"):
        read_official_idx(path, "0" * 32)
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match=r"1,099,511,627,776 bytes, wrong checksum"):
        read_official_idx(path, "0" * 32)
