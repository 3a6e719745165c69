"""A process that trains cells, one after another."""

import queue
import signal
import threading
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.errors import Unwritten, UserError
from circlemnist.runs.new_run import create_run, locked
from circlemnist.runs.run import Run
from circlemnist.training.precision import settled
from circlemnist.training.progress import Progress
from circlemnist.training.run import Training, environment
from circlemnist.training.signals import NAMES, Stopped, StopSignals
from circlemnist.training.state import Diverged

# training images that held-out ones are compared with: of all 55,000 measuring would take several
# times as long, and choose no better; test images are compared with all, as everywhere
GALLERY = 10_000
# seconds for a worker of a sweep that was killed to notice it, and to keep its last step
PATIENCE = 60.0


@dataclass(frozen=True)
class Job:
    """A cell to train.

    Attributes:
        config: its settings.
        cells: the folder of cells.
        name: of its run in there, new or begun.
    """

    config: Config
    cells: Path
    name: str


@dataclass(frozen=True)
class Answer:
    """What a worker says of its job.

    Attributes:
        kind: "done", with the metrics; "failed", where trying again would end the same; "error",
            for what a user can mend; "note", while it trains.
    """

    kind: Literal["done", "failed", "error", "note"]
    metrics: dict[str, float]
    words: str = ""


def work(connection: Connection, threads: int) -> None:
    """Train the cells that come through `connection`, until it closes or None comes.

    Ctrl-C reaches the whole group of processes: only the sweep itself answers it, and tells its
    workers. Where it was killed, `connection` closes, and the worker keeps its last step and ends.

    Args:
        threads: of this worker's share of the cores.
    """
    for name in NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(threads)
    stop = StopSignals()
    jobs: queue.Queue[Job | None] = queue.Queue()
    threading.Thread(target=_listen, args=(connection, jobs, stop), daemon=True).start()
    worker = Worker(connection, stop)
    try:
        while job := jobs.get():
            connection.send(worker.answer(job))
    except (Stopped, OSError):
        pass  # nobody waits for an answer


def _listen(connection: Connection, jobs: "queue.Queue[Job | None]", stop: StopSignals) -> None:
    job: Job | None = None
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            job = None
        if job is None:
            stop.received = signal.SIGTERM
        jobs.put(job)
        if job is None:
            return


class Worker:
    """Trains cells on data sets that it loads once."""

    def __init__(self, connection: Connection, stop: StopSignals) -> None:
        self._connection, self._stop = connection, stop
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._environments: dict[tuple[object, ...], dict[str, object]] = {}

    def answer(self, job: Job) -> Answer:
        """Train a cell, or go on with it, and measure it.

        Raises:
            Stopped: the sweep ends; the checkpoint is that of the last step.
        """
        self._stop.check()
        try:
            return Answer("done", self._train(job))
        except Diverged as error:
            return Answer("failed", {}, str(error))
        except Unwritten as error:
            mend = "make room, then give the same command of the sweep again"
            return Answer("error", {}, f"{error.reason}; {mend}")
        except UserError as error:
            return Answer("error", {}, f"{job.name}: {error}")
        except ConnectionError:  # of a note, that nobody waits for
            raise
        except OSError as error:
            return Answer("error", {}, f"{job.name}: {error}")

    def _train(self, job: Job) -> dict[str, float]:
        run, begun = Run(job.cells / job.name), None
        config = job.config
        if run.config_file.exists():
            begun, config = run, replace(config, precision=run.config().precision)
        training = Training(settled(config, begun), self._dataset(config), self._note)
        if begun is None:
            run = create_run(job.cells, job.name, training.config, self._environment(training))
        with locked(run, PATIENCE):
            progress = Progress("quiet", training.config, len(training.split), self._note)
            trained = training.to_end(run, progress, self._stop)
            return trained.evaluate(GALLERY if training.config.holdout else None).metrics

    def _note(self, line: str) -> None:
        self._connection.send(Answer("note", {}, line))

    def _dataset(self, config: Config) -> Dataset:
        key = (config.dataset, config.data_dir)
        if key not in self._datasets:
            self._datasets[key] = load_dataset(key[0], Path(key[1]), quiet=True, say=self._note)
        return self._datasets[key]

    def _environment(self, training: Training) -> dict[str, Any]:
        """What cells run on: found out once, since it hashes the images and asks git."""
        config = training.config
        images = (config.dataset, config.data_dir, config.holdout, config.unseen)
        key = (*images, str(training.device))
        if key not in self._environments:
            self._environments[key] = environment(training)
        return {**self._environments[key], "seed": config.seed}
