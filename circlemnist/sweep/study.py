"""The queue of a sweep: a study of Optuna.

A grid enqueues its trainings, a search draws its combinations by TPE. A process asks for a trial,
trains it and tells its value. A trial whose process died fails, and goes into the queue once more
as a new trial; its run folder knows how far it was trained.
"""

import copy
import time
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna import distributions as spaces
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import TPESampler
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from circlemnist.config import setting_type
from circlemnist.errors import UserError
from circlemnist.evaluation.group import Group, in_words
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.limits import Value
from circlemnist.sweep.plan import Axis, Plan, Varied
from circlemnist.sweep.storage import HEARTBEAT, Database, Journal

# user attributes: of a study its plan; of a trial, beside the metrics under each seed, its own
# number, once it has a heartbeat, which the copied attributes of a retry do not have; and why it
# cannot be trained
IDENTITY, CLAIMED, FAILED = "identity", "claimed", "failed"

# what a trial shares with its retries: in a grid the values of its settings and the seed, in a
# search the number of the first of them
Key = tuple[Value, ...] | int


@dataclass
class Claim:
    """A trial that this process trains: its seeds that are left, the next one first."""

    trial: Trial
    key: Key
    varied: Varied
    seeds: list[int]
    deaths: int = 0  # of workers that trained the next seed


class SweepStudy:
    """The study of a sweep, which several processes may share.

    A grid has a trial for each combination and seed, a search one for each combination.
    """

    def __init__(self, storage: Journal | Database, name: str, plan: Plan) -> None:
        self._storage, self._plan, self._name = storage, plan, name
        self._mine: set[int] = set()  # numbers of the trials that this process trains
        self._last_beat = 0.0
        self._count = plan.trials or plan.cells  # trials, without those of dead processes
        self._distributions = {axis.name: _distribution(axis) for axis in plan.axes}
        if not plan.is_search:
            self._distributions["seed"] = spaces.CategoricalDistribution(plan.seeds)
        with storage.errors(), storage.exclusive(name):
            self._study = optuna.create_study(
                storage=storage.storage,
                study_name=name,
                direction="minimize" if METRICS[plan.metric].low else "maximize",
                load_if_exists=True,
            )
            identity = self._study.user_attrs.get(IDENTITY)
            if identity is None and not self._study.get_trials(deepcopy=False):
                self._study.set_user_attr(IDENTITY, plan.identity)
            elif identity != plan.identity:
                problem = f"has a study {name} of another sweep: give another `name`"
                raise UserError(f"`storage` {problem}")

    def claim(self) -> Claim | None:
        """Return a trial to train, first those of dead processes; None where there is none."""
        with self._storage.errors(), self._storage.exclusive(self._name):
            self._retry_dead()
            while claim := self._ask():
                if claim.seeds:
                    return claim
                self._end(claim)  # its process died late, or an earlier trial is the same
        return None

    def record(self, claim: Claim, metrics: dict[str, float]) -> None:
        """Store the metrics of a claim's next seed, and end the trial with its last one."""
        seed = claim.seeds.pop(0)
        try:
            with self._storage.errors():
                claim.trial.set_user_attr(str(seed), metrics)
                if not claim.seeds:
                    self._end(claim)
        except UpdateFinishedTrialError:  # this process counted as dead, another trains it
            claim.seeds.clear()
            self._mine.discard(claim.trial.number)

    def fail(self, claim: Claim, reason: str) -> None:
        """End a trial that cannot be trained, and could not if it were tried again."""
        # another process that trains it will see the same
        with self._storage.errors(), suppress(UpdateFinishedTrialError):
            claim.trial.set_user_attr(FAILED, reason)
            self._study.tell(claim.trial, state=TrialState.FAIL)
        self._mine.discard(claim.trial.number)

    def beat(self) -> None:
        """Show now and then that this process is alive."""
        if time.monotonic() - self._last_beat >= HEARTBEAT:
            self._last_beat = time.monotonic()
            with self._storage.errors():
                for number in self._mine:
                    self._storage.beat(self._name, number)

    @property
    def done(self) -> int:
        """How many cells are evaluated, or cannot be trained, those that a search repeats too."""
        cells, done = len(self._plan.seeds) if self._plan.is_search else 1, 0
        for trial in self._trials().values():
            # the last one counts with the end of its trial, whose process may die before it
            done += cells if _is_final(trial) else min(len(self._metrics(trial)), cells - 1)
        return done

    @property
    def failures(self) -> list[tuple[Varied, str]]:
        """The combinations that cannot be trained, and why."""
        failed = [trial for trial in self._trials().values() if FAILED in trial.user_attrs]
        return [(self._varied(trial), trial.user_attrs[FAILED]) for trial in failed]

    def groups(self) -> list[Group]:
        """Return what is evaluated, in the order of the grid or of the search."""
        groups: dict[tuple[Value, ...], tuple[Varied, dict[int, dict[str, float]]]] = {}
        for trial in self._trials().values():
            varied = self._varied(trial)
            _, by_seed = groups.setdefault(tuple(varied.values()), (varied, {}))
            for seed, metrics in self._metrics(trial).items():
                by_seed.setdefault(seed, metrics)
        return [Group(in_words(varied), varied, m) for varied, m in groups.values() if m]

    @property
    def repeats(self) -> int:
        """How many cells a search has drawn again, and not trained."""
        drawn = sum(len(self._metrics(trial)) for trial in self._trials().values())
        return drawn - sum(len(group.seeds) for group in self.groups())

    def _retry_dead(self) -> None:
        """Fail the trials of dead processes, and put their settings into the queue once more.

        Optuna does both at once where a storage has the callback, and loses the trial where it is
        killed between them. Here the next process does the rest.
        """
        fail_stale_trials(self._study)  # those of a database
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # no other process asks meanwhile: a trial without a heartbeat died as it was asked for
            beats = self._storage.shared and trial.user_attrs.get(CLAIMED) == trial.number
            if trial.number not in self._mine and not beats:
                self._study.tell(trial.number, state=TrialState.FAIL)
        retry = RetryHeartbeatStaleTrialCallback()
        for trial in self._trials().values():
            if trial.state == TrialState.FAIL and not _is_final(trial):
                retry(self._study, copy.deepcopy(trial))

    def _ask(self) -> Claim | None:
        """Claim the next trial of the queue, of the grid or of the search; None at their end."""
        trials = self._trials()
        if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if len(trials) == self._count:
                return None
            if not self._plan.is_search:  # one by one: each look at a database reads the queue
                values = next(key for key in self._plan.cell_names if key not in trials)
                settings = zip(self._distributions, values, strict=True)
                self._study.enqueue_trial(dict(settings))
        # a new one for each trial: a sweep that goes on draws what it would have drawn
        self._study.sampler = TPESampler(seed=len(trials), constant_liar=True)
        trial = self._study.ask(self._distributions)
        self._storage.beat(self._name, trial.number)
        trial.set_user_attr(CLAIMED, trial.number)
        self._mine.add(trial.number)
        if self._plan.is_search and not self._metrics(trial):
            for earlier in trials.values():  # do not train the same again
                if earlier.state == TrialState.COMPLETE and earlier.params == trial.params:
                    for seed, metrics in self._metrics(earlier).items():
                        trial.set_user_attr(str(seed), metrics)
                    break
        seeds = self._plan.seeds if self._plan.is_search else (trial.params["seed"],)
        left = [seed for seed in seeds if seed not in self._metrics(trial)]
        key = self._key(self._study.get_trials(deepcopy=False)[trial.number])
        return Claim(trial, key, self._varied(trial), left)

    def _end(self, claim: Claim) -> None:
        values = [metrics[self._plan.metric] for metrics in self._metrics(claim.trial).values()]
        self._study.tell(claim.trial, sum(values) / len(values))
        self._mine.discard(claim.trial.number)

    def _trials(self) -> dict[Key, FrozenTrial]:
        """The newest trial of each training, in the order of the grid or of the search.

        A trial that lacks a setting belongs to none: it is in the queue, or its process died as it
        asked.
        """
        with self._storage.errors():
            trials = self._study.get_trials(deepcopy=False)
            drawn = [t for t in trials if t.params.keys() == self._distributions.keys()]
            newest = {self._key(trial): trial for trial in drawn}
        if self._plan.is_search:
            return newest
        return {key: newest[key] for key in self._plan.cell_names if key in newest}

    def _key(self, trial: FrozenTrial) -> Key:
        if not self._plan.is_search:
            return tuple(trial.params[name] for name in self._distributions)
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
        return trial.number if first is None else first

    def _metrics(self, trial: FrozenTrial | Trial) -> dict[int, dict[str, float]]:
        """The metrics of each seed of a trial that is trained."""
        attributes = trial.user_attrs
        return {s: attributes[str(s)] for s in self._plan.seeds if str(s) in attributes}

    def _varied(self, trial: FrozenTrial | Trial) -> Varied:
        params = trial.params
        return {axis.name: params[axis.name] for axis in self._plan.axes}


def _is_final(trial: FrozenTrial) -> bool:
    """Tell whether a trial is trained, or cannot be."""
    return trial.state == TrialState.COMPLETE or FAILED in trial.user_attrs


def _distribution(axis: Axis) -> spaces.BaseDistribution:
    if axis.bounds is None:
        return spaces.CategoricalDistribution(axis.values)
    if setting_type(axis.name) is int:
        low, high = map(int, axis.bounds)
        return spaces.IntDistribution(low, high, log=axis.log)
    return spaces.FloatDistribution(*axis.bounds, log=axis.log)
