"""The worker processes of a sweep, as the sweep sees them."""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

from circlemnist.sweep.worker import Answer, Job, work
from circlemnist.training.signals import NAMES

Task = TypeVar("Task")


class Hired(Generic[Task]):
    """A worker process and the task that it is busy with.

    Spawned, not forked: a process that has run torch does not fork well.
    """

    def __init__(self, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.connection: Connection
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(theirs, threads), daemon=True)
        with _no_signals():
            self.process.start()
        theirs.close()  # so that its death closes the connection
        self.task: Task | None = None


@contextmanager
def _no_signals() -> Iterator[None]:
    """Within, a process that is begun hears no Ctrl-C, not even while it loads its modules."""
    names = [name for name in NAMES if hasattr(signal, name)]
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, name) for name in names])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers(Generic[Task]):
    """At most `count` worker processes, each begun when there is a job for it.

    Left, it asks all of them to keep their last step and end, and waits for that.

    Args:
        threads: of each.
    """

    def __init__(self, count: int, threads: int) -> None:
        self._count, self._threads = count, threads
        self._hired: list[Hired[Task]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._hired:
            worker.connection.close()
        for worker in self._hired:
            worker.process.join()

    @property
    def busy(self) -> list[Task]:
        """What they are busy with."""
        return [worker.task for worker in self._hired if worker.task is not None]

    @property
    def free(self) -> bool:
        """Whether there is one for another job."""
        return len(self.busy) < self._count

    def give(self, task: Task, job: Job) -> None:
        """Give a job to a worker that is free, for the sake of a task."""
        worker = next((each for each in self._hired if each.task is None), None)
        if worker is None:
            worker = Hired(self._threads)
            self._hired.append(worker)
        worker.task = task
        with suppress(OSError):  # where it died just now, its connection will say so
            worker.connection.send(job)

    def answers(self, seconds: float) -> Iterator[tuple[Task, Answer | None]]:
        """Give what came within so many seconds; None for a task whose worker died."""
        hired = {worker.connection: worker for worker in self._hired}
        for connection in wait(list(hired), seconds):
            assert isinstance(connection, Connection)
            worker = hired[connection]
            try:
                answer = connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                connection.close()
                self._hired.remove(worker)
                answer = None
            task = worker.task
            if answer is None or answer.kind != "note":
                worker.task = None
            if task is not None:
                yield task, answer
