"""Runs and sweeps side by side: found, measured, put into groups, tested."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from circlemnist.config import Config, setting_type
from circlemnist.errors import UserError
from circlemnist.evaluation.groups import Group, Measured, grouped
from circlemnist.evaluation.mcnemar import Comparison, compared
from circlemnist.evaluation.measures import MEASURES
from circlemnist.evaluation.results import load_report
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.runs.run import find_runs

Say = Callable[[str], object]


@dataclass(frozen=True)
class SideBySide:
    """Groups of runs side by side.

    Attributes:
        groups: one or more.
        comparison: of two groups; else, or where there is none, why.
    """

    groups: list[Group]
    comparison: Comparison | str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON has; shares as 0-1."""
        test = self.comparison
        return {
            "groups": [_as_dict(group) for group in self.groups],
            "mcnemar": {"left_out": test} if isinstance(test, str) else asdict(test),
        }


def side_by_side(
    outputs: Path, names: Sequence[str], data_dir: str | None, device: str, say: Say
) -> SideBySide:
    """Set runs, and those in sweeps, side by side; those without measures are measured.

    Of a sweep, the trainings that are not finished are left out.

    Args:
        outputs: the folder of runs.
        names: names or folders of runs and sweeps.
        data_dir: folder of the data sets; None for those that the runs were trained with.
        device: to measure on.
        say: told, in a line, what was left out.

    Raises:
        UserError: a name is of neither, a run is given twice, a file of it is damaged, it cannot be
            measured, or there is only one run.
    """
    found: list[Measured] = []
    for trained in _found(outputs, names, say):
        trained.data_dir, trained.device = data_dir, device
        found.append(Measured.of(trained.run, trained.config, trained.evaluation))
    if not found:
        raise UserError(f"no training of {' or '.join(names)} is finished yet")
    groups, repeated = grouped(found)
    for measured in repeated:
        say(f"{measured.run.name} is left out: another run has its settings and its seed")
    if len(found) - len(repeated) < 2:
        raise UserError(f"{found[0].run.name} is one run alone: name two or more, or a sweep")
    if len(groups) == 2:
        return SideBySide(groups, compared(*groups))
    count = "one group" if len(groups) == 1 else f"{len(groups)} groups"
    return SideBySide(groups, f"it takes two groups, and this is {count}")


def _found(outputs: Path, names: Sequence[str], say: Say) -> list[TrainedRun]:
    """The runs of all names, in their order; those of a sweep in the order of their settings."""
    found: dict[Path, TrainedRun] = {}
    for name in names:
        runs, of_sweep = find_runs(outputs, name)
        trained = [TrainedRun(run) for run in runs]
        if of_sweep:
            trained = _finished(name, trained, say)
        elif not _is_finished(trained[0]):
            done, wanted = len(trained[0].history), trained[0].config.epochs
            say(f"{runs[0].name} has trained {done} of {wanted} epochs")
        for each in trained:
            if found.setdefault(each.run.folder, each) is not each:
                raise UserError(f"{each.run.name} is given twice: name each run once")
    return list(found.values())


def _finished(name: str, trained: Sequence[TrainedRun], say: Say) -> list[TrainedRun]:
    # one that is not measured the sweep measures, against the gallery of the others
    done = [each for each in trained if _is_finished(each) and load_report(each.run) is not None]
    if len(done) < len(trained):
        rest = len(trained) - len(done)
        say(f"{rest} of {len(trained)} trainings of {name} are not finished, and left out")
    return sorted(done, key=lambda each: _order(each.config))


def _is_finished(trained: TrainedRun) -> bool:
    return len(trained.history) >= (trained.config.epochs or 1)


def _order(config: Config) -> list[float | str]:
    """By numbers as numbers, by choices as they are listed."""
    order: list[float | str] = []
    for setting in fields(config):
        value, choices = getattr(config, setting.name), setting.metadata["limits"].choices
        missing = "" if setting_type(setting.name) is str else -math.inf
        order.append(choices.index(value) if choices else missing if value is None else value)
    return order


def _as_dict(group: Group) -> dict[str, Any]:
    names = [name for name in MEASURES if all(name in run.metrics for run in group.runs)]
    return {
        "name": group.name,
        "settings": group.settings,
        "images": group.runs[0].measured_on,
        "metrics": {
            name: {"mean": group.mean(name), "sd": group.deviation(name)} for name in names
        },
        "runs": [
            {
                "name": measured.run.name,
                "folder": str(measured.run.folder),
                "seed": measured.config.seed,
                "metrics": measured.metrics,
            }
            for measured in group.runs
        ],
    }
