"""A run that is stopped or killed at any moment and resumed is the run that was never stopped."""

import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from circlemnist.family import FAMILY
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from tests.data.test_prepare import pictured, strokes
from tests.process import ONE_THREAD, PROGRAM, fingerprint, run, start, wait_for

TRAIN = ("train", "--dataset", "digits", "--net", "small", "--epochs", "12", "--quiet")
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
def test_stopped_run_continues_with_the_command_it_prints(
    whole: dict[str, str], tmp_path: Path
) -> None:
    with start(tmp_path, *LOUD, "--name", "parts", **ONE_THREAD) as process:
        wait_for(process, "epoch 3/")
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate()
    assert process.returncode == 130
    assert "epoch 12/" not in rest
    assert error.count("\n") == 1
    command = shlex.split(error.partition("continue with: ")[2])
    assert command == ["circlemnist", "train", "--resume", "parts"]
    assert_resumed(tmp_path, whole)


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
    assert (error[:7], error.count("\n")) == ("stopped", 1)


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


KILLED = ("train", "--dataset", "digits", "--net", "tiny", "--epochs", "8", "--snapshots")
AT_ONCE = 3
SOAK = [*((loss, 10) for loss in FAMILY), ("circle", 200)]


def content(folder: Path) -> dict[str, str]:
    snapshots = hashlib.sha256((folder / "snapshots.npz").read_bytes())
    return {**fingerprint(folder), "snapshots": snapshots.hexdigest()}


def kill_and_resume(folder: Path, command: tuple[str, ...], seconds: float) -> dict[str, str]:
    """Kill a training that long after its folder appeared, check its files, and resume it."""
    run_folder = folder / "outputs" / "run"
    with start(folder, *command, **ONE_THREAD) as process:
        printed: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=printed.extend, args=(process.stdout,))
        reader.start()
        while not run_folder.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reader.join()
    epochs = sum(line.startswith("epoch ") for line in printed)
    assert Run(run_folder).config().epochs == 8
    if epochs or (run_folder / "last.pt").exists():
        assert len(load_checkpoint(run_folder / "last.pt")["history"]) >= epochs
    resumed = run(folder, "train", "--resume", "run", "--quiet", **ONE_THREAD)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert not list(run_folder.rglob(".unfinished-*"))
    return content(run_folder)


@pytest.mark.parametrize(
    ("loss", "count"),
    [
        pytest.param("circle", 5, marks=pytest.mark.slow),
        *(pytest.param(*case, marks=pytest.mark.soak) for case in SOAK),
    ],
)
def test_killed_runs_are_resumed_bit_for_bit(loss: str, count: int, tmp_path: Path) -> None:
    """And have the same snapshots: those of steps after the checkpoint are taken again."""
    command = (*KILLED, "--name", "run", "--loss", loss)
    whole, *folders = (tmp_path / str(number) for number in range(count + 1))
    for folder in (whole, *folders):
        folder.mkdir()
    with start(whole, *command, **ONE_THREAD) as process:
        while not (whole / "outputs" / "run").exists():
            time.sleep(0.001)
        begun = time.monotonic()
        process.communicate()
        duration = time.monotonic() - begun
    assert process.returncode == 0
    moments = random.Random(count)
    seconds = [moments.uniform(0, 1.2 * duration) for _ in folders]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(kill_and_resume, folders, [command] * count, seconds))
    assert results == [content(whole / "outputs" / "run")] * count


EVERY_COMMAND = [
    "train --dataset digits --epochs 4 --snapshots --quiet",
    "train --resume begun --quiet",
    "eval watched",
    "plot watched --kind all --width 300",
    "explore watched",
    "explain watched",
    "compare watched begun --width 300",
    "predict watched digit.png --one",
    "predict watched pipe",
    "predict watched -",
    "export watched",
    "export watched --format torch",
    "export watched --format projector",
    "sweep --dataset digits --net tiny --epochs 2 --vary m=0,0.1 --name grid --quiet --jobs 2",
]


def wait_for_handlers(process: subprocess.Popen[str]) -> None:
    """Wait until a process answers signals, or has ended."""
    status = Path(f"/proc/{process.pid}/status")
    mask = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        caught = re.search(r"SigCgt:\s*(\w+)", status.read_text())
        if caught and int(caught[1], 16) & mask:
            return
        time.sleep(0.001)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks /proc for handlers")
@pytest.mark.parametrize(
    ("count", "most"),  # seconds for a command to end, beside other tests or alone
    [pytest.param(1, 60.0, marks=pytest.mark.slow), pytest.param(51, 2.0, marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_command_stopped_at_any_moment_ends_in_a_line(
    command: str, count: int, most: float, finished_run: Path, watched_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(watched_run, tmp_path / "outputs" / "watched")
    Image.fromarray(pictured(strokes()).astype(np.uint8)).save(tmp_path / "digit.png")
    os.mkfifo(tmp_path / "pipe")
    moments, duration = random.Random(command), 3.0
    for number in range(count):
        shutil.rmtree(tmp_path / "outputs" / "begun", ignore_errors=True)
        shutil.rmtree(tmp_path / "outputs" / "grid", ignore_errors=True)
        shutil.copytree(finished_run, tmp_path / "outputs" / "begun")
        waits = command.endswith(("-", "pipe"))
        with start(tmp_path, *command.split(), stdin=subprocess.PIPE, **ONE_THREAD) as process:
            wait_for_handlers(process)
            begun = time.monotonic()
            if number == 0 and count > 1 and not waits:  # to its end
                process.wait()
                duration = time.monotonic() - begun
                assert process.returncode == 0
                continue
            time.sleep(moments.uniform(0, duration))
            signum = moments.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
            begun = time.monotonic()
            process.send_signal(signum)
            process.wait()
            seconds = time.monotonic() - begun
            error = process.stderr.read() if process.stderr else ""
        assert not list(tmp_path.rglob(".unfinished-*"))
        if process.returncode != 0 or waits:
            assert (process.returncode, error.count("\n")) == (128 + signum, 1), error
            assert error.startswith("stopped")
            assert seconds < most
