"""One process trains a run at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from circlemnist.errors import UserError
from circlemnist.runs.run import Run
from circlemnist.runs.whole_files import remove_unfinished


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep other processes from training the run; the system frees the lock of one that died.

    Raises:
        UserError: another process trains the run, or its folder cannot be written.
    """
    lock = FileLock(run.lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{run.name} is being trained by another process: wait for its end, or stop it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write into {run.folder}: {error.strerror}") from error
    try:
        remove_unfinished(run.folder)
        yield
    finally:
        lock.release()
