"""The main path as real processes: train, interrupt, resume, evaluate, plot."""

import fcntl
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch

PROGRAM = [sys.executable, "-m", "circlemnist"]


def run(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def weights(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "last.pt", weights_only=True)["embedder"]
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


TRAIN = ("train", "--dataset", "digits", "--epochs", "30")


def test_interrupted_run_continues_with_the_command_it_prints(tmp_path: Path) -> None:
    whole = run(tmp_path, *TRAIN, "--name", "whole")
    assert whole.returncode == 0, whole.stderr
    with subprocess.Popen(
        [*PROGRAM, *TRAIN, "--name", "parts"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("epoch 2/"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        error = process.stderr.read()
    assert process.returncode == 130
    assert "epoch 30/" not in rest
    assert error.count("\n") == 1
    command = shlex.split(error.partition("continue with: ")[2])
    assert command == ["circlemnist", "train", "--resume", "parts"]
    resumed = run(tmp_path, *command[1:])
    assert resumed.returncode == 0, resumed.stderr
    outputs = tmp_path / "outputs"
    assert weights(outputs / "parts") == weights(outputs / "whole")
    assert resumed.stdout.splitlines()[-9:-2] == whole.stdout.splitlines()[-9:-2]
    assert len((outputs / "parts" / "history.csv").read_text().splitlines()) == 31


def test_bar_is_for_terminals_only(tmp_path: Path) -> None:
    result = run(tmp_path, *TRAIN[:-1], "1", "--name", "a")
    assert result.stderr == ""
    assert "\r" not in result.stdout


def test_bar_shows_what_a_person_wants_to_see(tmp_path: Path) -> None:
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [*PROGRAM, *TRAIN[:-1], "8", "--name", "a"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
    _, status = os.waitpid(pid, 0)
    assert status == 0
    for word in ("epoch ", "batch ", "loss ", "s_p ", "s_n ", "lr ", "images/s", "1nn"):
        assert word in shown.decode(), word


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # Linux reports the end of a terminal as an error


@pytest.mark.slow
def test_mnist_from_its_files_to_the_picture(mnist_dir: Path) -> None:
    """One epoch of the default on all 60,000 images, twice: same bits, good measures, a picture."""
    folder = mnist_dir.parent
    for name in ("first", "second"):
        trained = run(folder, "train", "--epochs", "1", "--name", name)
        assert trained.returncode == 0, trained.stderr
    outputs = folder / "outputs"
    assert weights(outputs / "first") == weights(outputs / "second")
    evaluated = run(folder, "eval", "--json")
    report = json.loads(evaluated.stdout)
    assert (report["run"], report["dataset"]) == ("second", "mnist")
    assert report["metrics"]["1nn"] > 0.985
    assert report["metrics"]["roc_auc"] > 0.99
    plotted = run(folder, "plot", MPLBACKEND="agg", DISPLAY="")
    assert plotted.returncode == 0, plotted.stderr
    picture = outputs / "second" / "plots" / "embedding.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_evaluation_stays_within_its_memory(mnist_dir: Path) -> None:
    """10,000 × 60,000 cosines and 49,995,000 pairs: under 1.5 GiB beyond the data and the model."""
    code = """
import resource
import torch
from circlemnist.data import load_dataset
from circlemnist.evaluation import embed, measure
from circlemnist.model import build_embedder
from pathlib import Path

dataset = load_dataset("mnist", Path("data"))
embedder = build_embedder("small", 64, 0.13, 0.31)
embed(embedder, dataset.test)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
measure("run", embedder, dataset)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=mnist_dir.parent, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.5
