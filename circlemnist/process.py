"""This process and the system around it: threads, ranks, signals, output. Imports no torch."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple, NoReturn, Self, TextIO

# OpenMP's threads spin at the end of every parallel loop until the last has come. While they spin,
# they keep a core from other processes: beside one busy process a training on two cores took many
# times as long. Threads that spin only briefly, then sleep, do not (docs/benchmarks.md).
SPINS = "1000"  # of GNU's OpenMP, which spins 300,000 times by default
CHOSEN_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]

# seconds for a launcher to end all processes when rank 0 has; then the others speak for themselves
PATIENCE = 5.0
# seconds for rank 0 to print its last line, where it ends well
COURTESY = 1.0

SILENCE = 0.5  # seconds of work before it is shown
_works_on_terminal: list[threading.Event] = []  # the innermost last
_reports_work = False


def share_cores() -> None:
    """Have threads spin briefly, unless the user's environment says how they wait.

    Without effect once torch is loaded, and with another OpenMP than GNU's. Results are the same
    bits.
    """
    if not any(name in os.environ for name in CHOSEN_BY_USER):
        os.environ["GOMP_SPINCOUNT"] = SPINS


class Ranks(NamedTuple):
    """The ranks of this process, in torchrun's terms; by default it is alone."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def torchrun_ranks() -> Ranks:
    """Return the ranks that torchrun gave this process by its environment; alone without them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    values = [os.environ.get(name, "") for name in names]
    if not all(value.isdecimal() for value in values):
        return Ranks()
    return Ranks(*map(int, values[:-1]))


def wait_for_rank_zero(seconds: float) -> None:
    """Sleep in all processes but rank 0, which reports an error for all of them.

    The launcher ends the others when rank 0 ends; one that wakes up reports by itself.
    """
    if torchrun_ranks().rank > 0:
        time.sleep(seconds)


class Stopped(BaseException):
    """A signal asked to stop. Not an `Exception`: nothing but the command may catch it for good."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


_cleanups: list[Callable[[], object]] = []  # what `end_at_once` calls


@contextmanager
def cleanup(clean: Callable[[], object]) -> Iterator[None]:
    """Call `clean` at the end of the block, or where `end_at_once` ends the process within."""
    _cleanups.append(clean)
    try:
        yield
    finally:
        try:
            clean()
        finally:
            _cleanups.remove(clean)


def end_at_once(exit_code: int) -> NoReturn:
    """End the process, whatever its threads do, and leave nothing half-written."""
    for clean in reversed(_cleanups):
        with suppress(Exception):
            clean()
    os._exit(exit_code)


def end_by_signal(signum: int, frame: FrameType | None = None) -> NoReturn:
    """Say in a line that the process was stopped, and end it: the handler of every command.

    An exception would be swallowed where C code calls Python, or wait for threads that read.
    """
    ignore_signals()
    if torchrun_ranks().rank == 0:
        with suppress(OSError):  # not by `sys.stderr`, which may be in the middle of a line
            os.write(2, b"\nstopped\n" if os.isatty(2) else b"stopped\n")
    end_at_once(128 + signum)


def handle_signals(handler: Any) -> dict[int, Any]:
    """Set the handler of `SIGNALS`, but of ignored ones (SIGHUP under nohup); return those before.

    Off the main thread, where Python allows no handlers, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    handled = {signum: b for signum, b in before.items() if b is not signal.SIG_IGN}
    for signum in handled:
        signal.signal(signum, handler)
    return handled


def ignore_signals() -> None:
    """Ignore the signals that `StopSignals` handles: this process is about to end by itself."""
    handle_signals(signal.SIG_IGN)


def last_words(line: str) -> None:
    """Print why the program was stopped, ahead of its end; signals that come later add nothing."""
    if signal.getsignal(signal.SIGTERM) == end_by_signal:
        ignore_signals()
    to_stderr(line)


class StopSignals:
    """Turns the first SIGINT, SIGTERM or SIGHUP into `Stopped`; a second one ends the process.

    `Stopped` is raised at once, or within `between_steps` by the next `check`, at the latest at
    its end. Other code may swallow it, or raise its own error from it, as an extension module does
    while it is imported. Then `Stopped` is raised once more when the block ends.

    Processes that train together stop at the same `check`: `max_over_processes` returns the largest
    of their signals, 0 for none.
    """

    def __init__(self, max_over_processes: Callable[[int], int] = lambda signum: signum) -> None:
        self.received: int | None = None
        self.waits = False  # for the next check
        self._max_over_processes = max_over_processes
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._handlers_before = handle_signals(self._handle)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for signum, before in self._handlers_before.items():
            if signal.getsignal(signum) == self._handle:
                signal.signal(signum, before)
        cause = error
        while cause is not None and not isinstance(cause, Stopped):
            cause = cause.__cause__
        if error is None or cause is not None:
            self._raise_received()

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """Within, a signal waits for the next `check`."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False
        self._raise_received()

    def check(self) -> None:
        """Raise `Stopped` where a signal has come to one of the processes."""
        if received := self._max_over_processes(self.received or 0):
            raise Stopped(received)

    def _raise_received(self) -> None:
        if self.received is not None:
            raise Stopped(self.received)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            end_by_signal(signum)
        self.received = signum
        if not self.waits:
            raise Stopped(signum)


@contextmanager
def unread_is_fine(stream: TextIO) -> Iterator[None]:
    """Within, a write to `stream` that nobody can read ends in silence, as do all later ones."""
    try:
        yield
    except OSError:
        # Python writes the rest of its buffer at its end: so the file descriptor leads to nowhere.
        # A stream of a test has no file descriptor
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def loading(shown: bool = True) -> Iterator[None]:
    """Within, torch is loaded; from here on a terminal shows what `working` says, if `shown`."""
    global _reports_work
    _reports_work = shown and torchrun_ranks().rank == 0
    with working("loading torch"):
        yield


@contextmanager
def working(words: str) -> Iterator[None]:
    """Within, show on a terminal what is being done and for how long: "t-SNE … 3 s".

    Only after `loading`, and only what takes a while; of works in one another the innermost.
    """
    if not _reports_work or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    begun, ended = time.monotonic(), threading.Event()

    def show() -> None:
        if ended.wait(SILENCE):
            return
        _works_on_terminal.append(ended)
        while not ended.is_set():
            if _works_on_terminal[-1] is ended:
                _write_over(f"{words} … {time.monotonic() - begun:.0f} s")
            ended.wait(1)
        _works_on_terminal.remove(ended)
        _write_over("")

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _write_over(text: str) -> None:
    """Replace the last line of the terminal."""
    with unread_is_fine(sys.stderr):
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        sys.stderr.write(f"\r{text[:width]:{width}}\r{text[:width]}")
        sys.stderr.flush()


def to_stderr(line: str) -> None:
    """Print a line on standard error, whether or not somebody reads it."""
    if sys.stderr is None:  # print would take standard output
        return
    if _works_on_terminal:
        _write_over("")
    with unread_is_fine(sys.stderr):
        print(line, file=sys.stderr, flush=True)
