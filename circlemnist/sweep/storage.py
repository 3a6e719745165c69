"""Where the study of a sweep is kept: a journal in its folder, or a PostgreSQL database.

One process writes a journal: it holds the lock of the folder. Several may share a database: they
take turns to ask for a trial, and heartbeats show which of them are alive.
"""

import hashlib
import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from circlemnist.errors import SettingError, UserError
from circlemnist.runs.files import writing

HEARTBEAT = 5  # seconds
GRACE = 30  # seconds without a heartbeat, after which a process counts as dead
PATIENCE = 10  # seconds that a database may take to answer
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal:
    """A journal file that this process alone writes, since it holds the lock of the folder."""

    shared = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self.reached():
            _mend(path)
            lock = JournalFileOpenLock(str(path))
            try:
                self.storage = JournalStorage(JournalFileBackend(str(path), lock))
            except (ValueError, KeyError, AssertionError) as error:
                raise UserError(f"{path} is damaged: give the sweep another `name`") from error

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Say in one line that the journal cannot be written, where the block fails to."""
        with writing(self._path), _quiet():
            yield

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        """Do something that no other process does meanwhile: there is none."""
        yield

    def beat(self, study: str, number: int) -> None:
        """Show that this process is alive: the lock of the folder does."""


def _mend(path: Path) -> None:
    """Remove what a killed process left: half a line and the lock of the file."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
            file.flush()
            os.fsync(file.fileno())


class Database:
    """A PostgreSQL database that several processes write.

    Raises:
        UserError: the URL is none, psycopg is not installed, or the database does not answer.
    """

    shared = True

    def __init__(self, url: str) -> None:
        scheme, sign, rest = url.partition("://")
        if not sign or scheme not in SCHEMES:
            raise SettingError("storage", "must begin with postgresql://")
        if importlib.util.find_spec("psycopg") is None:
            raise UserError("`storage` needs psycopg: pip install 'circlemnist[postgres]'")
        address = f"postgresql+psycopg://{rest}"
        options: dict[str, Any] = {
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": PATIENCE},
        }
        with self.reached():
            self._locks = sqlalchemy.create_engine(address, **options)
            # two processes may begin at once in an empty database: one of them makes the tables
            with self.in_turn("circlemnist"):
                self.storage = RDBStorage(
                    address,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                )

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Say in one line that the database does not answer, where the block fails for that."""
        try:
            with _quiet():
                yield
        except (sqlalchemy.exc.ArgumentError, ValueError) as error:
            raise SettingError("storage", "is no address of a database") from error
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None)
            words = " ".join(str(cause or error).split())
            raise UserError(
                f"`storage` does not answer, or not as it should: {words[:200]}"
            ) from error

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        """Do something for the study `name` that no other process does meanwhile."""
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
        """Close the connections."""
        self.storage.engine.dispose()
        self._locks.dispose()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from warning that heartbeats, their retries and `constant_liar` may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
