"""A run that is stopped or killed at any moment and resumed is the run that was never stopped."""

import os
import random
import shlex
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from circlemnist.family import FAMILY
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from tests.process import ONE_THREAD, PROGRAM, fingerprint, run, start, wait_for

TRAIN = ("train", "--dataset", "digits", "--epochs", "12", "--batch-size", "100", "--quiet")
LOUD = TRAIN[:-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The fingerprint of the run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, *TRAIN, "--name", "parts", **ONE_THREAD).returncode == 0
    return fingerprint(folder / "outputs" / "parts")


def assert_resumed(folder: Path, expected: dict[str, str]) -> None:
    resumed = run(folder, "train", "--resume", "parts", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert fingerprint(folder / "outputs" / "parts") == expected


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
    assert_resumed(tmp_path, whole)


@pytest.mark.slow
def test_step_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    """A signal within an epoch: the checkpoint holds the steps that were done."""
    args = ("train", "--dataset", "digits", "--epochs", "1", "--batch-size", "4", "--lr", "0.001")
    with start(tmp_path, *args, "--name", "parts", **ONE_THREAD) as process:
        folder = tmp_path / "outputs" / "parts"
        while not (folder / "history.csv").exists():
            time.sleep(0.01)
        time.sleep(0.15)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert (folder / "history.csv").read_text().count("\n") == 1
    assert 0 < load_checkpoint(folder / "last.pt")["cursor"]["step"] < 359
    assert run(tmp_path, *args, "--name", "whole", **ONE_THREAD).returncode == 0
    assert_resumed(tmp_path, fingerprint(folder.parent / "whole"))


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
    lines = [line for line in error.splitlines() if not line.startswith("import time:")]
    assert lines == ["stopped"]
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
    assert_resumed(tmp_path, whole)


# whose state is more than weights: a scale, and centres
WITH_BUFFERS = ("adacos", "center")
KILLED = ("train", "--dataset", "digits", "--epochs", "8", "--batch-size", "100", "--name", "run")
AT_ONCE = 3


def kill_and_resume(folder: Path, command: tuple[str, ...], seconds: float) -> dict[str, str]:
    """Kill a training that long after its folder appeared, look at what is left, and resume it."""
    left = folder / "outputs" / "run"
    with start(folder, *command, **ONE_THREAD) as process:
        printed: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=printed.extend, args=(process.stdout,))
        reader.start()
        while not left.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reader.join()
    epochs = sum(line.startswith("epoch ") for line in printed)
    assert Run(left).config().epochs == 8
    if epochs or (left / "last.pt").exists():
        assert len(load_checkpoint(left / "last.pt")["history"]) >= epochs
    resumed = run(folder, "train", "--resume", "run", "--quiet", **ONE_THREAD)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr == ""
    assert not list(left.rglob(".unfinished-*"))
    return fingerprint(left)


def kill_many(count: int, tmp_path: Path, loss: str = "circle") -> None:
    command = (*KILLED, "--loss", loss)
    (tmp_path / "whole").mkdir()
    with start(tmp_path / "whole", *command, **ONE_THREAD) as process:
        whole = tmp_path / "whole" / "outputs" / "run"
        while not whole.exists():
            time.sleep(0.001)
        begun = time.monotonic()
        process.communicate()
        duration = time.monotonic() - begun
    assert process.returncode == 0
    expected = fingerprint(whole)
    moments = random.Random(count)
    folders = [tmp_path / f"killed{number}" for number in range(count)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seconds = [moments.uniform(0, 1.2 * duration) for _ in folders]
        results = list(pool.map(kill_and_resume, folders, [command] * count, seconds))
    assert results == [expected] * count


@pytest.mark.slow
def test_25_killed_runs_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    kill_many(25, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("loss", WITH_BUFFERS)
def test_2_killed_runs_of_a_loss_with_a_state_are_resumed(loss: str, tmp_path: Path) -> None:
    kill_many(2, tmp_path, loss)


@pytest.mark.soak
@pytest.mark.parametrize("loss", FAMILY)
def test_10_killed_runs_of_each_loss_are_resumed(loss: str, tmp_path: Path) -> None:
    kill_many(10, tmp_path, loss)


@pytest.mark.soak
def test_200_killed_runs_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    kill_many(200, tmp_path)
