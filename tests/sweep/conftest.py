"""A real PostgreSQL on the loopback."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin")


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs."""
    places = [path for place in PLACES for path in Path("/").glob(place[1:])]
    if on_path := shutil.which("initdb"):
        places.append(Path(on_path).parent)
    return next((path for path in places if (path / "initdb").exists()), None)


def answers(url: str) -> bool:
    """Tell whether a server takes connections."""
    try:
        psycopg.connect(f"{url}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server's own database, without a password; the server ends with the tests."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = None
    if os.getuid() == 0:  # which it refuses
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam("nobody").pw_uid
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="circlemnist-postgres-"))
    if user is not None:
        os.chown(folder, user, -1)
    init = ["initdb", "-D", "data", "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(
        [programs / init[0], *init[1:]], cwd=folder, user=user, check=True, capture_output=True
    )
    options = ["-D", "data", "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    server = subprocess.Popen(
        [programs / "postgres", *options],
        cwd=folder,
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"postgresql://tests@127.0.0.1:{port}"
        while not answers(url):
            assert server.poll() is None, "the server did not start"
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_database(postgres: str) -> Callable[[], str]:
    """Make an empty database, and return its URL."""

    def new() -> str:
        name = f"sweeps{time.monotonic_ns()}"
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        return f"{postgres}/{name}"

    return new
