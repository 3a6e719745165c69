"""One process at a time trains a run, or walks a sweep."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from circlemnist.errors import UserError
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import remove_unfinished


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
