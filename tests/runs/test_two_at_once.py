"""Two processes in one outputs folder, and two that want the same run."""

import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from circlemnist.errors import UserError
from circlemnist.runs.run import alone
from tests.process import ONE_THREAD, run, start

TRAIN = ("train", "--dataset", "digits", "--epochs", "2", "--quiet")


@pytest.mark.slow
def test_two_that_start_together_get_folders_of_their_own(tmp_path: Path) -> None:
    processes = [start(tmp_path, *TRAIN, **ONE_THREAD) for _ in range(3)]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == 0, error
    runs = list((tmp_path / "outputs").iterdir())
    assert len(runs) == 3
    assert all((folder / "eval.json").exists() for folder in runs)


def test_lock_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    is_held = threading.Event()

    def hold() -> None:
        with alone(tmp_path, "trained"):
            is_held.set()
            time.sleep(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    with pytest.raises(UserError, match="by another process"), alone(tmp_path, "trained"):
        pass
    with alone(tmp_path, "trained", patience=30):
        holder.join()


@pytest.mark.slow
def test_run_that_trains_is_not_resumed_until_its_process_is_gone(
    finished_run: Path, tmp_path: Path
) -> None:
    args = ("--dataset", "digits", "--epochs", "100000", "--name", "busy")
    with start(tmp_path, "train", *args, **ONE_THREAD) as process:
        lock = tmp_path / "outputs" / "busy" / "lock"
        while not lock.exists():
            time.sleep(0.01)
        refused = run(tmp_path, "train", "--resume", "busy", **ONE_THREAD)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "Error: busy is being trained by another process: wait for its end, or stop it first"
    ]
    left = tmp_path / "outputs" / "left"
    shutil.copytree(finished_run, left)
    shutil.copy(lock, left / "lock")
    assert run(tmp_path, "train", "--resume", "left", "--quiet", **ONE_THREAD).returncode == 0
