"""The folder of a run: names, paths, the history, finding the newest."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from circlemnist.config import Config, read_settings
from circlemnist.errors import UserError
from circlemnist.runs.whole_files import write_text, writing


@dataclass(frozen=True)
class Epoch:
    """One row of the history.

    `loss`, `mean_sp`, `mean_sn` and `crossed` (the share of pairs beyond the decision circle) are
    means over the steps of the epoch, `lr` is that of its last step, `seconds` its duration.
    """

    epoch: int
    loss: float
    mean_sp: float
    mean_sn: float
    crossed: float
    lr: float
    seconds: float


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
    def table_file(self) -> Path:
        return self.folder / "eval.txt"

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

    def history(self) -> list[dict[str, str]]:
        """Read the history, a row an epoch; empty where no epoch has ended.

        Raises:
            UserError: the file cannot be read.
        """
        if not self.history_file.exists():
            return []
        try:
            return list(csv.DictReader(self.history_file.read_text("utf-8").splitlines()))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"cannot read {self.history_file}: {error}") from error

    def write_history(self, rows: list[Epoch]) -> None:
        """Write the history, a row an epoch.

        Raises:
            UserError: the folder cannot be written.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, [f.name for f in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        with writing(self.history_file):
            write_text(self.history_file, text.getvalue())


def find_run(outputs: Path, name: str | None) -> Run:
    """Find a run by its folder or by its name in `outputs`; the newest where `name` is None.

    Raises:
        UserError: there is no such run, or none at all.
    """
    if name is None:
        runs = _runs(outputs)
        if not runs:
            raise UserError(f"no runs in {outputs}: train one first, with `circlemnist train`")
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
