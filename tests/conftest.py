"""What the tests share: the real MNIST archives, and one small finished run."""

import atexit
import fcntl
import os
import shutil
import signal
import struct
import tempfile
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import settings

from circlemnist.cli.main import main
from circlemnist.models import precision

ROOT = Path(__file__).parent.parent
MNIST = Path(os.environ.get("CIRCLEMNIST_TEST_DATA", ROOT.parent / "shared" / "mnist"))

# a job in the background may ignore these, and so would the processes that tests start and stop
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# the same examples in every run; --hypothesis-profile=explore looks for others. No database: what
# one run found would otherwise be tried first by the next
given = {"deadline": None, "max_examples": 40, "database": None}
settings.register_profile("circlemnist", derandomize=True, **given)
settings.register_profile("explore", **given)
settings.load_profile("circlemnist")


if "PYTEST_XDIST_WORKER" in os.environ:  # teams of threads wait for one another
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


# the user's cache folder stays as it is. In that of the tests, and of the processes they start,
# bfloat16 is slow: `precision` auto is float32 whatever the processor, and nothing is tried
os.environ["XDG_CACHE_HOME"] = CACHES = tempfile.mkdtemp(prefix="circlemnist-caches-")
atexit.register(shutil.rmtree, CACHES, ignore_errors=True)
SLOW = precision.Probe(gain=0.5)
precision.write_probe(SLOW)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random tensors in every test, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder, in which it is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*args: object) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Fail, rather than hang, where the block takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def set_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Send every download, of this process and those it starts, to a server on the loopback."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def set_ranks(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    """Make this process one of two that torchrun has started on a machine."""
    ranks = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**ranks, "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every download to a port of this machine where nothing listens."""
    set_proxy(monkeypatch, "http://127.0.0.1:9/")


def assert_one_line_error(result: Result, *words: str) -> None:
    """Check that a command failed as a user should see it fail: one line, no traceback."""
    assert result.exit_code in (1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    errors = [line for line in result.stderr.splitlines() if line]
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("Error: ")
    for word in words:
        assert word in errors[0]


@pytest.fixture(scope="session")
def bfloat16_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where the processor cannot compute in bfloat16, which is truly tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        precision.probe.cache_clear()
        found = precision.probe()
        precision.probe.cache_clear()
    if found.problem:
        pytest.skip(f"no bfloat16: {found.problem}")


@pytest.fixture(scope="session")
def mnist_archives() -> Path:
    """The folder of the four official archives; CIRCLEMNIST_TEST_DATA names another place."""
    raw = MNIST / "MNIST" / "raw"
    if not (raw / "train-images-idx3-ubyte.gz").exists():
        pytest.skip(f"the MNIST archives are not in {raw}")
    return raw


@pytest.fixture
def mnist_dir(mnist_archives: Path, tmp_path: Path) -> Path:
    """A data folder of its own with a copy of the archives."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in mnist_archives.glob("*.gz"):
        shutil.copyfile(archive, raw / archive.name)
    return tmp_path / "data"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of three epochs on digits; tests leave it as it is."""
    outputs = tmp_path_factory.mktemp("outputs")
    result = invoke(
        "train", "--dataset", "digits", "--epochs", 3, "--outputs", outputs, "--name", "small"
    )
    assert result.exit_code == 0, result.output
    return outputs / "small"


@pytest.fixture(scope="session")
def unseen_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of an epoch on digits without 0, 3 and 8; tests leave it as it is."""
    outputs = tmp_path_factory.mktemp("outputs")
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--unseen", "3,0,8")
    result = invoke("train", *args, "--quiet", "--name", "unseen", "--outputs", outputs)
    assert result.exit_code == 0, result.output
    return outputs / "unseen"


@pytest.fixture(scope="session")
def watched_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four epochs on digits with snapshots; tests add pictures to it."""
    outputs = tmp_path_factory.mktemp("outputs")
    args = ("--dataset", "digits", "--net", "small", "--epochs", 4, "--snapshots")
    result = invoke("train", *args, "--quiet", "--name", "watched", "--outputs", outputs)
    assert result.exit_code == 0, result.output
    return outputs / "watched"


Terminal = Callable[[int], Callable[[], str]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Standard error as a pseudo-terminal of a width; what it returns reads what was sent."""
    main, end = os.openpty()
    os.set_blocking(main, False)
    stream = os.fdopen(end, "w", encoding="utf-8")

    def sent() -> str:
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(main, 4096):
                parts.append(part)
        return b"".join(parts).decode()

    def open_terminal(width: int) -> Callable[[], str]:
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        monkeypatch.setattr("sys.stderr", stream)
        return sent

    yield open_terminal
    monkeypatch.undo()
    stream.close()
    os.close(main)
