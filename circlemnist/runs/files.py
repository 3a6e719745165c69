"""Files that are either the old one or the new one, never half of one."""

import csv
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from circlemnist.errors import UserError
from circlemnist.process import cleanup

UNFINISHED = ".unfinished-"
HOUR = 3600


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, of the same suffix, that replaces it at the end.

    The temporary file is flushed to the disk before the rename, and the folder after it. It is
    removed where the block raises, so that an exception or a full disk leaves `path` as it was; a
    crash leaves it for `remove_unfinished`. Raises OSError where the file cannot be written.
    """
    temporary = path.with_name(_new_name() + path.suffix)
    with cleanup(lambda: _remove(temporary)):
        temporary.touch(exist_ok=False)
        yield temporary
        flush_file(temporary)
        temporary.replace(path)
        flush_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder whose files move to the folder `path` at the end, each whole.

    Other files there stay. Where the block raises, `path` is as it was.
    """
    with hidden_folder(path if path.is_dir() else path.parent) as hidden:  # one may be read-only
        yield hidden
        path.mkdir(exist_ok=True)
        for file in hidden.iterdir():
            flush_file(file)
            file.replace(path / file.name)
        flush_folder(path)
        flush_folder(path.parent)


@contextmanager
def hidden_folder(parent: Path) -> Iterator[Path]:
    """Give a new folder in `parent` to fill and rename; it is removed where it is still there."""
    folder = parent / _new_name()
    with cleanup(lambda: _remove(folder)):
        folder.mkdir()
        yield folder


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line, as a UserError, that `path` cannot be written, where the block fails to."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically, with \\n at the ends of its lines."""
    write_bytes(path, text.encode())


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write the columns `names` of `rows`; raises UserError where that fails."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with writing(path):
        write_text(path, text.getvalue())


def remove_unfinished(folder: Path, shared: bool = False) -> None:
    """Remove what a process that was killed while it wrote left in a folder, and below it.

    What another process of this machine is writing stays. Of a folder that other machines write as
    well, `shared`, what is younger than an hour stays, and all that is below it.
    """
    for path in list((folder.glob if shared else folder.rglob)(f"{UNFINISHED}*")):
        with suppress(OSError):  # gone meanwhile, another user's, or open elsewhere on Windows
            is_young = shared and time.time() - path.stat().st_mtime <= HOUR
            if not is_young and not _is_being_written(path):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _new_name() -> str:
    """Return a name for what this process is writing."""
    return f"{UNFINISHED}{os.getpid()}-{secrets.token_hex(4)}"


def _is_being_written(path: Path) -> bool:
    """Whether the other process whose number is in the name is there; not known on Windows."""
    number = path.name.removeprefix(UNFINISHED).partition("-")[0]
    if os.name == "nt" or not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # there, and another user's
        return True
    return True


def flush_file(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def flush_folder(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where its file system can.

    Windows opens no folders, and some that are shared over a network or with a guest flush none.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        os.fsync(handle)
    os.close(handle)
