"""Groups of trainings that differ by their seed alone: of runs, and of the cells of a sweep."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import OF_THE_MACHINE, Config
from circlemnist.evaluation.metric_names import Metric
from circlemnist.evaluation.report import Report
from circlemnist.limits import Value
from circlemnist.runs.files import write_text, writing

BESIDE = ("seed", *OF_THE_MACHINE)  # settings that make no other group
AT_ONCE = 3  # settings that a name is made of, if so few tell all groups apart


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone."""

    name: str  # what tells it apart from the other groups, in words
    settings: dict[str, Value | None]  # that differ between groups; None where its loss has none
    runs: list[Report]  # one or more, in the order of their seeds

    @property
    def seeds(self) -> list[int]:
        return [report.config.seed for report in self.runs]

    def values(self, metric: str) -> NDArray[Any]:
        """Return a metric of each run (S,), NaN where it has not been measured."""
        return np.array([report.metrics.get(metric, np.nan) for report in self.runs])

    def mean(self, metric: str) -> float:
        return float(self.values(metric).mean())

    def deviation(self, metric: str) -> float | None:
        """Return the standard deviation over the seeds; None of one."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if len(values) > 1 else None


def group_runs(reports: Sequence[Report]) -> tuple[list[Group], list[Report]]:
    """Put runs into groups, in the order of their first ones.

    Returns:
        The groups, and the runs in none, since an earlier one has their settings and their seed.
    """
    by_settings: dict[tuple[Value | None, ...], dict[int, Report]] = {}
    repeated = []
    for report in reports:
        by_seed = by_settings.setdefault(tuple(_settings(report.config).values()), {})
        if by_seed.setdefault(report.config.seed, report) is not report:
            repeated.append(report)
    members = [[by_seed[seed] for seed in sorted(by_seed)] for by_seed in by_settings.values()]
    settings = [_settings(runs[0].config) for runs in members]
    varied = [name for name in settings[0] if len({own[name] for own in settings}) > 1]
    differing = [{name: own[name] for name in varied} for own in settings]
    names = _names(differing) if varied else [members[0][0].config.described]
    return [Group(*parts) for parts in zip(names, differing, members, strict=True)], repeated


def _settings(config: Config) -> dict[str, Value | None]:
    return {name: value for name, value in asdict(config).items() if name not in BESIDE}


def _names(groups: Sequence[dict[str, Value | None]]) -> list[str]:
    """Name each group by the fewest settings that tell all of them apart."""
    for names in _sets_of(list(groups[0])):
        chosen = [{name: group[name] for name in names} for group in groups]
        if len({tuple(settings.values()) for settings in chosen}) == len(groups):
            break
    return [_name(settings) for settings in chosen]


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


@dataclass(frozen=True)
class Cell:
    """One training of a sweep, once it is evaluated."""

    varied: dict[str, Value]  # the settings that were varied, by the names of `Config`'s fields
    seed: int
    metrics: dict[str, float]  # as in eval.json, shares as 0-1


def write_cells(path: Path, cells: Sequence[Cell]) -> None:
    """Write a line a cell, whole: the settings that vary, the seed, the metrics.

    Raises:
        UserError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if cells:
        varied, metrics = list(cells[0].varied), list(cells[0].metrics)
        writer.writerow([*varied, "seed", *metrics])
        for cell in cells:
            settings = [cell.varied[name] for name in varied]
            writer.writerow([*settings, cell.seed, *(cell.metrics[name] for name in metrics)])
    with writing(path):
        write_text(path, text.getvalue())


@dataclass(frozen=True)
class Outcome:
    """One metric of the cells of one combination of settings."""

    varied: dict[str, Value]  # those that take several values
    values: NDArray[Any]  # (S,) float, a seed each, as they are written: shares in per cent

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; 0 of one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0


def outcomes_of(cells: Sequence[Cell], metric: str, factor: int) -> list[Outcome]:
    """Return the `metric` of each combination, times `factor`, in the order of cells.

    Settings that are the same in all cells are left out, unless all of them are.
    """
    keys = list(cells[0].varied)
    several = [key for key in keys if len({cell.varied[key] for cell in cells}) > 1] or keys
    by_settings: dict[tuple[Value, ...], list[float]] = {}
    for cell in cells:
        values = by_settings.setdefault(tuple(cell.varied[key] for key in several), [])
        values.append(factor * cell.metrics[metric])
    return [
        Outcome(dict(zip(several, combination, strict=True)), np.array(values))
        for combination, values in by_settings.items()
    ]


def best_of(outcomes: Sequence[Outcome], metric: Metric) -> Outcome:
    """Return the outcome with the best mean."""
    return (min if metric.low else max)(outcomes, key=lambda outcome: outcome.mean)


def described(varied: dict[str, Value]) -> str:
    """Return settings in words: "gamma 80, m 0.25"."""
    return ", ".join(f"{key} {written(value)}" for key, value in varied.items())


def written(value: Value) -> str:
    """Return a value as it is read: a fraction with four digits, which a search has more of."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return (
        f"{value:.4g}" if isinstance(value, float) and value % 1 else f"{value}".removesuffix(".0")
    )
