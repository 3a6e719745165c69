"""The folder of a run: its paths, made all at once, found by name, locked while it trains."""

import datetime
import errno
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circlemnist.config import Config, read_settings
from circlemnist.errors import SettingError, UserError
from circlemnist.runs.files import flush_folder, hidden_folder, remove_unfinished, write_text
from circlemnist.runs.history import Epoch, read_history

if TYPE_CHECKING:
    import torch

CONFIG_FILE, SWEEP_FILE = "config.toml", "sweep.toml"  # what makes a folder a run, or a sweep
LONGEST = 255  # bytes of a name, for nearly all file systems
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pytorch-metric-learning")
# what a rename says where there is a folder with files in it, or a file
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@dataclass(frozen=True)
class FileIn:
    """The path of a file in the `folder` of a run or a sweep."""

    name: str

    def __get__(self, owner: Any, _type: type) -> Path:
        return Path(owner.folder / self.name)


@dataclass(frozen=True)
class Run:
    """The folder of one run, and the paths of what is in it, whether it is there or not."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    config_file = FileIn(CONFIG_FILE)
    environment_file = FileIn("environment.json")
    history_file = FileIn("history.csv")
    checkpoint_file = FileIn("last.pt")
    metrics_file = FileIn("eval.json")
    embeddings_file = FileIn("embeddings.npz")
    gallery_file = FileIn("gallery.npz")
    snapshots_file = FileIn("snapshots.npz")
    plots = FileIn("plots")
    tensorboard = FileIn("tensorboard")

    def projection_file(self, of: str) -> Path:
        """Return the path of the points of a projection, stored by the name of what they are of."""
        return self.folder / f"projection-{of}.npz"

    def config(self) -> Config:
        """Read the settings; raises UserError where the file is not there, or is damaged."""
        settings = read_settings(self.config_file)
        if settings.get("dataset", "auto") == "auto":
            raise UserError(
                f"{self.config_file} does not name the data set of the run: train again"
            )
        try:
            return Config(**settings)
        except SettingError as error:
            raise UserError(f"{self.config_file}: {error}") from error

    def environment(self) -> dict[str, Any]:
        """Read what the run was trained with; empty where nothing can be known of it."""
        with suppress(OSError, ValueError):  # not there, unreadable, or written by hand
            content = json.loads(self.environment_file.read_text("utf-8"))
            if isinstance(content, dict):
                return content
        return {}

    def history(self) -> list[Epoch]:
        """Read the history, empty where no epoch has ended; raises UserError where damaged."""
        return read_history(self.history_file)


def create_run(outputs: Path, name: str | None, config: Config, environment: object) -> Run:
    """Make the folder of a new run, with its settings and its environment, all at once.

    Its name is by default the time, the loss, gamma and m, and unseen classes.
    """
    time = f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
    values = "".join(f"_{name}{value:g}" for name, value in config.hyperparameters.items())
    names = (config.unseen or "").split(",")
    joined = ("" if max(map(len, names)) == 1 else "-").join(names)
    unseen = f"_unseen{joined[:60]}" if config.unseen else ""

    def fill(hidden: Path) -> None:
        run = Run(hidden)
        write_text(run.environment_file, json.dumps(environment, indent=2) + "\n")
        write_text(run.config_file, config.to_toml())

    default = f"{time}_{config.loss}{values}{unseen}"
    return Run(create_folder(outputs, default if name is None else name, fill, name is None))


def create_folder(
    outputs: Path, name: str, fill: Callable[[Path], object], numbered: bool = False
) -> Path:
    """Make a folder in `outputs`, with what `fill` writes into it, all at once; return its path.

    Raises UserError where `outputs` cannot be written, or the name is taken: `numbered` adds a
    number to it then.
    """
    check_name(name)
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        remove_unfinished(outputs, shared=True)
        with hidden_folder(outputs) as hidden:
            fill(hidden)
            return _show(hidden, name, numbered)
    except OSError as error:
        raise UserError(
            f"cannot write into {outputs}: {error.strerror}; choose another folder for `outputs`"
        ) from error


def check_name(name: str) -> None:
    """Raise UserError where `name` is no plain name of a folder."""
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UserError(f"{name!r} cannot name a folder: give `name` a plain folder name")
    if len(os.fsencode(name)) > LONGEST:
        raise UserError(f"{name[:20]!r}… is too long: give `name` at most {LONGEST} bytes")


def _show(hidden: Path, name: str, numbered: bool) -> Path:
    """Rename a finished folder to `name`, or with `numbered` to the first of its numbers free."""
    folder, count = hidden.parent.resolve() / name, 1
    while True:
        try:
            hidden.rename(folder)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            if not numbered:
                is_run = Run(folder).config_file.is_file()
                more = f", or continue that run: `train --resume {name}`" if is_run else ""
                raise UserError(
                    f"{name!r} is already in {hidden.parent}: choose another `name`{more}"
                ) from None
        else:
            flush_folder(folder.parent)
            return folder
        count += 1
        folder = folder.with_name(f"{name}_{count}")


def find_run(outputs: Path, name: str | None) -> Run:
    """Find a run by its folder or by its name in `outputs`; the newest where `name` is None."""
    if name is None:
        files = files_in(outputs, CONFIG_FILE)
        if not files:
            raise UserError(f"no runs in {outputs}: train one first, with `train`")
        return Run(max(files, key=lambda file: file.stat().st_mtime_ns).parent.resolve())
    if folder := _folder_with(CONFIG_FILE, outputs, name):
        return Run(folder)
    known = sorted(file.parent.name for file in files_in(outputs, CONFIG_FILE))
    hint = f"its runs: {', '.join(known[-3:])}" if known else "it holds no runs"
    raise UserError(f"no run {name!r}, neither as a folder nor in {outputs} ({hint})")


def find_runs(outputs: Path, name: str) -> tuple[list[Run], bool]:
    """Find a run, or all those of a sweep, by folder or name; also tell whether it is a sweep."""
    if folder := _folder_with(CONFIG_FILE, outputs, name):
        return [Run(folder)], False
    if folder := _folder_with(SWEEP_FILE, outputs, name):
        if files := files_in(folder / "cells", CONFIG_FILE):
            return [Run(file.parent.resolve()) for file in sorted(files)], True
        raise UserError(f"the sweep {name} has trained nothing yet: run it first")
    raise UserError(f"no run or sweep {name!r}, neither as a folder nor in {outputs}")


def is_run(outputs: Path, name: str) -> bool:
    """Tell whether `find_run` finds a run of that folder or name."""
    return _folder_with(CONFIG_FILE, outputs, name) is not None


def has_runs(outputs: Path) -> bool:
    return bool(files_in(outputs, CONFIG_FILE))


def names_in(outputs: Path) -> list[str]:
    """Return the names of the runs and sweeps in `outputs`, sorted."""
    files = [*files_in(outputs, CONFIG_FILE), *files_in(outputs, SWEEP_FILE)]
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
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for some of these


def _folder_with(file: str, outputs: Path, name: str) -> Path | None:
    """Return the folder that has a file of that name, by its path or its name in `outputs`."""
    folders = (Path(name), outputs / name)
    return next((folder.resolve() for folder in folders if is_file(folder / file)), None)


@contextmanager
def locked(run: Run, patience: float = 0) -> Iterator[None]:
    """Keep other processes from training the run; the system frees the lock of one that died.

    Waits `patience` seconds for a process that is about to end; raises UserError after them.
    """
    with alone(run.folder, "trained", patience):
        remove_unfinished(run.folder)
        yield


@contextmanager
def alone(folder: Path, done: str, patience: float = 0) -> Iterator[None]:
    """Hold the lock of a folder, or raise UserError where it is being `done` by another process."""
    from filelock import FileLock, Timeout  # whose own imports are slow

    lock = FileLock(folder / "lock", timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{folder.name} is being {done} by another process: wait for its end, or stop it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def describe_machine(device: "torch.device") -> dict[str, Any]:
    """Return versions, device, threads and git revision, for `environment.json`."""
    import torch

    return {
        "revision": _revision(),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "platform": platform.platform(),
        "processor": _processor(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Return the processor's model, as far as the system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()  # ARM's cpuinfo names no model


def _revision() -> str | None:
    """Return the git revision of the source, or None where it is not run from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
