"""Groups of runs that differ by their seed alone, whether a person trained them or a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circlemnist.config import MACHINE_SETTINGS, Config
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.evaluation.report import Report
from circlemnist.limits import Value

NO_SETTINGS_OF_A_GROUP = ("seed", *MACHINE_SETTINGS)
SHORTEST_NAMES = 3  # settings that a name has at most, if so few distinguish all groups


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone."""

    name: str  # distinguishes it from other groups, in words
    settings: Mapping[str, Value | None]  # that differ between groups; None where its loss has none
    metrics: Mapping[int, Mapping[str, float]]  # of each run, by its seed; shares as 0-1
    runs: Sequence[Report] = ()  # in the order of `metrics`; none of a sweep's, which has no files

    @property
    def seeds(self) -> list[int]:
        return list(self.metrics)

    def values(self, metric: str) -> NDArray[Any]:
        """Return a metric of each run (S,), NaN where it has not been evaluated."""
        return np.array([metrics.get(metric, np.nan) for metrics in self.metrics.values()])

    def mean(self, metric: str) -> float:
        return float(self.values(metric).mean())

    def deviation(self, metric: str) -> float | None:
        """Return the standard deviation over the seeds; None where there is one seed."""
        values = self.values(metric)
        return float(values.std(ddof=1)) if len(values) > 1 else None

    def written(self, metric: str) -> str:
        """Return the mean ± the deviation, shares in per cent: 99.56 ± 0.04; – where it lacks."""
        mean, deviation = self.mean(metric), self.deviation(metric)
        if np.isnan(mean):
            return "–"
        number, factor = METRICS[metric].number, METRICS[metric].factor
        spread = "" if deviation is None else f" ± {number(factor * deviation)}"
        return number(factor * mean) + spread


def group_runs(reports: Sequence[Report]) -> tuple[list[Group], list[Report]]:
    """Put runs into groups, in the order of their first ones.

    Returns:
        The groups, and the runs in none, since an earlier one has their settings and their seed.
    """
    names = [s.name for s in fields(Config) if s.name not in NO_SETTINGS_OF_A_GROUP]
    by_settings: dict[tuple[Value | None, ...], dict[int, Report]] = {}
    repeated = []
    for report in reports:
        values = tuple(getattr(report.config, name) for name in names)
        by_seed = by_settings.setdefault(values, {})
        if by_seed.setdefault(report.config.seed, report) is not report:
            repeated.append(report)
    varied = [len(set(values)) > 1 for values in zip(*by_settings, strict=True)]
    settings = [
        {name: value for name, value, differs in zip(names, values, varied, strict=True) if differs}
        for values in by_settings
    ]
    words = _names(settings) if any(varied) else [reports[0].config.loss_and_values]
    groups = []
    for name, own, by_seed in zip(words, settings, by_settings.values(), strict=True):
        runs = [by_seed[seed] for seed in sorted(by_seed)]
        groups.append(Group(name, own, {run.config.seed: run.metrics for run in runs}, runs))
    return groups, repeated


def differing_settings(groups: Sequence[Group]) -> list[str]:
    """Return the settings that take several values, or all of them where none does."""
    names = list(groups[0].settings)
    return [name for name in names if len({g.settings[name] for g in groups}) > 1] or names


def in_words(settings: dict[str, Value]) -> str:
    """Return settings in words: "gamma 80, m 0.25"."""
    return ", ".join(f"{name} {value_in_words(value)}" for name, value in settings.items())


def value_in_words(value: Value | None, digits: int = 4) -> str:
    """Return a value as it is read, a fraction with as many digits at most."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if value % 1 else f"{value:.0f}"
    return str(value)


def _names(groups: Sequence[dict[str, Value | None]]) -> list[str]:
    """Name each group by the fewest settings that distinguish all of them."""
    settings = list(groups[0])
    few = (combinations(settings, count) for count in range(1, SHORTEST_NAMES + 1))
    for names in chain(*few, [tuple(settings)]):
        chosen = [{name: group[name] for name in names} for group in groups]
        if len({tuple(own.values()) for own in chosen}) == len(groups):
            break
    words = []
    for own in chosen:
        (first, *more) = own.values()
        if not more and isinstance(first, str):
            words.append(first)  # which says what it is
        else:
            named = in_words({k: v for k, v in own.items() if v is not None})
            words.append(named or f"no {' and '.join(own)}")
    return words
