"""The main path as real processes: train, evaluate, plot."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from circlemnist.process import working
from circlemnist.runs.run import Run
from circlemnist.training.run import Interrupted
from tests.cli.conftest import metrics_of, on_terminal
from tests.process import run

TRAIN = ("train", "--dataset", "digits", "--net", "tiny", "--epochs", "3")


def test_bar_on_a_terminal_shows_what_a_person_wants_to_see(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = on_terminal(120, monkeypatch, *TRAIN, "--name", "a")
    for word in ("1/", "━", "left", "loss ", "s_p ", "s_n ", "violating ", "epoch ", "1nn"):
        assert word in shown, word
    narrow = on_terminal(40, monkeypatch, *TRAIN, "--name", "b")
    bars = [part for part in narrow.split("\r") if "─" in part and "\n" not in part]
    assert bars
    assert all(len(bar.replace("\x1b[A", "")) <= 40 for bar in bars)


@pytest.mark.parametrize("quiet", [True, False])
def test_work_is_shown_unless_it_is_to_be_quiet(
    quiet: bool, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> None:
        with working("something"):
            time.sleep(0.1)
        raise Interrupted(Run(finished_run), 130)

    monkeypatch.setattr("circlemnist.process.SILENCE", 0)
    monkeypatch.setattr("circlemnist.process._reports_work", False)
    monkeypatch.setattr("circlemnist.training.run.train", train)
    shown = on_terminal(80, monkeypatch, "train", *["--quiet"] * quiet)
    assert ("\rsomething … 0 s" in shown) == (not quiet)
    last = shown.strip().splitlines()[-1]
    assert last.startswith("stopped; small keeps every step it has done; continue with: circle")


@pytest.mark.slow
def test_mnist_from_its_files_to_the_picture(mnist_dir: Path) -> None:
    """The recipe for a first look on all 60,000 images: good metrics and a picture."""
    trained = run(mnist_dir.parent, "train", "--config", "fast", "--name", "one", DISPLAY="")
    assert trained.returncode == 0, trained.stderr
    assert "mnist, 10,000 test images" in trained.stdout
    folder = mnist_dir.parent / "outputs" / "one"
    assert metrics_of(folder)["1nn"] > 0.985
    assert metrics_of(folder)["roc_auc"] > 0.99
    assert (folder / "plots" / "embedding.png").read_bytes().startswith(b"\x89PNG")


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
embedder = build_embedder(Config(net="tiny"), 0.13, 0.31)
embed(embedder, dataset.test.images)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
evaluate(embedder, dataset, 1)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=mnist_dir.parent, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.5
