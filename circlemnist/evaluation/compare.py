"""Compare runs and sweeps: load or evaluate them, group them, test each group against the first.

Several seeds of two groups are compared by a paired t-test of a metric, seed by seed. Two single
trainings are compared by McNemar's exact test, on the images that 1-NN classifies correctly. An
image that both classify correctly, or both wrongly, says nothing; of the others each training would
win half, were both equally good. That test is about two trainings, not about their settings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, ttest_1samp

from circlemnist.config import Config, setting_type
from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group, group_runs
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.evaluation.report import Report, load_report
from circlemnist.runs.run import Run, find_runs

Say = Callable[[str], object]
CONFIDENCE = 0.95
EQUAL = 1e-9  # a spread of differences of shares, or of percentages, that is rounding
# what should be the same for all that is compared, by its key in `environment.json`
FACTS = {name: name for name in ("processor", "device", "threads")} | {"GPU": "device_name"}


class Difference(NamedTuple):
    """A mean difference, its 95 % confidence interval and two-sided p; None without a spread."""

    mean: float
    interval: tuple[float, float] | None
    p: float | None


def paired_difference(values: ArrayLike, others: ArrayLike) -> Difference:
    """Return the paired t-test of two metrics, value by value, of two values or more."""
    differences = np.subtract(values, others)
    mean = float(differences.mean())
    if np.ptp(differences) < EQUAL:
        return Difference(mean, None, None)
    result = ttest_1samp(differences, 0)
    low, high = result.confidence_interval(CONFIDENCE)
    return Difference(mean, (float(low), float(high)), float(result.pvalue))


def mcnemar(first: Report, second: Report) -> tuple[Difference, tuple[int, int]]:
    """Return McNemar's exact test of two trainings that were evaluated on the same images.

    The interval is that of Clopper and Pearson for the share of the second in the images on which
    the two differ, times these images.

    Returns:
        The accuracy of the second minus that of the first; the images that the first alone
        classifies correctly, and those that the second alone does.
    """
    correct = first.correct, second.correct
    alone = int((correct[0] & ~correct[1]).sum()), int((correct[1] & ~correct[0]).sum())
    differ, mean = sum(alone), (alone[1] - alone[0]) / len(correct[0])
    if not differ:  # binomtest takes no experiment of none: the two are equally good
        return Difference(mean, None, 1.0), alone
    test = binomtest(alone[1], differ)
    low, high = test.proportion_ci(CONFIDENCE)
    scale = differ / len(correct[0])
    return Difference(mean, ((2 * low - 1) * scale, (2 * high - 1) * scale), test.pvalue), alone


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values, in their order, corrected for their number by Holm's step-down method."""
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected


@dataclass(frozen=True)
class PairedTest:
    """A group against the first, their trainings paired by seed."""

    group: str  # name of the group that is tested
    seeds: list[tuple[int, int]]  # of each pair, that of the first group first
    unpaired: list[int]  # seeds of one group alone
    difference: Difference  # of the metric: its mean in the group minus that in the first
    alone: tuple[int, int] | None = None  # of McNemar's test; None of a t-test
    p_corrected: float | None = None  # by Holm, over the tests of a comparison


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and the test of each against the first."""

    groups: list[Group]
    metric: str
    tests: list[PairedTest]
    untested: dict[str, str]  # name of a group, or "" of all → why there is no test

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it; shares as 0-1."""
        groups = [
            {
                "name": group.name,
                "settings": group.settings,
                "images": group.runs[0].evaluated_on,
                "metrics": {
                    name: {"mean": group.mean(name), "sd": group.deviation(name)}
                    for name in METRICS
                    if all(name in metrics for metrics in group.metrics.values())
                },
                "runs": [
                    {
                        "name": report.run.name,
                        "folder": str(report.run.folder),
                        "seed": report.config.seed,
                        "metrics": report.metrics,
                    }
                    for report in group.runs
                ],
            }
            for group in self.groups
        ]
        tests = [asdict(test) | test.difference._asdict() for test in self.tests]
        for test in tests:
            del test["difference"]
        return {"groups": groups, "metric": self.metric, "tests": tests, "untested": self.untested}


def compare_groups(groups: list[Group], metric: str) -> Comparison:
    """Test each group against the first by a metric, and correct the p values for their number."""
    if len(groups) == 1:
        return Comparison(groups, metric, [], {"": "it takes two groups, and this is one group"})
    results = {group.name: _test(groups[0], group, metric) for group in groups[1:]}
    tests = [test for test in results.values() if isinstance(test, PairedTest)]
    untested = {name: reason for name, reason in results.items() if isinstance(reason, str)}
    with_p = [test for test in tests if test.difference.p is not None]
    corrected = holm([test.difference.p for test in with_p])  # type: ignore[misc]
    by_name = {test.group: p for test, p in zip(with_p, corrected, strict=True)}
    tests = [replace(test, p_corrected=by_name.get(test.group)) for test in tests]
    return Comparison(groups, metric, tests, untested)


def _test(first: Group, second: Group, metric: str) -> PairedTest | str:
    """Test two groups, or say why there is no test."""
    for report in (*first.runs, *second.runs):
        if not report.same_images(first.runs[0]):
            there, here = first.runs[0].evaluated_on, report.evaluated_on
            other = "" if here == there else f": {there}, and {here}"
            return f"they were evaluated on different images{other}"
    if len(first.runs) == len(second.runs) == 1:
        pairs = [(first.runs[0], second.runs[0])]
    else:
        partners = dict(zip(second.seeds, second.runs, strict=True))
        pairs = [(r, partners[r.config.seed]) for r in first.runs if r.config.seed in partners]
    seeds = [(a.config.seed, b.config.seed) for a, b in pairs]
    paired = {seed for pair in seeds for seed in pair}
    unpaired = sorted({*first.seeds, *second.seeds} - paired)
    if not pairs:
        return "they have no seed in common to pair their trainings by"
    if len(pairs) > 1:
        values = [[report.metrics[metric] for report in side] for side in zip(*pairs, strict=True)]
        difference = paired_difference(values[1], values[0])
        return PairedTest(second.name, seeds, unpaired, difference)
    if metric != "1nn":
        return f"a test of {metric} takes several seeds in common"
    return PairedTest(second.name, seeds, unpaired, *mcnemar(*pairs[0]))


def compare_runs(
    outputs: Path, names: Sequence[str], metric: str, data_dir: str | None, device: str, say: Say
) -> Comparison:
    """Compare runs, and those in sweeps; those without a report are evaluated.

    Of a sweep, the trainings that are not finished are left out.

    Args:
        outputs: the folder of runs.
        names: names or folders of runs and sweeps.
        metric: a key of `METRICS`, that groups are tested by.
        data_dir: folder of the data sets; None for those that the runs were trained with.
        device: to evaluate on.
        say: shows a line that the user should know.

    Raises:
        UserError: a name is of neither, a run is given twice, a file of it is damaged, it cannot be
            evaluated, or there is only one run.
    """
    runs = _runs(outputs, names, say)
    reports = [EvaluatedRun(run, data_dir, device).report for run in runs]
    if not reports:
        raise UserError(f"no training of {' or '.join(names)} is finished yet")
    groups, repeated = group_runs(reports)
    for report in repeated:
        say(f"{report.run.name} is left out: another run has its settings and its seed")
    if len(reports) - len(repeated) < 2:
        raise UserError(f"{reports[0].run.name} is one run alone: name two or more, or a sweep")
    if any(metric not in report.metrics for report in reports):
        raise SettingError("metric", f"{metric} is not of all runs: name one that the table has")
    for line in differing_machines([report.run for report in reports]):
        say(line)
    return compare_groups(groups, metric)


def differing_machines(runs: Sequence[Run]) -> list[str]:
    """Say in which precision, and on what with how many threads, runs differ."""
    by_value: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        facts: dict[str, object] = {"precision": run.config().precision}
        facts |= {name: run.environment().get(key) for name, key in FACTS.items()}
        for name, value in facts.items():
            if value:
                by_value.setdefault(name, {}).setdefault(str(value), []).append(run.name)
    return [
        f"the runs differ in {name}, which may explain a small difference: "
        + "; ".join(
            f"{value} ({names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)})"
            for value, names in values.items()
        )
        for name, values in by_value.items()
        if len(values) > 1
    ]


def _runs(outputs: Path, names: Sequence[str], say: Say) -> list[Run]:
    """The runs of all names, in their order; those of a sweep in the order of their settings."""
    chosen: dict[Path, Run] = {}
    for name in names:
        runs, in_sweep = find_runs(outputs, name)
        if in_sweep:
            count = len(runs)
            # the sweep evaluates what is not evaluated, with the gallery of the others
            runs = [run for run in runs if _is_finished(run) and load_report(run, per_image=False)]
            runs.sort(key=lambda run: _order(run.config()))
            if rest := count - len(runs):
                say(f"{rest} of {count} trainings of {name} are not finished, and left out")
        elif not _is_finished(runs[0]):
            done, wanted = len(runs[0].history()), runs[0].config().epochs
            say(f"{runs[0].name} has trained {done} of {wanted} epochs")
        for run in runs:
            if chosen.setdefault(run.folder, run) is not run:
                raise UserError(f"{run.name} is given twice: name each run once")
    return list(chosen.values())


def _is_finished(run: Run) -> bool:
    return len(run.history()) >= (run.config().epochs or 1)


def _order(config: Config) -> list[float | str]:
    """Numbers by size, choices as they are listed."""
    order: list[float | str] = []
    for setting in fields(config):
        value, choices = getattr(config, setting.name), setting.metadata["limits"].choices
        missing = "" if setting_type(setting.name) is str else -math.inf
        order.append(choices.index(value) if choices else missing if value is None else value)
    return order
