"""Who trains which cell, and what it reached: a study of Optuna's."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, GridSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from circlemnist.config import setting_type
from circlemnist.errors import UserError
from circlemnist.evaluation.group import Cell
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.sweep.axes import Axis
from circlemnist.sweep.plan import Plan, Varied
from circlemnist.sweep.storage import HEARTBEAT, SEED, Database, Journal, quiet

FORMAT = 1
# user attributes: of the study what it is of, of a trial who claimed it, why it failed, and
# under each seed what it reached
FORMAT_KEY, IDENTITY_KEY, OWNER, FAILED = "circlemnist_sweep", "identity", "owner", "failed"


@dataclass
class Claim:
    """A combination that this process is to train.

    Attributes:
        number: of its trial, from 0.
        varied: its settings.
        seeds: those that are still to do.
    """

    number: int
    trial_id: int
    varied: Varied
    seeds: list[int]


class Grid(GridSampler):
    """Walks the grid; a sweep itself sees when it is at the end."""

    def after_trial(self, *_: object) -> None:
        """Stop no loop of Optuna's: there is none."""


class SweepStudy:
    """The study of a sweep, which several processes may share.

    A grid has a trial for each combination and seed, a search one for each combination. A trial is
    claimed once; where the process that claimed it dies, another takes the same trial over, so
    that there is never a second one of a cell.

    Args:
        kept: where the study is kept.
        name: of the study.

    Raises:
        UserError: the storage does not answer, or the study is not of this plan.
    """

    def __init__(self, kept: Journal | Database, name: str, plan: Plan) -> None:
        self._kept, self._plan, self._name = kept, plan, name
        self._claims: dict[int, Claim] = {}
        self._beaten = 0.0
        with self._in_turn(), quiet():
            self._study = optuna.create_study(
                storage=kept.storage,
                study_name=name,
                direction="minimize" if METRICS[plan.metric].low else "maximize",
                load_if_exists=True,
            )
            self._check_kind()
        self._study_id = kept.storage.get_study_id_from_name(name)

    def claim(self) -> Claim | None:
        """Return a combination to train: one whose process died, or a new one; None for neither."""
        with self._in_turn(), quiet():
            while True:
                trials = self._trials()
                orphan = next(self._orphans(trials), None)
                if orphan is None and len(trials) >= self._count:
                    return None
                new = self._kept.storage.create_new_trial
                claim = self._take(new(self._study_id) if orphan is None else orphan._trial_id)
                if claim.seeds:
                    return claim
                self._end(claim)  # its process died between its last result and this

    def record(self, claim: Claim, seed: int, metrics: dict[str, float]) -> None:
        """Keep what a seed of a claim reached, and end the trial with its last one.

        Where this process was thought dead, and another was quicker, nothing is left to do.
        """
        with self._kept.reached(), quiet():
            if self._frozen(claim).state.is_finished():
                claim.seeds.clear()
                self._claims.pop(claim.number, None)
                return
            self._kept.storage.set_trial_user_attr(claim.trial_id, str(seed), metrics)
            claim.seeds.remove(seed)
            if not claim.seeds:
                self._end(claim)

    def _end(self, claim: Claim) -> None:
        reached = self._reached(self._frozen(claim)).values()
        mean = sum(metrics[self._plan.metric] for metrics in reached) / len(reached)
        self._study.tell(claim.number, mean, skip_if_finished=True)
        self._claims.pop(claim.number, None)

    def fail(self, claim: Claim, reason: str) -> None:
        """End a trial that cannot be trained, and would not be if it were tried again."""
        with self._kept.reached(), quiet():
            if not self._frozen(claim).state.is_finished():
                self._kept.storage.set_trial_user_attr(claim.trial_id, FAILED, reason)
            self._study.tell(claim.number, state=TrialState.FAIL, skip_if_finished=True)
        self._claims.pop(claim.number, None)

    def beat(self) -> None:
        """Say now and then that the claims of this process are alive."""
        if time.monotonic() - self._beaten < HEARTBEAT:
            return
        self._beaten = time.monotonic()
        with self._kept.reached():
            for claim in self._claims.values():
                self._kept.beat(claim.trial_id)

    @property
    def finished(self) -> bool:
        """Whether all combinations are trained, or have failed."""
        trials = self._trials()
        return len(trials) >= self._count and all(trial.state.is_finished() for trial in trials)

    @property
    def failures(self) -> list[tuple[Varied, str]]:
        """What cannot be trained, and why."""
        trials = [trial for trial in self._trials() if FAILED in trial.user_attrs]
        return [(self._varied(trial), trial.user_attrs[FAILED]) for trial in trials]

    def cells(self) -> list[Cell]:
        """Every cell that is measured, once: in the order of the grid, or of the search."""
        found: dict[tuple[object, ...], Cell] = {}
        for trial in self._trials():
            for seed, metrics in self._reached(trial).items():
                varied = self._varied(trial)
                found.setdefault((*varied.values(), seed), Cell(varied, seed, metrics))
        if self._plan.trials is not None:
            return list(found.values())
        order = [(*v.values(), seed) for v in self._plan.grid for seed in self._plan.seeds]
        return [found[key] for key in order if key in found]

    @property
    def repeats(self) -> int:
        """How many cells a search has drawn again, and not trained; a grid has each once."""
        if self._plan.trials is None:
            return 0
        return sum(len(self._reached(trial)) for trial in self._trials()) - len(self.cells())

    def _check_kind(self) -> None:
        """Mark a new study as of this plan; raise UserError where it is of another."""
        attributes = self._study.user_attrs
        if not attributes and not self._trials():
            self._study.set_user_attr(IDENTITY_KEY, self._plan.identity)
            self._study.set_user_attr(FORMAT_KEY, FORMAT)
            return
        mend = "give another `name`"
        if attributes.get(FORMAT_KEY, FORMAT) != FORMAT:
            raise UserError(f"{self._name} is a study of a newer circlemnist: update, or {mend}")
        if attributes.get(IDENTITY_KEY) != self._plan.identity:
            raise UserError(f"`storage` has a study {self._name} of another sweep: {mend}")

    @property
    def _count(self) -> int:
        """How many trials there are to be."""
        return self._plan.cells if self._plan.trials is None else self._plan.trials

    def _sampler(self, number: int) -> BaseSampler:
        plan = self._plan
        if plan.trials is None:
            return Grid({axis.name: axis.values for axis in self._axes}, seed=SEED)
        # of each trial anew, so that one that goes on after a kill draws as if there had been none
        return TPESampler(seed=number, constant_liar=True)

    @property
    def _axes(self) -> list[Axis]:
        """What a trial draws: of a grid the seed, too."""
        seeds = [Axis("seed", self._plan.seeds)] if self._plan.trials is None else []
        return [*self._plan.axes, *seeds]

    def _take(self, trial_id: int) -> Claim:
        """Make a trial this process's own; what its settings lack of a killed claim is drawn."""
        self._study.sampler = self._sampler(self._kept.storage.get_trial(trial_id).number)
        trial = Trial(self._study, trial_id)
        for axis in self._axes:
            _draw(trial, axis)
        self._kept.beat(trial_id)
        trial.set_user_attr(OWNER, f"{platform.node()} {os.getpid()}")
        frozen = self._kept.storage.get_trial(trial_id)
        done = self._reached(frozen) or self._repeated(trial, frozen)
        seeds = self._plan.seeds if self._plan.trials is not None else (frozen.params["seed"],)
        left = [seed for seed in seeds if seed not in done]
        claim = Claim(frozen.number, trial_id, self._varied(frozen), left)
        self._claims[claim.number] = claim
        return claim

    def _repeated(self, trial: Trial, frozen: FrozenTrial) -> dict[int, dict[str, float]]:
        """Give a trial what an earlier one of its settings reached, and it would reach again."""
        for other in self._trials() if self._plan.trials is not None else ():
            if other.state == TrialState.COMPLETE and other.params == frozen.params:
                for seed, metrics in self._reached(other).items():
                    trial.set_user_attr(str(seed), metrics)
                return self._reached(other)
        return {}

    def _orphans(self, trials: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Trials whose process died, also while it claimed them."""
        left = self._kept.left(self._study_id)
        for trial in trials:
            if trial.state != TrialState.RUNNING or trial.number in self._claims:
                continue
            if left is None or OWNER not in trial.user_attrs or trial._trial_id in left:
                yield trial

    def _trials(self) -> list[FrozenTrial]:
        with self._kept.reached():
            return self._study.get_trials(deepcopy=False)

    def _frozen(self, claim: Claim) -> FrozenTrial:
        with self._kept.reached():
            return self._kept.storage.get_trial(claim.trial_id)

    def _reached(self, trial: FrozenTrial) -> dict[int, dict[str, float]]:
        """What each seed of a trial reached."""
        found = trial.user_attrs
        return {seed: found[str(seed)] for seed in self._plan.seeds if str(seed) in found}

    def _varied(self, trial: FrozenTrial) -> Varied:
        return {axis.name: trial.params[axis.name] for axis in self._plan.axes}

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        with self._kept.reached(), self._kept.in_turn(self._name):
            yield


def _draw(trial: Trial, axis: Axis) -> None:
    """Let the sampler draw a setting of a trial, unless it is drawn already."""
    if axis.bounds is None:
        trial.suggest_categorical(axis.name, axis.values)
    elif setting_type(axis.name) is int:
        low, high = map(int, axis.bounds)
        trial.suggest_int(axis.name, low, high, log=axis.log)
    else:
        trial.suggest_float(axis.name, *axis.bounds, log=axis.log)


def study_of(kept: Database, plan: Plan) -> str | None:
    """Return the name of the newest study of a plan, or None where there is none."""
    with kept.reached():
        found = optuna.get_all_study_summaries(kept.storage, include_best_trial=False)
    same = [each for each in found if each.user_attrs.get(IDENTITY_KEY) == plan.identity]
    return max(same, key=lambda each: each._study_id).study_name if same else None
