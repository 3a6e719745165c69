"""Ctrl-C, a shutdown, a closed terminal: the step is finished, saved, and can be continued."""

import os
import shlex
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from circlemnist.process import Stopped, StopSignals
from tests.process import ONE_THREAD, PROGRAM, fingerprint, run, start, wait_for

TRAIN = ("train", "--dataset", "digits", "--epochs", "12", "--batch-size", "100", "--quiet")
LOUD = TRAIN[:-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The fingerprint of the run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, *TRAIN, "--name", "parts", **ONE_THREAD).returncode == 0
    return fingerprint(folder / "outputs" / "parts")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_stopped_run_continues_with_the_command_it_prints(
    signum: int, code: int, whole: dict[str, str], tmp_path: Path
) -> None:
    with start(tmp_path, *LOUD, "--name", "parts", **ONE_THREAD) as process:
        wait_for(process, "epoch 3/")
        process.send_signal(signum)
        rest, error = process.communicate()
    assert process.returncode == code
    assert "epoch 12/" not in rest
    assert error.count("\n") == 1
    command = shlex.split(error.partition("continue with: ")[2])
    assert command == ["circlemnist", "train", "--resume", "parts"]
    resumed = run(tmp_path, *command[1:], **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert fingerprint(tmp_path / "outputs" / "parts") == whole


@pytest.mark.slow
def test_step_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    """A signal amid an epoch: the checkpoint holds the part of it that was done."""
    args = ("train", "--dataset", "digits", "--epochs", "1", "--batch-size", "4", "--lr", "0.001")
    with start(tmp_path, *args, "--name", "parts", **ONE_THREAD) as process:
        folder = tmp_path / "outputs" / "parts"
        while not (folder / "history.csv").exists():
            time.sleep(0.01)
        time.sleep(0.15)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert (folder / "last.pt").exists()
    assert (folder / "history.csv").read_text().count("\n") == 1
    code = f"""
from circlemnist.runs.checkpoint import load_checkpoint
from pathlib import Path
print(load_checkpoint(Path({str(folder / "last.pt")!r}))["cursor"]["step"])
"""
    done = subprocess.run([PROGRAM[0], "-c", code], capture_output=True, text=True)
    assert 0 < int(done.stdout) < 359
    resumed = run(tmp_path, "train", "--resume", "parts", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert run(tmp_path, *args, "--name", "whole", **ONE_THREAD).returncode == 0
    assert fingerprint(folder) == fingerprint(folder.parent / "whole")


@pytest.mark.slow
def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The first one waits for a step that takes seconds; the second does not."""
    args = ("--dataset", "digits", "--batch-size", "1437", "--dim", "4096", "--gamma", "1")
    with start(tmp_path, "train", *args, "--epochs", "50", **ONE_THREAD) as process:
        wait_for(process, "epoch 1/")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate()
    assert process.returncode in (143, 130)
    assert "Traceback" not in error


@pytest.mark.parametrize("module", ["click.core", "torch._utils"])
def test_signal_before_the_run_is_made_leaves_nothing(module: str, tmp_path: Path) -> None:
    """While the modules of the command line load, or torch does."""
    with start(tmp_path, *TRAIN, **ONE_THREAD, PYTHONPROFILEIMPORTTIME="1") as process:
        assert process.stderr is not None
        while not process.stderr.readline().rstrip().endswith(f" {module}"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        error = process.stderr.read()  # communicate() would lose what readline() has buffered
    assert process.returncode == 130
    said = [line for line in error.splitlines() if not line.startswith("import time:")]
    assert said == ["stopped"]
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_hang_up_is_ignored_under_nohup(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path, *LOUD, "--name", "on", **ONE_THREAD)
    finally:
        signal.signal(signal.SIGHUP, previous)
    with process:
        wait_for(process, "epoch 2/")
        process.send_signal(signal.SIGHUP)
        rest, _ = process.communicate()
    assert process.returncode == 0
    assert "epoch 12/12" in rest


@pytest.mark.slow
def test_closed_terminal_loses_nothing(whole: dict[str, str], tmp_path: Path) -> None:
    """The master of a pseudo-terminal goes away while the bar moves, and SIGHUP comes."""
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ.update(ONE_THREAD)
        os.execv(PROGRAM[0], [*PROGRAM, *LOUD, "--name", "parts"])
    shown = b""
    while b"epoch 3/" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    resumed = run(tmp_path, "train", "--resume", "parts", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert fingerprint(tmp_path / "outputs" / "parts") == whole


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_between_steps_waits_for_the_check(signum: int) -> None:
    before = signal.getsignal(signum)
    with StopSignals() as stop:
        stop.check()
        with stop.between_steps():
            os.kill(os.getpid(), signum)
            assert stop.received == signum
        with pytest.raises(Stopped) as caught:
            stop.check()
    assert caught.value.exit_code == 128 + signum
    assert str(caught.value) == signal.Signals(signum).name
    assert signal.getsignal(signum) == before


def test_signal_at_other_times_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def left(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", left)
    with StopSignals() as stop:
        with stop.between_steps():
            pass
        with pytest.raises(Stopped, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(SystemExit) as second:
            os.kill(os.getpid(), signal.SIGINT)
    assert second.value.code == 130


def test_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_are_left_alone() -> None:
    with ThreadPoolExecutor(1) as pool:

        def within() -> object:
            with StopSignals():
                return signal.getsignal(signal.SIGTERM)

        assert pool.submit(within).result() == signal.getsignal(signal.SIGTERM)
