"""A sweep from its plan to its table and picture."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NoReturn

import torch
from tqdm.auto import tqdm

from circlemnist.config import Config
from circlemnist.data.datasets import SHOTS, Dataset, load_dataset
from circlemnist.data.extra_classes import with_extra_classes
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.group import Group, in_words
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.evaluation.metrics import has_few_shot
from circlemnist.models.precision import resolve_device, resolve_precision
from circlemnist.plots.draw import save
from circlemnist.plots.style import Style
from circlemnist.plots.sweep import draw_sweep
from circlemnist.process import Stopped, StopSignals, unread_is_fine
from circlemnist.runs.run import alone, check_name
from circlemnist.sweep.plan import Plan, Varied
from circlemnist.sweep.storage import (
    DATABASE,
    JOURNAL,
    Database,
    Journal,
    SweepFolder,
    open_sweep,
)
from circlemnist.sweep.study import Claim, SweepStudy
from circlemnist.sweep.worker import GALLERY, Answer, Workers
from circlemnist.training.progress import Mode, new_bar

GLANCE = 0.5  # seconds between two looks for a signal, or for a cell that is left
TRIES = 3  # of a cell whose worker dies each time


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has trained so far."""

    folder: SweepFolder
    plan: Plan  # with the data set known
    groups: list[Group]  # combinations, with the seeds that are evaluated
    failures: list[tuple[Varied, str]]  # combinations that cannot be trained, and why
    repeats: int = 0  # cells that a search has drawn again, and not trained

    @property
    def cells(self) -> int:
        """How many cells are evaluated."""
        return sum(len(group.seeds) for group in self.groups)


class SweepInterrupted(Exception):
    """A signal stopped a sweep; `exit_code` is 128 and the number of the signal."""

    def __init__(self, name: str, cells: str, exit_code: int) -> None:
        super().__init__(f"stopped; {name} has {cells} cells, and every step of the others")
        self.exit_code = exit_code


def run_sweep(
    plan: Plan,
    outputs: Path,
    name: str | None,
    storage: str | None,
    jobs: int,
    mode: Mode,
    say: Callable[[str], object],
) -> SweepResult:
    """Train all cells of a checked plan, or those that are left, and write and draw their metrics.

    Args:
        name: of the sweep; None for the default name of the plan.
        storage: URL of a database; None for a journal in the sweep's folder.
        jobs: cells trained at once.
        say: shows a line that the user should know.

    Raises UserError before anything is trained, SweepInterrupted where a signal came meanwhile, and
    Stopped where it came before.
    """
    if name is not None:
        check_name(name)
    with StopSignals() as stop:
        database = None if storage is None else Database(storage)
        plan = _with_data(plan, mode == "quiet", say)
        with _opened(plan, outputs, name, database) as (folder, study):
            values = [value for group in study.groups() for value in group.values(plan.metric)]
            progress = SweepProgress(mode, plan, values, say)
            try:
                with stop.between_steps():
                    _Loop(plan, folder, study, progress).train_all(jobs, stop)
            except Stopped as stopped:
                cells = f"{study.done} of {plan.cells}"
                raise SweepInterrupted(folder.name, cells, stopped.exit_code) from None
            groups, style = study.groups(), Style()
            folder.write_results(groups)
            if groups and plan.axes:
                figure = draw_sweep(groups, plan.metric, style, plan.images)
                path = folder.plots / f"{plan.metric.replace('/', '-')}.png"
                save(figure, path, style.width)
            return SweepResult(folder, plan, groups, study.failures, study.repeats)


def _with_data(plan: Plan, quiet: bool, say: Callable[[str], object]) -> Plan:
    """Return the plan with its data set known, which serves all cells, as the device does."""

    @cache
    def load(data: Config) -> Dataset:
        folder = Path(data.data_dir)
        return load_dataset(data.dataset, folder, quiet=quiet, say=say, config=data)

    for device, precision in sorted({(c.device, c.precision) for c in plan.configs}):
        resolve_precision(precision, resolve_device(device))
    resolved = plan
    if "dataset" not in plan.grid[0]:
        whole = load(plan.configs[0].data)
        resolved = plan.for_dataset(whole.name, whole.classes, len(whole.train))
    for asked, resolved_config in zip(plan.configs, resolved.configs, strict=True):
        whole = load(asked.data)
        config = resolved_config.for_dataset(whole.name, whole.classes)
        dataset = whole.used_by(config)
        if plan.metric.startswith("few-shot/") and dataset.unseen is not None:
            gallery = dataset.train.labels[: GALLERY if config.holdout else None]
            if not has_few_shot(torch.cat([gallery, dataset.unseen.labels])):
                raise SettingError("metric", f"{plan.metric} takes {SHOTS} images of each class")
        # extra classes take their time
        if (config.batch_size or 0) > len(dataset.train):
            left = len(with_extra_classes(dataset.train, config))
            if config.batch_size > left:
                raise SettingError("batch_size", f"must be ≤ {left}, the training images")
    return resolved


@contextmanager
def _opened(
    plan: Plan, outputs: Path, name: str | None, database: Database | None
) -> Iterator[tuple[SweepFolder, SweepStudy]]:
    """Give the folder and the study of a plan, those that are there or new ones."""
    name = name or plan.default_name
    if database is None:
        folder = open_sweep(outputs, name, plan, JOURNAL)
        with alone(folder.folder, "swept"):
            yield folder, SweepStudy(Journal(folder.journal_file), name, plan)
        return
    with closing(database):
        SweepFolder(outputs / name).is_there(plan, DATABASE)
        study = SweepStudy(database, name, plan)  # ahead of a new folder: it may refuse the name
        with database.errors(), database.exclusive(plan.identity):
            folder = open_sweep(outputs, name, plan, DATABASE)
        yield folder, study


class SweepProgress:
    """Shows the cells of a sweep on standard error (the bar) or output (the lines).

    `values` are those of the plan's metric of the cells that were evaluated before.
    """

    def __init__(
        self, mode: Mode, plan: Plan, values: Sequence[float], say: Callable[[str], object]
    ) -> None:
        self._mode, self._plan, self._values, self._say = mode, plan, list(values), say
        self._bar: tqdm[NoReturn] | None = None

    def cell(self, words: str, value: float, done: int) -> None:
        """Show a cell that is evaluated, with which so many are done."""
        self._values.append(value)
        if self._mode == "lines":
            with unread_is_fine(sys.stdout):
                print(f"{done}/{self._plan.cells}  {words}  {self._written(value)}", flush=True)
        self.show(done)

    def show(self, done: int) -> None:
        """Show in the bar that so many cells are done, and the best value."""
        if self._mode != "bar":
            return
        best = min if METRICS[self._plan.metric].low else max
        value = f"  best {self._written(best(self._values))}" if self._values else ""
        text = f"{done}/{self._plan.cells} {{bar}} {{remaining}} left{value}"
        with unread_is_fine(sys.stderr):
            if self._bar is None:
                self._bar = new_bar(text, self._plan.cells, done)
            self._bar.bar_format = text
            self._bar.update(done - self._bar.n)
            self._bar.refresh()

    def note(self, line: str) -> None:
        with unread_is_fine(sys.stderr), tqdm.external_write_mode(sys.stderr):
            self._say(line)

    def close(self) -> None:
        if self._bar is not None:
            with unread_is_fine(sys.stderr):
                self._bar.close()

    def _written(self, value: float) -> str:
        metric = METRICS[self._plan.metric]
        return f"{self._plan.metric} {metric.number(value * metric.factor)}"


@dataclass
class _Loop:
    """Claims trials, lets workers train their cells, and records the metrics."""

    plan: Plan
    folder: SweepFolder
    study: SweepStudy
    progress: SweepProgress
    begun: list[Claim] = field(default_factory=list)  # with seeds that no worker trains

    def train_all(self, jobs: int, stop: StopSignals) -> None:
        """Train all cells; where it raises, all workers have saved their last step."""
        threads = max(1, torch.get_num_threads() // jobs)
        with closing(self.progress), closing(Workers(threads)) as workers:
            while True:
                stop.check()
                self.study.beat()
                while workers.busy < jobs and (claim := self._next_claim()):
                    self._give(claim, workers)
                if workers.busy:
                    for claim, answer in workers.answers(GLANCE):
                        self._take(claim, answer)
                elif self.study.done == self.plan.cells:
                    return
                else:
                    time.sleep(GLANCE)

    def _next_claim(self) -> Claim | None:
        if self.begun:
            return self.begun.pop()
        claim = self.study.claim()
        self.progress.show(self.study.done)  # a search may have drawn what is trained
        return claim

    def _give(self, claim: Claim, workers: Workers) -> None:
        seed = claim.seeds[0]
        try:
            config = self.plan.config(claim.varied, seed)
        except SettingError as error:
            self._fail(claim, str(error))
            return
        in_search = f"trial{claim.key}_seed{seed}"
        name = in_search if isinstance(claim.key, int) else self.plan.cell_names[claim.key]
        # the precision is resolved once for all workers: each might find another
        precision = resolve_precision(config.precision, resolve_device(config.device))
        workers.give(claim, replace(config, precision=precision), self.folder.cells / name)

    def _take(self, claim: Claim, answer: Answer | None) -> None:
        words = in_words({**claim.varied, "seed": claim.seeds[0]})
        if answer is None:
            claim.deaths += 1
            if claim.deaths == TRIES:
                raise UserError(f"{words}: its worker died {TRIES} times; lower `jobs`")
            self.progress.note(f"{words}: its worker died, and another goes on with it")
            self.begun.append(claim)
        elif answer.kind == "done":
            self.study.record(claim, answer.metrics)
            self.progress.cell(words, answer.metrics[self.plan.metric], self.study.done)
            if claim.seeds:
                claim.deaths = 0
                self.begun.append(claim)
        elif answer.kind == "failed":
            self._fail(claim, answer.words)
        elif answer.kind == "error":
            raise UserError(answer.words)
        else:
            self.progress.note(f"{words}: {answer.words}")

    def _fail(self, claim: Claim, reason: str) -> None:
        self.study.fail(claim, reason)
        self.progress.note(f"{in_words(claim.varied)} failed: {reason}")
        self.progress.show(self.study.done)
