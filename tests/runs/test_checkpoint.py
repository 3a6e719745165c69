"""Checkpoints: what goes in comes out; bad files are named."""

import hashlib
import io
import shutil
import struct
import zipfile
from pathlib import Path
from pickle import PicklingError
from random import Random
from typing import Any

import pytest
import torch

from circlemnist.errors import UserError
from circlemnist.runs.checkpoint import (
    checksum,
    load_checkpoint,
    save_checkpoint,
    sealed,
)
from tests.conftest import assert_one_line_error, invoke
from tests.payload import Payload


def test_checkpoint_is_an_archive_with_its_seal_as_the_comment(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"weights": torch.arange(3.0), "history": [{"epoch": 1}]})
    for state in (load_checkpoint(path), torch.load(path, weights_only=True)):
        assert torch.equal(state["weights"], torch.arange(3.0))
        assert state["history"] == [{"epoch": 1}]
    content, archive = path.read_bytes(), zipfile.ZipFile(path)
    assert archive.testzip() is None
    digest = hashlib.sha256(content[:-64]).hexdigest()
    assert archive.comment == f"circlemnist checkpoint 0004 sha256 {digest}".encode()
    assert content[: -len(archive.comment)].endswith(struct.pack("<H", len(archive.comment)))


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint yet: train it, with `resume`"):
        load_checkpoint(tmp_path / "last.pt")
    with pytest.raises(UserError, match="cannot read"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "size"),
    [(b"", 0), (b"hello", 0), (b"PK\x03\x04" + bytes(100), 0), (b"", 200), (b"", 2**40)],
)
def test_foreign_file_is_named_and_not_read_whole(
    content: bytes, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(max(len(content), size))
    with pytest.raises(UserError, match=r"last.pt is cut off, or not a checkpoint of circlemnist"):
        load_checkpoint(path)


def test_every_damage_to_a_checkpoint_is_named(finished_run: Path, tmp_path: Path) -> None:
    """300 flipped bits and 50 truncations of a real checkpoint: each refused, in one line."""
    sound = (finished_run / "last.pt").read_bytes()
    random = Random(0)
    flips = [(random.randrange(len(sound)), 1 << random.randrange(8)) for _ in range(290)]
    # the ends, too: signatures, the length of the comment, version and checksum
    flips += [(place, 1) for place in (0, 1, -1, -64, -65, -70, -74, -90, -99, -100)]
    damaged = []
    for place, bit in flips:
        content = bytearray(sound)
        content[place] ^= bit
        damaged.append((bytes(content), r"damaged: its checksum|cut off, or not a checkpoint"))
    sizes = [0, 1, len(sound) - 1, *random.sample(range(len(sound)), 47)]
    damaged += [(sound[:size], r"cut off, or not a checkpoint") for size in sizes]
    assert len(damaged) == 350
    path = tmp_path / "last.pt"
    for content, message in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message) as error:
            load_checkpoint(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("state", "version", "words"),
    [
        ({"embedder": {}}, 3, "is of format 3, .* reads format 4: train the run again"),
        ({"embedder": {}}, 5, "is of format 5, .* reads format 4: update"),
        ([1, 2], 4, "is not a checkpoint of circlemnist"),
    ],
)
def test_sealed_file_of_something_else_is_refused(
    state: object, version: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(sealed(archive(state), version))
    with pytest.raises(UserError, match=f"last.pt {words}"):
        load_checkpoint(path)


def archive(state: object) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def test_no_code_in_a_checkpoint_runs(tmp_path: Path) -> None:
    """A stranger can make a right checksum as well."""
    path = tmp_path / "last.pt"
    path.write_bytes(sealed(archive({"embedder": Payload(tmp_path / "ran")})))
    with pytest.raises(UserError, match="more than weights and numbers"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_failed_write_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises((AttributeError, PicklingError)):  # by the version of Python
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path)["epoch"] == 1
    assert list(tmp_path.iterdir()) == [path]


WRONG: dict[str, dict[str, object]] = {  # by the path of a value in a state, what it is set to
    "does not fit config.toml": {
        "step": "two",
        "history": 3,
        "history/0/loss": "low",
        "optimizer": [1],
        "optimizer/state/0/momentum_buffer": torch.zeros(2),
        "optimizer/param_groups/0/lr": "fast",
        "scheduler": 4,
        "scheduler/last_epoch": 3,
        "scheduler/_last_lr": ["fast"],
        "generator": torch.zeros(3),
        "embedder": "weights",
        "objective": None,
        "cursor": "words",
        "cursor/step": 5,
        "cursor/order": torch.full((5, 250), 1437),
        "cursor/order/0": torch.tensor(-1),
        "cursor/values": [0.0] * 5,
        "cursor/seconds": "long",
    },
    "not finite": {"embedder/mean": torch.tensor(torch.nan)},
}


@pytest.fixture
def begun(finished_run: Path, tmp_path: Path) -> Path:
    """The folder of a run in its last epoch."""
    run = tmp_path / "begun"
    shutil.copytree(finished_run, run)
    state = load_checkpoint(run / "last.pt")
    del state["history"][2:]
    state["step"] = state["scheduler"]["last_epoch"] = 12
    order, values = torch.arange(1250).view(5, 250), torch.zeros(5, 4)
    state["cursor"] = {"order": order, "values": values, "step": 2, "seconds": 1.0}
    save_checkpoint(run / "last.pt", state)
    return run


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [(place, value, words) for words, values in WRONG.items() for place, value in values.items()],
    ids=str,
)
def test_sealed_checkpoint_of_wrong_contents_is_refused(
    place: str, value: object, words: str, begun: Path
) -> None:
    state = load_checkpoint(begun / "last.pt")
    *path, last = (int(key) if key.isdecimal() else key for key in place.split("/"))
    part: Any = state
    for key in path:
        part = part[key]
    part[last] = value
    save_checkpoint(begun / "last.pt", state)
    (begun / "eval.json").unlink()
    assert_one_line_error(invoke("train", "--resume", begun), str(begun / "last.pt"), words)
    assert not (begun / "eval.json").exists()


def test_sound_checkpoint_goes_on(begun: Path) -> None:
    assert invoke("train", "--resume", begun, "--quiet").exit_code == 0
    assert load_checkpoint(begun / "last.pt")["step"] == 15


def test_checksum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    assert checksum(path) is None
    path.write_bytes(bytes(300_000) + b"end")
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match="cannot read"):
        checksum(tmp_path)
