"""Where a sweep is stored: its folder; its study, in a journal there or in a PostgreSQL database.

One process writes a journal: it holds the lock of the folder. Several may share a database: they
take turns to ask for a trial, and heartbeats show which of them are alive.
"""

import hashlib
import importlib.util
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
import tomli_w
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from circlemnist.errors import SettingError, UserError
from circlemnist.evaluation.group import Group
from circlemnist.runs.files import write_bytes, write_csv, write_text, writing
from circlemnist.runs.run import SWEEP_FILE, FileIn, create_folder, is_file
from circlemnist.sweep.plan import Plan

FORMAT = 1  # of a sweep's folder
JOURNAL, DATABASE = "journal", "database"
HEARTBEAT = 5  # seconds
GRACE = 30  # seconds without a heartbeat, after which a process counts as dead
PATIENCE = 10  # seconds that a database may take to answer
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")

optuna.logging.set_verbosity(optuna.logging.ERROR)
# heartbeats, their retries and `constant_liar` may change; a sweep asks without `Study.optimize`
warnings.filterwarnings("ignore", category=ExperimentalWarning)
warnings.filterwarnings("ignore", "Heartbeat of storage")


@dataclass(frozen=True)
class SweepFolder:
    """The folder of one sweep, and the paths of what is in it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    plan_file = FileIn(SWEEP_FILE)
    journal_file = FileIn("journal.log")
    cells = FileIn("cells")  # folders of runs
    results_file = FileIn("results.csv")
    plots = FileIn("plots")

    def is_there(self, plan: Plan, stored_in: str) -> bool:
        """Tell whether it is there; raise UserError where it cannot go on with the plan.

        Args:
            stored_in: `JOURNAL` or `DATABASE`.
        """
        file, another = self.plan_file, "another `name`"
        if not is_file(file):
            return False
        try:
            content = tomllib.loads(file.read_text("utf-8"))
            version, identity, place = (content[key] for key in ("format", "identity", "kept_in"))
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}") from error
        except (ValueError, KeyError, RecursionError) as error:
            raise UserError(f"{file} is damaged: give {another}") from error
        if version != FORMAT:
            versions = f"of format {version}, and this circlemnist reads format {FORMAT}"
            raise UserError(f"{file} is {versions}: update circlemnist, or give {another}")
        if identity != plan.identity:
            problem = f"is a sweep of other settings, as {file} says"
            raise UserError(f"{self.name} {problem}: give {another}")
        if place != stored_in:
            mend = "give its `storage`" if place == DATABASE else "leave out `storage`"
            raise UserError(f"{self.name} keeps its results in a {place}: {mend}, or {another}")
        return True

    def write_results(self, groups: Sequence[Group]) -> None:
        """Write a line a run: the settings that vary, the seed, the metrics."""
        rows = [
            {**group.settings, "seed": seed, **metrics}
            for group in groups
            for seed, metrics in group.metrics.items()
        ]
        write_csv(self.results_file, list(rows[0]) if rows else [], rows)


def open_sweep(outputs: Path, name: str, plan: Plan, stored_in: str) -> SweepFolder:
    """Return the sweep of that name in `outputs`, made with its plan file where there is none.

    Raises UserError where it cannot go on with the plan, or cannot be made.
    """
    sweep = SweepFolder((outputs / name).resolve())
    if sweep.is_there(plan, stored_in):
        return sweep
    content = {
        "format": FORMAT,
        "kept_in": stored_in,
        "identity": plan.identity,
        "seeds": list(plan.seeds),
        **({"trials": plan.trials, "metric": plan.metric} if plan.is_search else {}),
        "settings": plan.settings,
        "vary": {axis.name: axis.to_toml() for axis in plan.axes},
    }

    def fill(hidden: Path) -> None:
        (hidden / "cells").mkdir()
        write_text(SweepFolder(hidden).plan_file, tomli_w.dumps(content))

    return SweepFolder(create_folder(outputs, name, fill))


class Journal:
    """A journal file that this process alone writes, since it holds the lock of the folder."""

    shared = False
    exclusive = nullcontext  # no other process writes the journal

    def __init__(self, path: Path) -> None:
        self._path = path
        with self.errors():
            # what a killed process left: the lock of the file, and half a line
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            content = path.read_bytes() if path.exists() else b""
            if content and not content.endswith(b"\n"):
                write_bytes(path, content[: content.rfind(b"\n") + 1])
            lock = JournalFileOpenLock(str(path))
            try:
                self.storage = JournalStorage(JournalFileBackend(str(path), lock))
            except (ValueError, KeyError, AssertionError) as error:
                raise UserError(f"{path} is damaged: give the sweep another `name`") from error

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say in one line that the journal cannot be written, where the block fails to."""
        with writing(self._path):
            yield

    def beat(self, _study: str, _number: int) -> None:
        """Do nothing: the lock of the folder shows that this process is alive."""


class Database:
    """A PostgreSQL database that several processes write."""

    shared = True

    def __init__(self, url: str) -> None:
        scheme, sign, rest = url.partition("://")
        if not sign or scheme not in SCHEMES:
            raise SettingError("storage", "must begin with postgresql://")
        if importlib.util.find_spec("psycopg") is None:
            raise UserError("`storage` needs psycopg: pip install 'circlemnist[postgres]'")
        address = f"postgresql+psycopg://{rest}"
        patience = {"connect_timeout": PATIENCE}
        options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": patience}
        with self.errors():
            self._locks = sqlalchemy.create_engine(address, **options)
            # two processes may begin at once in an empty database: the first makes the tables
            with self.exclusive("circlemnist"):
                self.storage = RDBStorage(
                    address, options, heartbeat_interval=HEARTBEAT, grace_period=GRACE
                )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say in one line that the database does not answer, where the block fails for that."""
        try:
            yield
        except (sqlalchemy.exc.ArgumentError, ValueError) as error:
            raise SettingError("storage", "is no address of a database") from error
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
            cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None)
            words = " ".join(str(cause or error).split())
            problem = f"does not answer, or not as it should: {words[:200]}"
            raise UserError(f"`storage` {problem}") from error

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Keep other processes out of the study `name` within the block."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        lock = sqlalchemy.text("select pg_advisory_xact_lock(:key)")
        with self._locks.begin() as connection:
            connection.execute(lock, {"key": key})
            yield

    def beat(self, study: str, number: int) -> None:
        """Show that the process which trains a trial is alive."""
        study_id = self.storage.get_study_id_from_name(study)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.storage.record_heartbeat(trial_id)

    def close(self) -> None:
        self.storage.engine.dispose()
        self._locks.dispose()
