"""Trained runs in groups that differ by their seed alone, and what tells the groups apart."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import OF_THE_MACHINE, Config
from circlemnist.evaluation.outcomes import described, written
from circlemnist.evaluation.results import Evaluation
from circlemnist.limits import Value
from circlemnist.runs.run import Run

BESIDE = ("seed", *OF_THE_MACHINE)  # settings that make no other group
AT_ONCE = 3  # settings that a name is made of, if so few tell all groups apart


@dataclass(frozen=True)
class Measured:
    """A run and what of its measures a comparison needs.

    Attributes:
        run: the run.
        config: its settings.
        images: the data set, and which of its images were measured, in words.
        gallery: how many training images these were compared with; None where that is not known.
        labels: (N,) int64, of these images, those of seen classes.
        right: (N,) bool, which of them 1-NN gets right.
        metrics: name → value, as in `eval.json`.
    """

    run: Run
    config: Config
    images: tuple[str, str]
    gallery: int | None
    labels: NDArray[Any]
    right: NDArray[Any]
    metrics: dict[str, float]

    @classmethod
    def of(cls, run: Run, config: Config, evaluation: Evaluation) -> "Measured":
        """Keep of an evaluation what a comparison needs."""
        arrays, images = evaluation.arrays, (evaluation.dataset, evaluation.counted)
        labels, nearest = (of[evaluation.seen] for of in (arrays.labels, arrays.neighbor_labels))
        right = nearest[:, 0] == labels
        return cls(run, config, images, evaluation.gallery, labels, right, evaluation.metrics)

    @property
    def measured_on(self) -> str:
        """Images and gallery, in words."""
        gallery = "" if self.gallery is None else f", against {self.gallery:,} training images"
        return ", ".join(self.images) + gallery

    def same_images(self, other: "Measured") -> bool:
        """Tell whether both were measured on the same images, against as many."""
        alike = self.measured_on == other.measured_on
        return alike and np.array_equal(self.labels, other.labels)


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone.

    Attributes:
        name: what tells it apart from the other groups, in words.
        settings: those of which the groups have several values; None for a knob it has not.
        runs: one or more, in the order of their seeds.
    """

    name: str
    settings: dict[str, Value | None]
    runs: list[Measured]

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [measured.config.seed for measured in self.runs]

    def values(self, metric: str) -> NDArray[Any]:
        """Return a metric of each run (S,), NaN where it has not been measured."""
        return np.array([each.metrics.get(metric, np.nan) for each in self.runs])

    def mean(self, metric: str) -> float:
        """Return the mean over the seeds."""
        return float(self.values(metric).mean())

    def deviation(self, metric: str) -> float | None:
        """Return the standard deviation over the seeds; None of one."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if len(values) > 1 else None


def grouped(runs: Sequence[Measured]) -> tuple[list[Group], list[Measured]]:
    """Put runs into groups, in the order of their first ones.

    Returns:
        The groups, and the runs in none, since an earlier one has their settings and their seed.
    """
    found: dict[tuple[Value | None, ...], dict[int, Measured]] = {}
    repeated = []
    for measured in runs:
        of_seed = found.setdefault(tuple(_settings(measured.config).values()), {})
        if of_seed.setdefault(measured.config.seed, measured) is not measured:
            repeated.append(measured)
    members = [[of_seed[seed] for seed in sorted(of_seed)] for of_seed in found.values()]
    settings = [_settings(of_group[0].config) for of_group in members]
    varied = [name for name in settings[0] if len({each[name] for each in settings}) > 1]
    differing = [{name: each[name] for name in varied} for each in settings]
    names = _names(differing) if varied else [members[0][0].config.described]
    return [Group(*of) for of in zip(names, differing, members, strict=True)], repeated


def _settings(config: Config) -> dict[str, Value | None]:
    return {name: value for name, value in asdict(config).items() if name not in BESIDE}


def _names(groups: Sequence[dict[str, Value | None]]) -> list[str]:
    """Name each group by the fewest settings that tell all of them apart."""
    for names in _sets_of(list(groups[0])):
        told = [{name: group[name] for name in names} for group in groups]
        if len({tuple(each.values()) for each in told}) == len(groups):
            break
    return [_name(each) for each in told]


def _sets_of(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for count in range(1, AT_ONCE + 1):
        yield from combinations(names, count)
    yield tuple(names)


def _name(settings: dict[str, Value | None]) -> str:
    """The settings in words; of one that is a word by itself, the word."""
    (first, *more) = settings.values()
    if not more and isinstance(first, str):
        return written(first)
    return described({name: value for name, value in settings.items() if value is not None})
