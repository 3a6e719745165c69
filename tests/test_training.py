"""The training loop: it learns, it repeats bit for bit, it continues, it stops at nonsense."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circlemnist.checkpoint import load_checkpoint
from circlemnist.config import Config, SettingError
from circlemnist.data import Split, load_dataset
from circlemnist.errors import UserError
from circlemnist.progress import Progress
from circlemnist.run import Run
from circlemnist.signals import StopSignals
from circlemnist.training import fit
from circlemnist.training_state import Training, start_training

CONFIG = Config(dataset="digits", epochs=2)


@pytest.fixture(scope="module")
def split() -> Split:
    return load_dataset("digits", Path("unused")).train


def trained(config: Config, split: Split, folder: Path) -> Training:
    folder.mkdir()
    training = start_training(config, split)
    progress = Progress("quiet", config, len(split))
    fit(training, config, split, Run(folder), progress, StopSignals())
    return training


def weights(training: Training) -> list[bytes]:
    return [t.numpy().tobytes() for t in training.embedder.state_dict().values()]


def test_same_seed_gives_the_same_bits(split: Split, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = trained(CONFIG, split, tmp_path / "a")
    torch.manual_seed(2)
    second = trained(CONFIG, split, tmp_path / "b")
    other = trained(replace(CONFIG, seed=1), split, tmp_path / "c")
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


@pytest.mark.parametrize(
    "change",
    [
        {"pairs": "batch"},
        {"labels": "class"},
        {"scheduler": "cosine"},
        {"scheduler": "multistep"},
        {"scheduler": "none"},
        {"augment": False},
        {"net": "article", "dim": 32, "batch_size": 64},
        {"momentum": 0.0},
        {"dim": 2},
    ],
    ids=str,
)
def test_every_setting_trains(change: dict[str, object], split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=3, lr=0.01, **change)  # type: ignore[arg-type]
    history = trained(config, split, tmp_path / "run").history
    assert [row.epoch for row in history] == [1, 2, 3]
    assert history[-1].mean_sp - history[-1].mean_sn > history[0].mean_sp - history[0].mean_sn
    assert all(-1 <= row.mean_sn <= row.mean_sp <= 1 for row in history[1:])


@pytest.mark.parametrize(
    ("scheduler", "last"), [("onecycle", 1e-4), ("cosine", 0.01), ("multistep", 0.02), ("none", 1)]
)
def test_schedule_ends_low(scheduler: str, last: float, split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, scheduler=scheduler, epochs=4, lr=1e-3, augment=False)
    history = trained(config, split, tmp_path / "run").history
    assert history[-1].lr <= last * config.lr
    assert max(row.lr for row in history) <= config.lr


def test_interrupted_training_continues_to_the_same_bits(split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=3)
    whole = trained(config, split, tmp_path / "whole")

    class StopAfterTwo(Progress):
        def epoch(self, row: object) -> None:
            if len(run.history()) == 2:
                raise UserError("stop")

    (tmp_path / "parts").mkdir()
    run = Run(tmp_path / "parts")
    progress = StopAfterTwo("quiet", config, 1437)
    with pytest.raises(UserError, match="stop"):
        fit(start_training(config, split), config, split, run, progress, StopSignals())
    rest = start_training(config, split)
    rest.restore(load_checkpoint(run.checkpoint_file))
    assert len(rest.history) == 2
    fit(rest, config, split, run, Progress("quiet", config, len(split)), StopSignals())
    assert weights(rest) == weights(whole)
    assert [row.loss for row in rest.history] == [row.loss for row in whole.history]


def test_loss_that_is_not_finite_stops_and_is_never_saved(split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, lr=1e6, net="article", scheduler="none", epochs=20)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"not finite at step \d+ in epoch \d+ .*lower --lr"):
        trained(config, split, run)
    state = load_checkpoint(run / "last.pt") if (run / "last.pt").exists() else {"embedder": {}}
    assert all(tensor.isfinite().all() for tensor in state["embedder"].values())


def test_batch_larger_than_the_split_is_refused(split: Split) -> None:
    with pytest.raises(SettingError, match="batch_size must be ≤ 1437"):
        start_training(replace(CONFIG, batch_size=1438), split)


def test_training_leaves_the_global_random_state_alone(split: Split) -> None:
    before = torch.get_rng_state()
    start_training(CONFIG, split)
    assert torch.equal(torch.get_rng_state(), before)
