"""Files of arrays."""

from pathlib import Path

import numpy as np

from circlemnist.runs.arrays import read_npz, write_npz


def test_arrays_come_back_and_those_to_pack_are_smaller(tmp_path: Path) -> None:
    path, large = tmp_path / "arrays.npz", tmp_path / "large.npz"
    arrays = {"name": np.array("é"), "plain": np.arange(6.0).reshape(2, 3), "zeros": np.zeros(9999)}
    write_npz(path, arrays, packed=["zeros"])
    found = read_npz(path, list(arrays))
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    write_npz(large, arrays, packed=[])
    assert path.stat().st_size < 0.1 * large.stat().st_size


def test_a_flipped_bit_is_damage_or_changes_nothing_else(tmp_path: Path) -> None:
    """Of the headers, too, by which a member may seem encrypted, or of a later version."""
    path = tmp_path / "arrays.npz"
    write_npz(path, {"a": np.arange(5.0)}, packed=["a"])
    whole = path.read_bytes()
    damaged = 0
    for place in range(0, 8 * len(whole), 5):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            read_npz(path, ["a"])
        except ValueError:
            damaged += 1
    assert damaged > 0.8 * len(whole)
