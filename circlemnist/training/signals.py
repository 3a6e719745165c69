"""Signals that ask a training to stop: Ctrl-C, a shutdown, a closed terminal."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(BaseException):
    """A signal asked to stop. Not an `Exception`: nothing but the command may catch it for good."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class StopSignals:
    """Turns the first SIGINT, SIGTERM or SIGHUP into `Stopped`; a second one ends the process.

    `Stopped` is raised at once, or within `between_steps` by the next `check`. A signal that is
    ignored already (SIGHUP under nohup) stays so. Off the main thread, where Python allows no
    handlers, this does nothing.

    Args:
        largest: of the signals of all processes that train together, 0 for none; they stop at the
            same `check`. By default this process is alone.
    """

    def __init__(self, largest: Callable[[int], int] = lambda signum: signum) -> None:
        self.received: int | None = None
        self._largest = largest
        self._waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                before = signal.getsignal(signum)
                if before is not signal.SIG_IGN:
                    self._before[signum] = before
                    signal.signal(signum, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, before in self._before.items():
            if signal.getsignal(signum) == self._handle:
                signal.signal(signum, before)

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """Within, a signal waits for the next `check`."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def check(self) -> None:
        """Raise `Stopped` where a signal has come to one of the processes."""
        if received := self._largest(self.received or 0):
            raise Stopped(received)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + signum)
        self.received = signum
        if not self._waits:
            raise Stopped(signum)


def ignore_signals() -> None:
    """Let none of them end this process any more, which is about to end by itself."""
    if threading.current_thread() is threading.main_thread():
        for name in NAMES:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
