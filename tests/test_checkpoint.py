"""Checkpoints: what goes in comes out; bad files are named."""

from pathlib import Path

import pytest
import torch

from circlemnist.checkpoint import load_checkpoint, save_checkpoint
from circlemnist.errors import UserError


def test_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"weights": torch.arange(3.0), "history": [{"epoch": 1}]})
    state = load_checkpoint(path)
    assert torch.equal(state["weights"], torch.arange(3.0))
    assert state["history"] == [{"epoch": 1}]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint \(last.pt\)"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(100)])
def test_foreign_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"last.pt is damaged"):
        load_checkpoint(path)


def test_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"weights": torch.zeros(10_000)})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"last.pt is damaged"):
        load_checkpoint(path)


def test_other_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 99}, path)
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        load_checkpoint(path)


class Payload:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 1, "embedder": Payload(tmp_path / "ran")}, path)
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_failed_write_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert list(tmp_path.iterdir()) == [path]
