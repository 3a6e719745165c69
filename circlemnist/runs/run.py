"""The folder of a run: names, paths, finding the newest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circlemnist.config import Config, read_settings
from circlemnist.errors import SettingError, UserError
from circlemnist.runs.history import Epoch, read_history

SWEEP_FILE = "sweep.toml"  # what makes a folder a sweep


class FileIn:
    """The path of a file in the `folder` of a run or a sweep."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, _type: type) -> Path:
        path: Path = owner.folder / self.name
        return path


@dataclass(frozen=True)
class Run:
    """The folder of one run, and the paths of what is in it, whether it is there or not."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    config_file = FileIn("config.toml")
    environment_file = FileIn("environment.json")
    history_file = FileIn("history.csv")
    checkpoint_file = FileIn("last.pt")
    lock_file = FileIn("lock")
    metrics_file = FileIn("eval.json")
    embeddings_file = FileIn("embeddings.npz")
    gallery_file = FileIn("gallery.npz")
    snapshots_file = FileIn("snapshots.npz")
    plots = FileIn("plots")
    tensorboard = FileIn("tensorboard")

    def projection_file(self, of: str) -> Path:
        """Return the path of the points of a projection, kept by the name of what they are of."""
        return self.folder / f"projection-{of}.npz"

    def config(self) -> Config:
        """Read the settings of the run.

        Raises:
            UserError: the file is not there or is damaged.
        """
        settings = read_settings(self.config_file)
        try:
            return Config(**settings)
        except SettingError as error:
            raise UserError(f"{self.config_file}: {error}") from error

    def history(self) -> list[Epoch]:
        """Read the history; empty where no epoch has ended.

        Raises:
            UserError: the file cannot be read, or is no history.
        """
        return read_history(self.history_file)


def find_run(outputs: Path, name: str | None) -> Run:
    """Find a run by its folder or by its name in `outputs`; the newest where `name` is None.

    Raises:
        UserError: there is no such run, or none at all.
    """
    if name is None:
        runs = _runs(outputs)
        if not runs:
            raise UserError(f"no runs in {outputs}: train one first, with `train`")
        newest = max(runs, key=lambda folder: (folder / "config.toml").stat().st_mtime_ns)
        return Run(newest.resolve())
    if (named := _named(outputs, name)) is not None:
        return named
    known = sorted(folder.name for folder in _runs(outputs))
    hint = f"its runs: {', '.join(known[-3:])}" if known else "it holds no runs"
    raise UserError(f"no run {name!r}, neither as a folder nor in {outputs} ({hint})")


def is_run(outputs: Path, name: str) -> bool:
    """Tell whether `find_run` finds a run of that folder or name."""
    return _named(outputs, name) is not None


def _named(outputs: Path, name: str) -> Run | None:
    for folder in (Path(name), outputs / name):
        if is_file(folder / "config.toml"):
            return Run(folder.resolve())
    return None


def find_runs(outputs: Path, name: str) -> tuple[list[Run], bool]:
    """Find a run, or all those of a sweep, by its folder or by its name in `outputs`.

    Returns:
        The runs, and whether the name is of a sweep.

    Raises:
        UserError: there is neither of that name, or the sweep has no run yet.
    """
    for folder in (Path(name), outputs / name):
        if is_file(folder / "config.toml"):
            return [Run(folder.resolve())], False
        if is_file(folder / SWEEP_FILE):
            if cells := _runs(folder / "cells"):
                return [Run(cell.resolve()) for cell in sorted(cells)], True
            raise UserError(f"the sweep {name} has trained nothing yet: run it first")
    if _is_folder(Path(name)):
        raise UserError(f"{name} is neither a run nor a sweep: no config.toml and no {SWEEP_FILE}")
    raise UserError(f"no run or sweep {name!r}, neither as a folder nor in {outputs}")


def has_runs(outputs: Path) -> bool:
    """Tell whether there is a run in `outputs`."""
    return bool(_runs(outputs))


def _runs(outputs: Path) -> list[Path]:
    """Folders of runs."""
    return [path.parent for path in files_in(outputs, "config.toml")]


def names_in(outputs: Path) -> list[str]:
    """Return the names of the runs and sweeps in `outputs`, sorted."""
    files = [*files_in(outputs, "config.toml"), *files_in(outputs, SWEEP_FILE)]
    return sorted(file.parent.name for file in files)


def files_in(outputs: Path, name: str) -> list[Path]:
    """Return the files of a name in the folders of `outputs` that are finished: not hidden."""
    try:
        files = list(outputs.glob(f"*/{name}"))
    except OSError:  # a path that the system finds impossible
        return []
    return [path for path in files if not path.parent.name.startswith(".")]


def is_file(path: Path) -> bool:
    """Tell whether there is a file; not for a path that the system finds impossible."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    """The same of a folder."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
