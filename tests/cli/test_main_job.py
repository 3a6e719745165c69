"""The main path as real processes: train, evaluate, plot."""

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch

from tests.process import PROGRAM, run

TRAIN = ("train", "--dataset", "digits", "--epochs", "30")


@pytest.mark.slow
def test_bar_is_for_terminals_only(tmp_path: Path) -> None:
    result = run(tmp_path, *TRAIN[:-1], "1", "--name", "a")
    assert result.stderr == ""
    assert "\r" not in result.stdout


def test_bar_shows_what_a_person_wants_to_see(tmp_path: Path) -> None:
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [*PROGRAM, *TRAIN[:-1], "2", "--net", "tiny", "--name", "a"])
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


def weights(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "last.pt", weights_only=True)["embedder"]
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


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
from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.models.embedder import build_embedder, embed
from pathlib import Path

dataset = load_dataset("mnist", Path("data"))
embedder = build_embedder(Config(net="small"), 0.13, 0.31)
embed(embedder, dataset.test.images)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
evaluate(embedder, dataset)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=mnist_dir.parent, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.5
