"""Begin a run: its folder, there with all its settings or not at all; the lock; the environment."""

import datetime
import errno
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.runs.files import (
    flush_folder,
    remove_unfinished,
    umask,
    unfinished_prefix,
    write_text,
)
from circlemnist.runs.run import Run

LONGEST = 255  # bytes of a name, for nearly all file systems
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pytorch-metric-learning")
# what a rename says where there is a folder with files in it, or a file
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def create_run(outputs: Path, name: str | None, config: Config, environment: object) -> Run:
    """Make the folder of a new run, with its settings and its environment, all at once.

    Args:
        outputs: the folder of runs; made where it is not there.
        name: the folder's name; by default the time, the loss, gamma and m, and unseen classes.
        environment: written as `environment.json`.

    Raises:
        UserError: the name is taken or is no folder name, or `outputs` cannot be written.
    """
    values = "".join(f"_{name}{value:g}" for name, value in config.knobs.items())
    unseen = f"_unseen{''.join(map(str, config.unseen_classes))}" if config.unseen else ""

    def fill(hidden: Path) -> None:
        run = Run(hidden)
        write_text(run.environment_file, json.dumps(environment, indent=2) + "\n")
        write_text(run.config_file, config.to_toml())

    words = f"{config.loss}{values}{unseen}"
    return Run(create_folder(outputs, name, words, fill, "or continue it with `resume`"))


def create_folder(
    outputs: Path,
    name: str | None,
    words: str,
    fill: Callable[[Path], object],
    mend: str = "",
) -> Path:
    """Make a folder in `outputs`, with what `fill` writes into it, all at once; return its path.

    Args:
        name: the folder's name; by default the time and `words`.
        mend: what else may be done where a run has the name.

    Raises:
        UserError: the name is taken or is no folder name, or `outputs` cannot be written.
    """
    stem = name if name is not None else f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}_{words}"
    check_name(stem)
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        remove_unfinished(outputs, below=False, age=3600)
        hidden = Path(tempfile.mkdtemp(prefix=unfinished_prefix(), dir=outputs))
        try:
            fill(hidden)
            hidden.chmod(0o777 & ~umask())
            return _show(hidden, stem, name is None, mend)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write into {outputs}: {error.strerror}; choose another folder for `outputs`"
        ) from error


def check_name(name: str) -> None:
    """Raise UserError where `name` is no plain name of a folder."""
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UserError(f"{name!r} cannot name a folder: give `name` a plain folder name")
    if len(os.fsencode(name)) > LONGEST:
        raise UserError(f"{name[:20]!r}… is too long: give `name` at most {LONGEST} bytes")


def _show(hidden: Path, stem: str, unique: bool, mend: str) -> Path:
    """Rename a finished folder to `stem`, or with `unique` to the first of its numbers free."""
    for count in range(1, 1000):
        folder = hidden.parent.resolve() / (stem if count == 1 else f"{stem}_{count}")
        try:
            hidden.rename(folder)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            if not unique:
                more = f", {mend} {stem}" if mend and Run(folder).config_file.is_file() else ""
                raise UserError(
                    f"{stem!r} is already in {hidden.parent}: choose another `name`{more}"
                ) from None
        else:
            flush_folder(folder.parent)
            return folder
    raise UserError(f"too many runs named {stem!r} in {hidden.parent}")


@contextmanager
def locked(run: Run, patience: float = 0) -> Iterator[None]:
    """Keep other processes from training the run; the system frees the lock of one that died.

    Args:
        patience: seconds to wait for a process that is about to end.

    Raises:
        UserError: another process trains the run, or its folder cannot be written.
    """
    with alone(run.folder, "trained", patience):
        remove_unfinished(run.folder)
        yield


@contextmanager
def alone(folder: Path, done: str, patience: float = 0) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        done: what another process may be doing to it, for its message.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / "lock", timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{folder.name} is being {done} by another process: wait for its end, or stop it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return versions, device, threads and git revision, for `environment.json`."""
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "platform": platform.platform(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        "threads": torch.get_num_threads(),
    }


def _revision() -> str | None:
    """Return the git revision of the source, or None where it is not run from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
