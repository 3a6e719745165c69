"""What goes wrong is said once, with the mend; ordinary runs are told nothing."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.diagnosis import crowded
from circlemnist.training.loop import fit
from circlemnist.training.progress import Progress
from circlemnist.training.signals import StopSignals
from tests.conftest import assert_one_line_error, invoke

CONFIG = Config(dataset="digits", net="small", augment=False)
ARTICLE = replace(
    CONFIG, net="article", dim=32, batch_size=64, lr=1e-3, weight_decay=1e-5, pairs="batch"
)


class Listening(Progress):
    """Keeps what would be said."""

    def __init__(self, config: Config) -> None:
        super().__init__("quiet", config, 1437)
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


def notes(config: Config, split: Split, folder: Path) -> list[str]:
    progress = Listening(config)
    fit(build_training(config, split), config, split, Run(folder), progress, StopSignals())
    return progress.notes


def test_batches_without_pairs(split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, batch_size=4, lr=1e-3)
    (line,) = notes(config, split, tmp_path)
    count = int(line.split()[0])
    # four images all of different classes: 0.9 * 0.8 * 0.7, or all of one: 0.1 cubed
    assert count / 359 == pytest.approx(0.505, abs=0.1)
    assert "of 359 batches of epoch 1 had no positive or no negative pair" in line
    assert "raise `batch_size` above 4" in line


def test_class_weights_need_no_pairs(split: Split, tmp_path: Path) -> None:
    """With class-level labels, a batch without pairs teaches as well as any other."""
    config = replace(CONFIG, epochs=1, batch_size=4, lr=1e-3, labels="class")
    assert notes(config, split, tmp_path) == []


def test_collapse(split: Split, tmp_path: Path) -> None:
    """No BatchNorm before the normalisation, and a large step: all cosines stay near 1."""
    lines = notes(replace(ARTICLE, lr=0.5, epochs=12, scheduler="none"), split, tmp_path)
    assert "collapsed to a point" in lines[0]
    assert "lower `lr`, or take `net` small" in lines[0]
    assert "the loss does not fall" in lines[1]
    assert len(lines) == 2


def test_loss_that_does_not_fall(split: Split, tmp_path: Path) -> None:
    (line,) = notes(replace(CONFIG, lr=1e-9, epochs=9, batch_size=50), split, tmp_path)
    assert line.startswith("the loss does not fall: ")
    assert "`lr`" in line


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(replace(CONFIG, epochs=40), marks=pytest.mark.slow),
        pytest.param(replace(CONFIG, epochs=42, augment=True), marks=pytest.mark.slow),
        pytest.param(replace(CONFIG, epochs=40, labels="class"), marks=pytest.mark.slow),
        pytest.param(replace(CONFIG, epochs=40, pairs="batch"), marks=pytest.mark.slow),
        pytest.param(replace(CONFIG, epochs=40, gamma=256.0, m=0.4), marks=pytest.mark.slow),
        pytest.param(replace(CONFIG, epochs=40, scheduler="none"), marks=pytest.mark.slow),
        replace(CONFIG, epochs=9, batch_size=50),
        replace(ARTICLE, epochs=20, scheduler="multistep"),
    ],
    ids=lambda config: f"{config.net} {config.labels} {config.pairs} {config.scheduler}",
)
def test_ordinary_runs_are_told_nothing(config: Config, split: Split, tmp_path: Path) -> None:
    assert notes(config, split, tmp_path) == []


@pytest.mark.parametrize(
    "dim",
    [1, 2, 3, 9, 10, *(pytest.param(dim, marks=pytest.mark.slow) for dim in (4, 5, 6, 7, 8, 11))],
)
def test_margin_that_the_dimension_cannot_meet(dim: int) -> None:
    """The bound is that of the best placing of ten directions that a search finds."""
    steps = 1500
    x = torch.randn(30, 10, dim, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1e-4 ** (1 / steps))
    for sharpness in torch.logspace(1, 4, steps).tolist():
        directions = nn.functional.normalize(x, dim=2)
        cosines = (directions @ directions.mT).masked_fill(torch.eye(10, dtype=torch.bool), -2)
        optimizer.zero_grad()
        ((cosines.flatten(1) * sharpness).logsumexp(1).sum() / sharpness).backward()
        optimizer.step()
        schedule.step()
    bound = cosines.amax((1, 2)).min().item() / math.sqrt(2)
    assert crowded(Config(dim=dim, m=bound + 0.002)) is None
    assert crowded(Config(dim=dim, m=bound - 0.002)) is not None


def test_margin_is_said_when_training_starts(tmp_path: Path) -> None:
    result = invoke(
        *("train", "--dataset", "digits", "--epochs", 1, "--dim", 2, "--outputs", tmp_path)
    )
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "ten classes in 2 dimensions have neighbours with a cosine of 0.81 at best, above the "
        "√2·m = 0.35 that --m 0.25 asks for: take --m 0.58 or more, or a larger --dim"
    ]


def test_divergence_stops_at_once_and_names_the_way_back(tmp_path: Path) -> None:
    args = ("--dataset", "digits", "--net", "article", "--scheduler", "none", "--lr", 1e6)
    result = invoke("train", *args, "--quiet", "--outputs", tmp_path, "--name", "wild")
    assert_one_line_error(result, "in epoch", "gamma 80, m 0.25, lr 1e+06", "lower --lr")
    kept = tmp_path / "wild" / "last.pt"
    if kept.exists():
        assert f"{kept} is the last good checkpoint" in result.stderr
        state = load_checkpoint(kept)
        assert all(tensor.isfinite().all() for tensor in state["embedder"].values())
    else:
        assert "it has no checkpoint yet" in result.stderr


def test_loss_that_is_not_finite_names_its_step(split: Split, tmp_path: Path) -> None:
    """After a good epoch a weight becomes NaN between two steps: the very next loss shows it."""
    config = replace(CONFIG, epochs=3)
    training = build_training(config, split)

    class Spoiling(Progress):
        def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
            if (epoch, step) == (2, 2):
                next(training.embedder.parameters()).data[0] = math.nan

    with pytest.raises(UserError, match=r"not finite at step 3 in epoch 2 .*last\.pt is the last"):
        fit(training, config, split, Run(tmp_path), Spoiling("quiet", config, 5), StopSignals())
    state = load_checkpoint(tmp_path / "last.pt")
    assert len(state["history"]) == 1
    assert all(tensor.isfinite().all() for tensor in state["embedder"].values())


def test_weights_that_are_not_finite_are_not_saved(split: Split, tmp_path: Path) -> None:
    """The last loss of the epoch was finite, what the last step made of the weights is not."""
    config = replace(CONFIG, epochs=2)
    training = build_training(config, split)

    class Spoiling(Progress):
        def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
            if step == 5:
                next(training.embedder.parameters()).data[0] = math.inf

    progress = Spoiling("quiet", config, len(split))
    with pytest.raises(
        UserError, match=r"of the embedder is not finite in epoch 1 .*no checkpoint"
    ):
        fit(training, config, split, Run(tmp_path), progress, StopSignals())
    assert not (tmp_path / "last.pt").exists()
