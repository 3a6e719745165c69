"""Where a sweep's results are kept: a journal in its folder, or a PostgreSQL database.

A journal is written by one process, which holds the lock of the folder. A database by one on each
machine; what must not be done twice they do in turn, and a claim is held by a heartbeat.
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
from optuna.storages import JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from circlemnist.errors import SettingError, UserError
from circlemnist.runs.files import writing

HEARTBEAT = 5  # seconds
GRACE = 30  # seconds without a heartbeat, after which a claim is given up
PATIENCE = 10  # seconds that a database may take to answer
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
SEED = 0  # of the order in which a grid is walked

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal:
    """A journal file, of which this is the only process that writes."""

    def __init__(self, path: Path) -> None:
        with writing(path):
            _mend(path)
            lock = JournalFileOpenLock(str(path))
            try:
                self.storage = JournalStorage(JournalFileBackend(str(path), lock))
            except (ValueError, KeyError, AssertionError) as error:
                raise UserError(f"{path} is damaged: give the sweep another `name`") from error
        self._path = path

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Say in one line that the journal cannot be written, where the block fails to."""
        with writing(self._path):
            yield

    @contextmanager
    def in_turn(self, name: str) -> Iterator[None]:
        """Do something for the study `name` that other processes do not do meanwhile."""
        yield

    def beat(self, trial_id: int) -> None:
        """Say that the process which claimed a trial is alive: the folder's lock says so."""

    def left(self, study_id: int) -> set[int] | None:
        """Ids of trials whose process is gone; None for all that this process did not claim."""
        return None

    def close(self) -> None:
        """Nothing is open between two writes."""


def _mend(path: Path) -> None:
    """Take away what a process that was killed while it wrote left: half a line, and its lock."""
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
    """A PostgreSQL database, by its URL, of which several processes write.

    Raises:
        UserError: it is no such URL, psycopg is not installed, or the database does not answer.
    """

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
        with self.reached(), quiet():
            self._engine = sqlalchemy.create_engine(address, **options)
            # of two that begin at once in an empty database, one makes the tables
            with self.in_turn("circlemnist"):
                self._database = RDBStorage(
                    address,
                    engine_kwargs=options,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                )
        self.storage = get_storage(self._database)  # which keeps finished trials in memory

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Say in one line that the database does not answer, where the block fails for that."""
        try:
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
        """Do something for the study `name` that other processes do not do meanwhile."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        lock = sqlalchemy.text("select pg_advisory_xact_lock(:key)")
        with self._engine.begin() as connection:
            connection.execute(lock, {"key": key})
            yield

    def beat(self, trial_id: int) -> None:
        """Say that the process which claimed a trial is alive."""
        self._database.record_heartbeat(trial_id)

    def left(self, study_id: int) -> set[int] | None:
        """Ids of trials whose process is gone, or has lost the database for long."""
        return set(self._database._get_stale_trial_ids(study_id))

    def close(self) -> None:
        """Close the connections."""
        self._database.engine.dispose()
        self._engine.dispose()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from warning that heartbeats and claims by hand are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
