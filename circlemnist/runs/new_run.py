"""The folder of a new run, which is there with its settings in it, or not at all."""

import contextlib
import datetime
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from circlemnist.config import Config
from circlemnist.errors import UserError
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import UNFINISHED, flush_folder, umask, write_text

LONGEST = 255  # bytes of a name, for nearly all file systems
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
    knobs = "".join(f"_{knob}{value:g}" for knob, value in config.knobs.items())
    unseen = f"_unseen{''.join(map(str, config.unseen_classes))}" if config.unseen else ""

    def fill(hidden: Path) -> None:
        run = Run(hidden)
        write_text(run.environment_file, json.dumps(environment, indent=2) + "\n")
        write_text(run.config_file, config.to_toml())

    words = f"{config.loss}{knobs}{unseen}"
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
        _remove_unfinished_runs(outputs)
        hidden = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=outputs))
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


def _remove_unfinished_runs(outputs: Path) -> None:
    """Remove folders that a process which was killed an hour ago or more did not get to rename."""
    for folder in outputs.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):  # its process has renamed it meanwhile
            if time.time() - folder.stat().st_mtime > 3600:
                shutil.rmtree(folder, ignore_errors=True)
