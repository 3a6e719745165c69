"""The folder of a run: names, paths, the history, finding the newest."""

import csv
import datetime
import errno
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock, Timeout

from circlemnist.atomic import UNFINISHED, flush_folder, remove_unfinished, umask, write_text
from circlemnist.config import Config, read_settings
from circlemnist.errors import UserError

# what a rename says where there is a folder with files in it, or a file
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


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
        try:
            write_text(self.history_file, text.getvalue())
        except OSError as error:
            raise UserError(f"cannot write {self.history_file}: {error.strerror}") from error


def create_run(outputs: Path, name: str | None, config: Config, environment: object) -> Run:
    """Make the folder of a new run, with its settings and its environment, all at once.

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
    if Path(stem).name != stem or stem.startswith(".") or not stem.isprintable():
        raise UserError(f"{stem!r} cannot name a run: give --name a plain folder name")
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        _remove_unfinished_runs(outputs)
        hidden = Run(Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=outputs)))
        try:
            write_text(hidden.environment_file, json.dumps(environment, indent=2) + "\n")
            write_text(hidden.config_file, config.to_toml())
            hidden.folder.chmod(0o777 & ~umask())
            return Run(_show(hidden.folder, stem, unique=name is None))
        finally:
            shutil.rmtree(hidden.folder, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write into {outputs}: {error.strerror}; choose another folder with --outputs"
        ) from error


def _show(hidden: Path, stem: str, unique: bool) -> Path:
    """Rename a finished folder to `stem`, or with `unique` to the first of its numbers free."""
    for count in range(1, 1000):
        folder = hidden.parent.resolve() / (stem if count == 1 else f"{stem}_{count}")
        try:
            hidden.rename(folder)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            if not unique:
                raise UserError(
                    f"the run {stem!r} is already in {hidden.parent}: "
                    f"choose another --name, or continue it with --resume {stem}"
                ) from None
        else:
            flush_folder(folder.parent)
            return folder
    raise UserError(f"too many runs named {stem!r} in {hidden.parent}")


def _remove_unfinished_runs(outputs: Path) -> None:
    """Remove folders that a process which was killed an hour ago or more did not get to rename."""
    for folder in outputs.glob(f"{UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > 3600:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep other processes from training the run; the system frees the lock of one that died.

    Raises:
        UserError: another process trains the run, or its folder cannot be written.
    """
    lock = FileLock(run.lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{run.name} is being trained by another process: wait for its end, or stop it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write into {run.folder}: {error.strerror}") from error
    try:
        remove_unfinished(run.folder)
        yield
    finally:
        lock.release()


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
