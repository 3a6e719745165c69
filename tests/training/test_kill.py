"""A run that is killed at any moment and resumed is the run that was never stopped."""

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from circlemnist.family import FAMILY
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from tests.process import ONE_THREAD, fingerprint, run, start

# whose state is more than weights: a scale, and centres
WITH_BUFFERS = ("adacos", "center")
TRAIN = ("train", "--dataset", "digits", "--epochs", "8", "--batch-size", "100", "--name", "run")
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
    command = (*TRAIN, "--loss", loss)
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
