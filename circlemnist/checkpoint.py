"""Save and load the state of a training; the only file that writes or reads weights."""

from pathlib import Path
from typing import Any

import torch

from circlemnist.atomic import replacing
from circlemnist.errors import UserError

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (of tensors, numbers, strings and containers of them) to `path`, atomically.

    Raises:
        UserError: the file cannot be written; an older one of that name is left as it was.
    """
    try:
        with replacing(path) as temporary:
            torch.save({"format": FORMAT, **state}, temporary)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its zip writer
        raise UserError(f"cannot write {path}: {error}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state that `save_checkpoint` wrote, onto the CPU; no code in the file is run.

    Raises:
        UserError: the file is missing, damaged, foreign, or of another format version.
    """
    if not path.is_file():
        raise UserError(f"{path.parent} has no checkpoint ({path.name}): train it first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises a different exception for each way in which a file can be bad
        raise UserError(f"{path} is damaged or not a checkpoint of this program") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this version of circlemnist")
    return state
