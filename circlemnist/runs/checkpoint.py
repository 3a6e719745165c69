"""Save and load the state of a training; the only file that writes or reads weights.

A checkpoint is the zip archive of `torch.save`, and `torch.load` opens it as it stands. The
comment at the end of the archive seals it::

    circlemnist checkpoint <4 digits> sha256 <64 hexadecimal digits>

the version of the format, and the SHA-256 of every byte before those digits.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch

from circlemnist.errors import Unwritten, UserError
from circlemnist.runs.files import write_bytes
from circlemnist.runs.history import Epoch

T = TypeVar("T")
FORMAT = 4
SEAL = re.compile(rb"circlemnist checkpoint (\d{4}) sha256 ([0-9a-f]{64})")
DIGEST_BYTES = 64
SEAL_BYTES = len(f"circlemnist checkpoint {FORMAT:04} sha256 ") + DIGEST_BYTES


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (of tensors, numbers, strings and containers of them) to `path`, atomically.

    Raises Unwritten where that fails; an older file of that name is left as it was.
    """
    archive = io.BytesIO()
    torch.save(state, archive)
    try:
        write_bytes(path, sealed(archive.getvalue()))
    except OSError as error:
        reason = f"cannot write {path}: {error.strerror}"
        raise Unwritten(reason, str(path.parent)) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state that `save_checkpoint` wrote, onto the CPU; no code in the file is run.

    Raises UserError where the file is missing, damaged, foreign, or of another format version.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - SEAL_BYTES))
            seal = SEAL.fullmatch(file.read())
            if seal is None:
                raise UserError(f"{path} is cut off, or not a checkpoint of circlemnist")
            file.seek(0)
            content = file.read()
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} has no checkpoint yet: train it, with `resume` {path.parent}"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    version, digest = int(seal[1]), seal[2].decode()
    if hashlib.sha256(content[:-DIGEST_BYTES]).hexdigest() != digest:
        raise UserError(f"{path} is damaged: its checksum is wrong; train the run again")
    if version != FORMAT:
        mend = "update circlemnist" if version > FORMAT else "train the run again"
        raise UserError(
            f"{path} is of format {version}, and this circlemnist reads format {FORMAT}: {mend}"
        )
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises a different exception for each way in which a file can be bad
        raise UserError(f"{path} holds more than weights and numbers: it is not loaded") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a checkpoint of circlemnist")
    return state


def restore_from(path: Path, restore: Callable[[dict[str, Any]], T]) -> T:
    """Give the state of a run's checkpoint to `restore`, and return what that returns.

    Raises UserError where there is no sound checkpoint, or it is of other settings than
    `config.toml`.
    """
    state = load_checkpoint(path)
    if name := not_finite(state):
        raise UserError(f"{path} has a value of the {name} that is not finite; train again")
    try:
        _check_progress(state)
        return restore(state)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} does not fit config.toml beside it: "
            "one of the two was changed, or is of another version; train again"
        ) from error


def not_finite(state: dict[str, Any]) -> str | None:
    """Return the key of the first part of a state that has a tensor with infinities or NaN."""
    for name, part in state.items():
        # of an epoch that has begun, a batch may have no pairs
        if name != "cursor" and not all(tensor.isfinite().all() for tensor in _tensors(part)):
            return name
    return None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def _check_progress(state: dict[str, Any]) -> None:
    """Raise ValueError, or what a wrong type leads to, where no training has come so far."""
    rows, cursor = [Epoch(**row) for row in state["history"]], state["cursor"]
    if cursor is None:
        sound = state["step"] % max(len(rows), 1) == 0
    else:
        steps, step = len(cursor["order"]), cursor["step"]
        sound = 0 <= step < steps and state["step"] == steps * len(rows) + step
        sound &= cursor["order"].dtype == torch.int64 and cursor["order"].ndim == 2
        sound &= cursor["values"].shape == (steps, 4) and cursor["seconds"] >= 0
    numbers = [number for row in rows for number in vars(row).values()]
    if not sound or not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("its epochs and steps do not fit together")
    if state["scheduler"]["last_epoch"] != state["step"]:
        raise ValueError("the scheduler is at another step")


def checksum(path: Path) -> str | None:
    """Return the SHA-256 of a checkpoint file, hexadecimal; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def sealed(archive: bytes, version: int = FORMAT) -> bytes:
    """Return a zip archive with the version and the checksum as its comment."""
    # the last two bytes of an archive without comment are the length of the comment
    content = archive[:-2] + SEAL_BYTES.to_bytes(2, "little")
    content += f"circlemnist checkpoint {version:04} sha256 ".encode()
    return content + hashlib.sha256(content).hexdigest().encode()
