"""A real PostgreSQL on the loopback."""

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
    places = Path("/usr/lib/postgresql").glob("*/bin")  # of Debian
    initdb = shutil.which("initdb", path=os.pathsep.join(map(str, (*places, os.environ["PATH"]))))
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # it refuses to run as root
    user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="circlemnist-postgres-"))
    if user is not None:
        os.chown(folder, user, -1)
    init = [initdb, "-D", "data", "-U", "tests", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(init, cwd=folder, user=user, check=True, capture_output=True)
    options = ["-D", "data", "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(
        [Path(initdb).with_name("postgres"), *options], cwd=folder, user=user, **nowhere
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
