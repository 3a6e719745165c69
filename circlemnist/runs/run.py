"""The folder of a run: names, paths, finding the newest."""

from dataclasses import dataclass
from pathlib import Path

from circlemnist.config import Config, read_settings
from circlemnist.errors import UserError
from circlemnist.runs.history import Epoch, read_history


@dataclass(frozen=True)
class Run:
    """The folder of one run and the files in it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config_file(self) -> Path:
        return self.folder / "config.toml"

    @property
    def environment_file(self) -> Path:
        return self.folder / "environment.json"

    @property
    def history_file(self) -> Path:
        return self.folder / "history.csv"

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "last.pt"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def metrics_file(self) -> Path:
        return self.folder / "eval.json"

    @property
    def embeddings_file(self) -> Path:
        return self.folder / "embeddings.npz"

    @property
    def snapshots_file(self) -> Path:
        return self.folder / "snapshots.npz"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    def config(self) -> Config:
        """Read the settings of the run.

        Raises:
            UserError: the file is not there or is damaged.
        """
        return Config(**read_settings(self.config_file))

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
    for folder in (Path(name), outputs / name):
        if _is_file(folder / "config.toml"):
            return Run(folder.resolve())
    known = sorted(folder.name for folder in _runs(outputs))
    hint = f"its runs: {', '.join(known[-3:])}" if known else "it holds no runs"
    raise UserError(f"no run {name!r}, neither as a folder nor in {outputs} ({hint})")


def has_runs(outputs: Path) -> bool:
    """Tell whether there is a run in `outputs`."""
    return bool(_runs(outputs))


def _runs(outputs: Path) -> list[Path]:
    """Folders of runs, without those that are not finished."""
    folders = [path.parent for path in outputs.glob("*/config.toml")]
    return [folder for folder in folders if not folder.name.startswith(".")]


def _is_file(path: Path) -> bool:
    """Tell whether there is a file; not for a path that the system finds impossible."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
