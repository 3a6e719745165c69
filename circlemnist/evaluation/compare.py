"""Compare runs and sweeps: load or evaluate them, put them into groups, test two of these.

McNemar's test takes two trainings on the same images. An image that both classify correctly, or
both wrongly, says nothing; of the others each training would win half, were both equally good. The
test is about these two trainings. Whether their settings differ takes several seeds, whose
accuracies a paired t-test compares: the same images, counted once a seed, must not be added up as
if they were more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest, ttest_rel

from circlemnist.config import Config, setting_type
from circlemnist.errors import UserError
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.group import Group, group_runs
from circlemnist.evaluation.metric_names import METRICS
from circlemnist.evaluation.report import Report, load_report
from circlemnist.runs.run import Run, find_runs

Say = Callable[[str], object]


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two trainings on the same images."""

    seeds: tuple[int, int]
    accuracies: tuple[float, float]  # 0-1
    first_alone: int  # images that the first classifies correctly and the second wrongly
    second_alone: int
    p: float  # how often chance shares them as unevenly, or more, were both equally good


@dataclass(frozen=True)
class OverSeeds:
    """The accuracies of two groups, seed by seed."""

    difference: float  # mean of first minus second, 0-1
    deviation: float  # standard deviation of the differences
    p: float | None  # of the paired t-test, two-sided; None where all differences are the same


@dataclass(frozen=True)
class PairedTests:
    """Two groups, their trainings paired by seed."""

    by_seed: list[McNemar]
    over_seeds: OverSeeds | None  # of several pairs
    unpaired: list[int]  # seeds of one group alone


def paired_tests(first: Group, second: Group) -> PairedTests | str:
    """Test two groups by the images that 1-NN classifies correctly, paired by seed.

    Two single trainings are a pair whatever their seeds.

    Returns:
        The tests, or in a line why there are none.
    """
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
    if not pairs:
        return "they have no seed in common to pair their trainings by"
    tests = [mcnemar(*pair) for pair in pairs]
    paired = {seed for test in tests for seed in test.seeds}
    unpaired = sorted({*first.seeds, *second.seeds} - paired)
    return PairedTests(tests, over_seeds(tests) if len(tests) > 1 else None, unpaired)


def mcnemar(first: Report, second: Report) -> McNemar:
    """Return the exact test of two trainings that were evaluated on the same images."""
    correct = first.correct, second.correct
    first_alone = int((correct[0] & ~correct[1]).sum())
    second_alone = int((correct[1] & ~correct[0]).sum())
    differ = first_alone + second_alone
    # binomtest takes no experiment of none: the two are equally good
    p = float(binomtest(first_alone, differ).pvalue) if differ else 1.0
    seeds = (first.config.seed, second.config.seed)
    accuracies = (float(correct[0].mean()), float(correct[1].mean()))
    return McNemar(seeds, accuracies, first_alone, second_alone, p)


def over_seeds(tests: Sequence[McNemar]) -> OverSeeds:
    """Return the paired t-test over two tests or more."""
    first, second = np.array([test.accuracies for test in tests]).T
    # a difference of images, since shares are rounded
    images = {test.first_alone - test.second_alone for test in tests}
    differences = first - second
    p = float(ttest_rel(first, second).pvalue) if len(images) > 1 else None
    return OverSeeds(float(differences.mean()), float(differences.std(ddof=1)), p)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and the tests of two of them."""

    groups: list[Group]
    tests: PairedTests | str  # of two groups; else, or where there are none, why

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it; shares as 0-1."""
        tests = self.tests
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
        left_out = {"left_out": tests} if isinstance(tests, str) else asdict(tests)
        return {"groups": groups, "mcnemar": left_out}


def compare_runs(
    outputs: Path, names: Sequence[str], data_dir: str | None, device: str, say: Say
) -> Comparison:
    """Compare runs, and those in sweeps; those without a report are evaluated.

    Of a sweep, the trainings that are not finished are left out.

    Args:
        outputs: the folder of runs.
        names: names or folders of runs and sweeps.
        data_dir: folder of the data sets; None for those that the runs were trained with.
        device: to evaluate on.
        say: shows a line that the user should know.

    Raises:
        UserError: a name is of neither, a run is given twice, a file of it is damaged, it cannot be
            evaluated, or there is only one run.
    """
    reports = [
        EvaluatedRun(run, data_dir, device).report.without_embeddings()
        for run in _runs(outputs, names, say)
    ]
    if not reports:
        raise UserError(f"no training of {' or '.join(names)} is finished yet")
    groups, repeated = group_runs(reports)
    for report in repeated:
        say(f"{report.run.name} is left out: another run has its settings and its seed")
    if len(reports) - len(repeated) < 2:
        raise UserError(f"{reports[0].run.name} is one run alone: name two or more, or a sweep")
    if len(groups) == 2:
        return Comparison(groups, paired_tests(*groups))
    count = "one group" if len(groups) == 1 else f"{len(groups)} groups"
    return Comparison(groups, f"it takes two groups, and this is {count}")


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
