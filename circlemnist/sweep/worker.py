"""The worker processes of a sweep: the work of one, and how the sweep talks to them."""

import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.errors import Unwritten, UserError
from circlemnist.evaluation.evaluate import check_pictures
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.process import SIGNALS, Stopped, StopSignals, end_at_once, ignore_signals
from circlemnist.runs.run import Run, create_run, locked
from circlemnist.sweep.study import Claim
from circlemnist.training.progress import Progress
from circlemnist.training.run import Training, environment
from circlemnist.training.state import Diverged

# training images that validation images are compared with: with all 55,000 an evaluation would
# take several times as long, and choose no better; test images are compared with all, as everywhere
GALLERY = 10_000
# seconds for a worker of a sweep that was killed to notice it, and to save its last step
PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """What a worker says of its cell: "done", with the metrics, or the other kinds, in words."""

    # "failed": trying again would end the same; "error": a user can mend it; "note": it trains on
    kind: Literal["done", "failed", "error", "note"]
    metrics: dict[str, float]
    words: str = ""


class Workers:
    """Worker processes of so many threads, each begun when there is a cell for it.

    `close` asks all of them to save their last step and end, and waits for that.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._processes: dict[Connection, BaseProcess] = {}
        self._claims: dict[Connection, Claim] = {}  # of those that are busy
        self._loaded: dict[BaseProcess, Any] = {}  # 1 where a worker has loaded its modules

    def close(self) -> None:
        for connection in self._processes:
            connection.close()
        for process in self._processes.values():
            if not self._loaded[process].value:  # it has done nothing yet
                process.kill()
            process.join()

    @property
    def busy(self) -> int:
        return len(self._claims)

    def give(self, claim: Claim, config: Config, folder: Path) -> None:
        """Let a free worker train the cell of a claim, or go on with it, in its run folder."""
        idle = (pipe for pipe in self._processes if pipe not in self._claims)
        connection = next(idle, None) or self._start()
        self._claims[connection] = claim
        with suppress(OSError):  # where it died just now, its connection will say so
            connection.send((config, folder))

    def _start(self) -> Connection:
        """Start a worker: spawned, since a process that has run torch does not fork well."""
        spawn = multiprocessing.get_context("spawn")
        connection, worker_end = spawn.Pipe()
        loaded = spawn.RawValue("b", 0)
        process = spawn.Process(target=work, args=(worker_end, self._threads, loaded), daemon=True)
        self._loaded[process] = loaded
        # it ignores Ctrl-C even while it loads its modules
        if has_masks := hasattr(signal, "pthread_sigmask"):
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            if has_masks:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        worker_end.close()  # so that its death closes the connection
        self._processes[connection] = process
        return connection

    def answers(self, seconds: float) -> Iterator[tuple[Claim, Answer | None]]:
        """Yield what came within so many seconds; None for a claim whose worker died."""
        for connection in wait(list(self._processes), seconds):
            assert isinstance(connection, Connection)
            claim = self._claims.get(connection)
            try:
                answer = connection.recv()
            except (EOFError, OSError):
                self._processes.pop(connection).join()
                connection.close()
                answer = None
            if answer is None or answer.kind != "note":
                self._claims.pop(connection, None)
            if claim is not None:
                yield claim, answer


def work(connection: Connection, threads: int, loaded: Any) -> None:
    """Train the cells that come through `connection`, until it closes.

    Ctrl-C reaches the whole group of processes: only the sweep itself answers it, and closes the
    connection. It closes too where the sweep is killed. The worker saves its last step and ends.
    """
    ignore_signals()
    loaded.value = 1
    torch.set_num_threads(threads)
    stop = StopSignals()
    cells: queue.Queue[tuple[Config, Path] | None] = queue.Queue()

    def listen() -> None:
        with suppress(EOFError, OSError):
            while True:
                cells.put(connection.recv())
        stop.received = signal.SIGTERM
        if not stop.waits:  # what it does now has no steps to save
            end_at_once(0)
        cells.put(None)

    threading.Thread(target=listen, daemon=True).start()
    worker = Worker(connection, stop)
    with suppress(Stopped, OSError):  # OSError: nobody waits for an answer
        while cell := cells.get():
            connection.send(worker.answer(*cell))


class Worker:
    """Trains cells on data sets that it loads once."""

    def __init__(self, connection: Connection, stop: StopSignals) -> None:
        self._connection, self._stop = connection, stop
        self._dataset = cache(self._load)

    def answer(self, config: Config, folder: Path) -> Answer:
        """Train a cell in its run folder, or go on with it there, and evaluate it."""
        self._stop.check()
        try:
            return Answer("done", self._train(config, Run(folder)))
        except Diverged as error:
            return Answer("failed", {}, str(error))
        except Unwritten as error:
            mend = "make room, then give the same command of the sweep again"
            return Answer("error", {}, f"{error.reason}; {mend}")
        except ConnectionError:  # of a note, that nobody waits for
            raise
        except (UserError, OSError) as error:
            return Answer("error", {}, f"{folder.name}: {error}")

    def _train(self, config: Config, run: Run) -> dict[str, float]:
        begun = run if run.config_file.exists() else None
        device = resolve_device(config.device)
        precision = begun.config().precision if begun is not None else config.precision
        config = replace(config, precision=resolve_precision(precision, device))
        training = Training(config, self._dataset(config.data), device, self._note)
        if begun is not None:
            check_pictures(begun, training.dataset)
        else:
            folder, name = run.folder.parent, run.name
            run = create_run(folder, name, training.config, environment(training))
        with locked(run, PATIENCE):
            progress = Progress("quiet", training.config, len(training.split), self._note)
            trained = training.fit(run, progress, self._stop)
            return trained.evaluate(GALLERY if training.config.holdout else None).metrics

    def _note(self, line: str) -> None:
        self._connection.send(Answer("note", {}, line))

    def _load(self, data: Config) -> Dataset:
        folder, silence = Path(data.data_dir), lambda _line: None  # the sweep has said it
        return load_dataset(data.dataset, folder, quiet=True, say=silence, config=data)
