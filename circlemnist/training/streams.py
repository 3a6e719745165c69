"""Output whose reader may have gone: a closed terminal, the end of a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def unread_is_fine(stream: TextIO) -> Iterator[None]:
    """Within, a write to `stream` that nobody can read ends in silence, and so do all later ones.

    Python writes what is left in the buffer once more when it ends, and would report that as an
    error then, so the file descriptor is led to nowhere.
    """
    try:
        yield
    except OSError:
        # a stream of a test has no file descriptor
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def to_stderr(line: str) -> None:
    """Print a line on standard error, whether or not somebody reads it."""
    if sys.stderr is None:  # print would take standard output
        return
    with unread_is_fine(sys.stderr):
        print(line, file=sys.stderr, flush=True)
