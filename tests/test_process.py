"""A process and its system: threads that spin briefly, signals, output that nobody reads."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from circlemnist.errors import Lost, SettingError, Unwritten, UserError
from circlemnist.process import Stopped, StopSignals, loading, to_stderr, working
from tests.conftest import ROOT, Terminal

WAYS = {
    "command": (
        "import circlemnist.__main__ as program, os, sys; sys.argv[1:] = ['--version']\n"
        "try: program.main()\n"
        "except SystemExit: print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    ),
    "python": (
        "import builtins, circlemnist, os; load = builtins.__import__\n"
        "def seen(name, *rest):\n"
        "    if name == 'torch': print(False, os.environ.get('GOMP_SPINCOUNT')); os._exit(0)\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = seen\n"
        "circlemnist.train"
    ),
}


@pytest.mark.parametrize(
    ("way", "environment", "spins"),
    [
        ("command", {}, "1000"),
        ("python", {}, "1000"),
        ("command", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("command", {"OMP_WAIT_POLICY": "active"}, "None"),
    ],
)
def test_threads_spin_briefly_unless_the_user_says_otherwise(
    way: str, environment: dict[str, str], spins: str
) -> None:
    """It is set before torch is loaded."""
    unset = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ended = subprocess.run(
        [sys.executable, "-uc", WAYS[way]],
        cwd=ROOT,
        env={**unset, **environment},
        capture_output=True,
        text=True,
    )
    assert ended.stdout.splitlines()[-1] == f"False {spins}", ended.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_between_steps_waits_for_the_check(signum: int) -> None:
    before, reached = signal.getsignal(signum), []
    stop = StopSignals()

    def work() -> None:
        with stop, stop.between_steps():
            stop.check()
            os.kill(os.getpid(), signum)
            assert stop.received == signum
            reached.append("check")
            stop.check()
            reached.append("behind")

    with pytest.raises(Stopped) as caught:
        work()
    assert caught.value.exit_code == 128 + signum
    assert str(caught.value) == signal.Signals(signum).name
    assert reached == ["check"]
    assert signal.getsignal(signum) == before


@pytest.mark.parametrize("swallowed", [False, True])
def test_signal_after_the_last_check_or_at_other_times_stops(swallowed: bool) -> None:
    """Also where code that catches everything was running as it came."""
    stop, reached = StopSignals(), []

    def work() -> None:
        with stop:
            if swallowed:
                with suppress(BaseException):
                    os.kill(os.getpid(), signal.SIGTERM)
                    reached.append("other code")
                return
            with stop.between_steps():
                os.kill(os.getpid(), signal.SIGTERM)
            reached.append("behind the steps")

    with pytest.raises(Stopped, match="SIGTERM"):
        work()
    assert reached == []


def test_signal_while_an_extension_module_is_imported_stops() -> None:
    """The module raises an ImportError from `Stopped`; its package may raise another from that."""

    def work() -> None:
        with StopSignals():
            try:
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                except Stopped as stopped:
                    raise ImportError("initialization failed") from stopped
            except ImportError as error:
                raise ImportError("the package is broken") from error

    with pytest.raises(Stopped, match="SIGTERM"):
        work()


def test_error_while_a_run_stops_stays_itself() -> None:
    """Such as that of a checkpoint which cannot be written, whatever its own cause."""

    def work() -> None:
        with StopSignals():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                raise OSError("no room") from ValueError()

    with pytest.raises(OSError, match="no room"):
        work()


ENDS = """import os, signal, sys, threading, time
from pathlib import Path
from circlemnist.process import StopSignals, end_by_signal, handle_signals
from circlemnist.runs.files import atomic_folder, atomic_write
handle_signals(end_by_signal)
threading.Thread(target=lambda: time.sleep(60)).start()  # which nobody can stop
with StopSignals() as stop, stop.between_steps(), atomic_write(Path("a.txt")) as file:
    with atomic_folder(Path("space")) as folder:
        (folder / "b.txt").touch()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_process_is_ended_in_a_line_and_leaves_nothing(first: bool, tmp_path: Path) -> None:
    """By the first signal to a command, or the second one to a training."""
    code = ENDS.replace("StopSignals() as stop, stop.between_steps(), ", "") if first else ENDS
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (130 if first else 143, "stopped\n")
    assert list(tmp_path.iterdir()) == []


LATE = {
    # while what an error left is removed
    "clean-up": """
with atomic_folder(Path("space")) as folder, cleanup(lambda: os.kill(os.getpid(), signal.SIGTERM)):
    (folder / "b.txt").touch()
    raise ValueError
""",
    # when the program has said why it stops
    "last words": """
last_words("stopped")
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(143)
""",
    "closed output": """
os.close(1)
with atomic_write(Path("a.txt")) as file:
    os.kill(os.getpid(), signal.SIGTERM)
""",
}


@pytest.mark.parametrize("moment", LATE)
def test_late_signals_end_the_process_in_the_same_line(moment: str, tmp_path: Path) -> None:
    begin, _, _ = ENDS.partition("threading.Thread")
    imports = "from circlemnist.process import cleanup, last_words\n"
    code = imports + begin + LATE[moment]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (143, "stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ignored_hang_up() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_ignored_signal_stays_ignored(ignored_hang_up: None) -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received is None
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_other_threads_are_left_alone() -> None:
    with ThreadPoolExecutor(1) as pool:

        def handler_within() -> object:
            with StopSignals():
                return signal.getsignal(signal.SIGTERM)

        assert pool.submit(handler_within).result() == signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize(
    "error", [SettingError("m", "is wrong"), Unwritten("no room", "run"), Lost("gone", speaks=True)]
)
def test_errors_are_the_same_in_another_process(error: UserError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert (str(there), vars(there)) == (str(error), vars(error))


def test_nothing_is_printed_where_standard_error_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`print` to no file would print among the results."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        to_stderr("a line")
    assert capsys.readouterr().out == ""


def test_terminal_shows_the_innermost_work_that_takes_a_while(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = terminal(30)
    monkeypatch.setattr("circlemnist.process.SILENCE", 0.01)
    monkeypatch.setattr("circlemnist.process._reports_work", False)
    with working("not asked for"):
        time.sleep(0.1)
    with loading():
        pass
    with working("drawing a picture of embeddings"):
        time.sleep(0.2)
        *_, blank, shown = sent().split("\r")
        assert (blank.strip(), shown) == (shown, "drawing a picture of embeddin")
        with working("t-SNE"):
            time.sleep(0.2)
            assert sent().split("\r")[-1] == "t-SNE … 0 s"
            to_stderr("look out")
            *_, blank, line, _ = sent().split("\r")
            assert (blank.strip(), line) == ("", "look out")
    *_, blank, end = sent().split("\r")
    assert (blank.strip(), end) == ("", "")
    with working("as quick as this"):
        pass
    assert sent() == ""
