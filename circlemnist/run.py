"""The folder of a run: names, paths, the history, finding the newest."""

import csv
import datetime
import io
import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from circlemnist.atomic import write_text
from circlemnist.config import Config, read_settings
from circlemnist.errors import UserError


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
    def metrics_file(self) -> Path:
        return self.folder / "eval.json"

    @property
    def table_file(self) -> Path:
        return self.folder / "eval.txt"

    @property
    def embeddings_file(self) -> Path:
        return self.folder / "embeddings.npz"

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
        except (OSError, ValueError) as error:
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
        try:
            write_text(self.history_file, text.getvalue())
        except OSError as error:
            raise UserError(f"cannot write {self.history_file}: {error.strerror}") from error


def create_run(outputs: Path, name: str | None, config: Config, environment: object) -> Run:
    """Make the folder of a new run, with its settings and its environment.

    Args:
        outputs: the folder of runs; made where it is not there.
        name: the folder's name; by default the time, gamma and m.
        environment: written as `environment.json`.

    Raises:
        UserError: the name is taken or is no folder name, or `outputs` cannot be written.
    """
    stem = (
        name or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}_gamma{config.gamma:g}_m{config.m:g}"
    )
    if Path(stem).name != stem or stem.startswith("."):
        raise UserError(f"{stem!r} cannot name a run: give --name a plain folder name")
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        run = Run(_new_folder(outputs.resolve(), stem, unique=name is None))
        try:
            write_text(run.environment_file, json.dumps(environment, indent=2) + "\n")
            write_text(run.config_file, config.to_toml())
        except BaseException:
            shutil.rmtree(run.folder, ignore_errors=True)
            raise
    except OSError as error:
        raise UserError(
            f"cannot write into {outputs}: {error.strerror}; choose another folder with --outputs"
        ) from error
    return run


def _new_folder(outputs: Path, stem: str, unique: bool) -> Path:
    for count in range(1, 1000):
        folder = outputs / (stem if count == 1 else f"{stem}_{count}")
        try:
            folder.mkdir()
        except FileExistsError:
            if not unique:
                raise UserError(
                    f"the run {stem!r} is already in {outputs}: "
                    f"choose another --name, or continue it with --resume {stem}"
                ) from None
        else:
            return folder
    raise UserError(f"too many runs named {stem!r} in {outputs}")


def find_run(outputs: Path, name: str | None) -> Run:
    """Find a run by its folder or by its name in `outputs`; the newest where `name` is None.

    Raises:
        UserError: there is no such run, or none at all.
    """
    if name is None:
        runs = [path.parent for path in outputs.glob("*/config.toml")]
        if not runs:
            raise UserError(f"no runs in {outputs}: train one first, with `circlemnist train`")
        newest = max(runs, key=lambda folder: (folder / "config.toml").stat().st_mtime_ns)
        return Run(newest.resolve())
    for folder in (Path(name), outputs / name):
        if (folder / "config.toml").is_file():
            return Run(folder.resolve())
    known = sorted(path.parent.name for path in outputs.glob("*/config.toml"))
    hint = f"its runs: {', '.join(known[-3:])}" if known else "it holds no runs"
    raise UserError(f"no run {name!r}, neither as a folder nor in {outputs} ({hint})")
