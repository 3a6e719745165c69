"""The folder of a sweep: found by its name or by its plan, or made."""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from circlemnist.errors import UserError
from circlemnist.family import BY_LOSS
from circlemnist.runs.files import write_text
from circlemnist.runs.run import SWEEP_FILE, FileIn, create_folder, files_in, is_file
from circlemnist.sweep.plan import Plan

FORMAT = 1
JOURNAL, DATABASE = "journal", "database"


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep and what lies in it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    plan_file = FileIn(SWEEP_FILE)
    journal_file = FileIn("journal.log")
    cells = FileIn("cells")  # the runs, one a cell
    results_file = FileIn("results.csv")
    plots = FileIn("plots")


def find_sweep(outputs: Path, name: str | None, plan: Plan, kept_in: str) -> SweepFolder | None:
    """Find the sweep that a command goes on with; None where there is none yet.

    Args:
        name: of the sweep; None for the newest of the same plan.
        kept_in: `JOURNAL` or `DATABASE`, where its results are to be kept.

    Raises:
        UserError: the sweep of that name has another plan, a newer version or another storage, or
            is damaged.
    """
    if name is not None:
        sweep = SweepFolder((outputs / name).resolve())
        if not is_file(sweep.plan_file):
            return None
        _check(sweep, plan, kept_in)
        return sweep
    sweeps = []
    for file in files_in(outputs, SWEEP_FILE):
        sweep = SweepFolder(file.parent.resolve())
        try:
            _check(sweep, plan, kept_in)
        except UserError:
            continue
        sweeps.append(sweep)
    return max(sweeps, key=lambda sweep: sweep.plan_file.stat().st_mtime_ns, default=None)


def make_sweep(outputs: Path, name: str | None, plan: Plan, kept_in: str) -> SweepFolder:
    """Make the folder of a new sweep and its plan file, all at once.

    Raises:
        UserError: the name is taken or is no folder name, or `outputs` cannot be written.
    """

    def fill(hidden: Path) -> None:
        (hidden / "cells").mkdir()
        write_text(SweepFolder(hidden).plan_file, _as_toml(plan, kept_in))

    words = "_".join(["sweep", *(axis.name for axis in plan.axes)])
    return SweepFolder(create_folder(outputs, name, words, fill))


def _as_toml(plan: Plan, kept_in: str) -> str:
    first = plan.config(plan.grid[0], plan.seeds[0])
    varied = {"seed", *(axis.name for axis in plan.axes)}
    settings = {k: v for k, v in asdict(first).items() if v is not None and k not in varied}
    if "loss" in varied:  # each loss has its own
        settings = {k: v for k, v in settings.items() if k not in BY_LOSS}
    search = {"trials": plan.trials, "metric": plan.metric} if plan.is_search else {}
    content: dict[str, Any] = {
        "format": FORMAT,
        "kept_in": kept_in,
        "identity": plan.identity,
        "seeds": list(plan.seeds),
        **search,
        "settings": settings,
        "vary": {axis.name: axis.to_toml() for axis in plan.axes},
    }
    return tomli_w.dumps(content)


def _check(sweep: SweepFolder, plan: Plan, kept_in: str) -> None:
    """Raise UserError where the sweep cannot go on with the plan."""
    file, another = sweep.plan_file, "another `name`"
    try:
        content = tomllib.loads(file.read_text("utf-8"))
        version, identity, kept = (content[key] for key in ("format", "identity", "kept_in"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{file} is damaged: give {another}") from error
    if version != FORMAT:
        versions = f"of format {version}, and this circlemnist reads format {FORMAT}"
        raise UserError(f"{file} is {versions}: update circlemnist, or give {another}")
    if identity != plan.identity:
        raise UserError(
            f"{sweep.name} is a sweep of other settings, as {file} says: give {another}"
        )
    if kept != kept_in:
        mend = "give its `storage`" if kept == DATABASE else "leave out `storage`"
        raise UserError(f"{sweep.name} keeps its results in a {kept}: {mend}, or {another}")
