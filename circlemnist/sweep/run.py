"""The loop of a sweep: claims cells, has them trained, keeps what they reached."""

import time
from contextlib import closing
from dataclasses import dataclass, field

import torch

from circlemnist.config import Config
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.group import described
from circlemnist.sweep.folder import SweepFolder
from circlemnist.sweep.plan import Plan
from circlemnist.sweep.progress import SweepProgress
from circlemnist.sweep.study import Claim, SweepStudy
from circlemnist.sweep.worker import Answer, Job
from circlemnist.sweep.workers import Workers
from circlemnist.training.precision import settled
from circlemnist.training.signals import StopSignals

GLANCE = 0.2  # seconds from one look for a signal to the next
SELDOM = 1.0  # seconds from one look for a cell that another machine has left to the next
TRIES = 3  # of a cell whose worker dies each time


@dataclass
class Task:
    """A cell that a worker is busy with, and how often one has died of it."""

    claim: Claim
    seed: int
    config: Config
    begun: float = field(default_factory=time.monotonic)
    deaths: int = 0

    @property
    def words(self) -> str:
        return described({**self.claim.varied, "seed": self.seed})


class Walk:
    """A sweep on its way, from what is done of it to the last cell."""

    def __init__(
        self, plan: Plan, folder: SweepFolder, study: SweepStudy, progress: SweepProgress
    ) -> None:
        self._plan, self._folder, self._study, self._progress = plan, folder, study, progress
        self._next: list[Task] = []  # of claims that are begun
        self._looked = -SELDOM

    def to_end(self, jobs: int, stop: StopSignals) -> None:
        """Train all cells that no other machine trains, and wait for those.

        Args:
            jobs: cells at once, each with its share of the cores.

        Raises:
            UserError: a folder cannot be written, the storage does not answer, or a worker dies
                again and again; the other workers keep their last step.
            Stopped: a signal has come; all workers have kept their last step.
        """
        workers: Workers[Task] = Workers(jobs, max(1, torch.get_num_threads() // jobs))
        with closing(self._progress), workers:
            while True:
                stop.check()
                self._study.beat()
                while workers.free and (task := self._task()):
                    workers.give(task, Job(task.config, self._folder.cells, self._name(task)))
                if workers.busy:
                    for task, answer in workers.answers(GLANCE):
                        self._take(task, answer)
                elif self._study.finished:
                    return
                else:
                    time.sleep(GLANCE)

    def _task(self) -> Task | None:
        """Return a cell to train, or None where there is none for now."""
        if self._next:
            return self._next.pop()
        while time.monotonic() - self._looked >= SELDOM:
            claim = self._study.claim()
            self._progress.repeats(self._study.repeats)
            if claim is None:
                self._looked = time.monotonic()
            elif task := self._begun(claim):
                return task
        return None

    def _begun(self, claim: Claim) -> Task | None:
        """Return the first cell of a claim that is left; None where its settings do not fit."""
        try:
            config = self._plan.config(claim.varied, claim.seeds[0])
        except SettingError as error:
            self._fail(claim, str(error))
            return None
        # here, once for all workers: each for itself might find another gain
        return Task(claim, claim.seeds[0], settled(config))

    def _take(self, task: Task, answer: Answer | None) -> None:
        """Do what an answer asks for."""
        claim = task.claim
        if answer is None:
            task.deaths += 1
            if task.deaths == TRIES:
                raise UserError(f"{task.words}: its worker died {TRIES} times; lower `jobs`")
            self._progress.note(f"{task.words}: its worker died, and another goes on with it")
            self._next.append(task)
        elif answer.kind == "done":
            self._study.record(claim, task.seed, answer.metrics)
            seconds = time.monotonic() - task.begun
            self._progress.cell(task.words, answer.metrics[self._plan.metric], seconds)
            if claim.seeds and (following := self._begun(claim)):
                self._next.append(following)
        elif answer.kind == "failed":
            self._fail(claim, answer.words)
        elif answer.kind == "error":
            raise UserError(answer.words)
        else:
            self._progress.note(f"{task.words}: {answer.words}")

    def _fail(self, claim: Claim, reason: str) -> None:
        self._study.fail(claim, reason)
        self._progress.failed(described(claim.varied), reason, len(claim.seeds))

    def _name(self, task: Task) -> str:
        """The folder of a cell: by its settings, or of a search by the number of its trial."""
        if self._plan.trials is not None:
            return f"trial{task.claim.number}_seed{task.seed}"
        return self._plan.names[tuple(task.claim.varied.values()), task.seed]
