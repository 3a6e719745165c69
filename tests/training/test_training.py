"""The training loop: it learns, it repeats bit for bit, it continues, it stops at nonsense."""

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import SettingError, UserError
from circlemnist.losses import ClassCircleLoss
from circlemnist.losses.class_weights import spread_directions
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.history import Epoch
from circlemnist.runs.run import Run
from circlemnist.training.build import build_scheduler, build_training
from circlemnist.training.loop import fit
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState

CONFIG = Config(dataset="digits", net="tiny", epochs=2)


def trained(config: Config, split: Split, folder: Path) -> TrainState:
    folder.mkdir()
    training = build_training(config, split)
    progress = Progress("quiet", config, len(split))
    fit(training, config, split, Run(folder), progress, StopSignals())
    return training


def restored(config: Config, split: Split, run: Run) -> TrainState:
    training = build_training(config, split)
    training.restore(run)
    return training


def weights(training: TrainState) -> list[bytes]:
    modules = (training.embedder, training.objective)
    states = [state for module in modules for state in module.state_dict().values()]
    return [state.numpy().tobytes() for state in states if isinstance(state, Tensor)]


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
        {"loss": "circle-class"},
        {"scheduler": "cosine"},
        {"scheduler": "multistep"},
        {"scheduler": "none"},
        {"augment": False},
        {"net": "article", "dim": 32, "batch_size": 64},
        {"momentum": 0.0},
        {"dim": 2},
        {"loss": "circle-class", "class_weights": "fixed", "dim": 2, "m": 0.6, "hidden_layers": 2},
        {"net": "medium"},
        pytest.param({"net": "large", "hidden_layers": 1}, marks=pytest.mark.slow),
        {
            "fold": 16,
            "loss": "circle-class",
            "class_weights": "fixed",
            "dim": 2,
            "m": 0.67,
            "gamma": 20.0,
            "hidden_layers": 2,
        },
        {"elastic": 0.5},
        {"classes_per_batch": 10},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_every_setting_trains(change: dict[str, object], split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=3, lr=0.01, **change)  # type: ignore[arg-type]
    history = trained(config, split, tmp_path / "run").history
    assert [row.epoch for row in history] == [1, 2, 3]
    assert history[-1].mean_sp - history[-1].mean_sn > history[0].mean_sp - history[0].mean_sn
    assert all(-1 <= row.mean_sn <= row.mean_sp <= 1 for row in history[1:])


def test_last_steps_may_see_the_images_as_they_are(split: Split, tmp_path: Path) -> None:
    whole, last, none = (
        trained(replace(CONFIG, **change), split, tmp_path / name)  # type: ignore[arg-type]
        for name, change in {
            "whole": {"plain_share": 0.0},
            "last": {"plain_share": 0.5},
            "none": {"plain_share": 1.0},
        }.items()
    )
    assert last.history[0].loss == whole.history[0].loss != none.history[0].loss
    assert last.history[1].loss < whole.history[1].loss
    plain = trained(replace(CONFIG, augment=False), split, tmp_path / "plain")
    assert weights(none) == weights(plain)


@pytest.mark.parametrize(("epochs", "share", "steps"), [(1, 0.4, 3), (3, 0.2, 12), (1, 0.0, 5)])
def test_share_of_the_steps_is_augmented(
    epochs: int,
    share: float,
    steps: int,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def counted(images: Tensor, generator: torch.Generator, elastic: float) -> Tensor:
        calls.append((generator, elastic))
        return images

    monkeypatch.setattr("circlemnist.training.loop.random_affine", counted)
    config = replace(CONFIG, epochs=epochs, plain_share=share, elastic=0.3)
    training = trained(config, split, tmp_path / "run")
    assert calls == [(training.generator, 0.3)] * steps


def test_interrupted_among_plain_steps_continues_to_the_same_bits(
    split: Split, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1, plain_share=0.4)  # steps 4 and 5 of 5 are plain
    whole = trained(config, split, tmp_path / "whole")
    stop = StopSignals()

    class StopAfterFourSteps(Progress):
        def step(self, number: int, step: int, values: Tensor, lr: float) -> None:
            stop.received = signal.SIGTERM if step == 4 else None

    (tmp_path / "parts").mkdir()
    run = Run(tmp_path / "parts")
    part = build_training(config, split)
    with pytest.raises(Stopped):
        fit(part, config, split, run, StopAfterFourSteps("quiet", config, len(split)), stop)
    assert part.cursor is not None
    assert part.cursor.step == 4
    rest = restored(config, split, run)
    fit(rest, config, split, run, Progress("quiet", config, len(split)), StopSignals())
    assert weights(rest) == weights(whole)


@pytest.mark.parametrize(
    ("scheduler", "last"), [("onecycle", 1e-4), ("cosine", 0.01), ("multistep", 0.02), ("none", 1)]
)
def test_schedule_ends_low(scheduler: str, last: float, split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, scheduler=scheduler, epochs=4, lr=1e-3, augment=False)
    history = trained(config, split, tmp_path / "run").history
    assert history[-1].lr <= last * config.lr
    assert max(row.lr for row in history) <= config.lr


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"loss": "circle-class"},
        {
            "fold": 16,
            "loss": "circle-class",
            "class_weights": "fixed",
            "dim": 3,
            "hidden_layers": 1,
            "classes_per_batch": 10,
        },
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_interrupted_training_continues_to_the_same_bits(
    change: dict[str, object], split: Split, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "precision" in change:
        request.getfixturevalue("bfloat16_here")
    config = replace(CONFIG, epochs=3, **change)  # type: ignore[arg-type]
    whole = trained(config, split, tmp_path / "whole")

    class StopAfterTwo(Progress):
        def epoch(self, row: Epoch) -> None:
            assert run.history()[-1] == row  # it is saved by the time it is told
            if row.epoch == 2:
                raise UserError("stop")

    (tmp_path / "parts").mkdir()
    run = Run(tmp_path / "parts")
    progress = StopAfterTwo("quiet", config, 1437)
    with pytest.raises(UserError, match="stop"):
        fit(build_training(config, split), config, split, run, progress, StopSignals())
    rest = restored(config, split, run)
    assert len(rest.history) == 2
    fit(rest, config, split, run, Progress("quiet", config, len(split)), StopSignals())
    assert weights(rest) == weights(whole)
    assert [row.loss for row in rest.history] == [row.loss for row in whole.history]


def test_loss_that_is_not_finite_stops_and_is_never_saved(split: Split, tmp_path: Path) -> None:
    """The learning rate that is named is that of the step, not of the next."""
    config = replace(CONFIG, lr=1e6, net="article", epochs=20)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"not finite at step \d+ in epoch 2 .*lower `lr`") as said:
        trained(config, split, run)
    state = load_checkpoint(run / "last.pt")
    assert all(tensor.isfinite().all() for tensor in state["embedder"].values())
    step = state["step"] + int(re.search(r"step (\d+)", str(said.value))[1])  # type: ignore[index]
    shape = SGD([torch.zeros(1)], lr=config.lr)
    scheduler = build_scheduler("onecycle", shape, config.lr, config.steps(len(split)))
    for _ in range(step - 1):
        shape.step()
        scheduler.step()
    assert f"lr {scheduler.get_last_lr()[0]:g})" in str(said.value)


def test_batch_larger_than_the_split_is_refused(split: Split) -> None:
    with pytest.raises(SettingError, match="`batch_size` must be ≤ 1437"):
        build_training(replace(CONFIG, batch_size=1438), split)


def test_training_leaves_the_global_random_state_alone(split: Split) -> None:
    before = torch.get_rng_state()
    build_training(CONFIG, split)
    assert torch.equal(torch.get_rng_state(), before)


def test_fixed_class_weights_stay_where_they_are(split: Split, tmp_path: Path) -> None:
    config = replace(CONFIG, loss="circle-class", class_weights="fixed", dim=3, m=0.3)
    training = trained(config, split, tmp_path / "run")
    assert isinstance(training.objective.loss, ClassCircleLoss)
    weight = training.objective.loss.weight
    assert sorted(weight.tolist()) == sorted(spread_directions(10, 3).tolist())
