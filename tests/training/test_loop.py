"""The training loop: it learns, it repeats bit for bit, it continues, it stops at nonsense."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.family import FAMILY
from circlemnist.losses.class_weights import spread_directions
from circlemnist.models.embedder import embed
from circlemnist.process import Stopped
from circlemnist.runs.checkpoint import load_checkpoint
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import first_step, fit, train_epoch
from circlemnist.training.state import TrainState
from tests.training.helpers import CONFIG, Watcher, bits, trained

PLAIN = replace(CONFIG, augment=False)
SMALL = replace(CONFIG, batch_size=100)  # of 500 images: 5 steps an epoch
FOLDED = {
    "fold": 16,
    "loss": "circle-class",
    "class_weights": "fixed",
    "dim": 2,
    "m": 0.67,
    "gamma": 20.0,
    "hidden_layers": 2,
}


def test_row_is_the_mean_of_its_steps(split: Split) -> None:
    state, watcher = build_training(PLAIN, split), Watcher(PLAIN)
    for number in (1, 2):
        values = train_epoch(state, PLAIN, split, watcher, watcher.stop)
        row = state.history[-1]
        assert row.epoch == number
        assert values.shape == (5, 4)
        means = (row.loss, row.mean_sp, row.mean_sn, row.violating)
        assert means == pytest.approx(values.double().mean(0).tolist(), rel=1e-5)
        assert row.seconds > 0
        shown = watcher.steps[-5:]
        assert [(epoch, step) for epoch, step, _, _ in shown] == [(number, i) for i in range(1, 6)]
        assert [values for _, _, values, _ in shown] == values.tolist()
        assert row.lr == shown[-1][3]
    assert state.step == 10
    assert state.cursor is None
    rates = [lr for *_, lr in watcher.steps]
    assert len(set(rates)) == 10  # the rate of each step, not that after it
    assert rates[0] == pytest.approx(PLAIN.lr / 25)


def test_batches_without_pairs_are_saved_and_do_not_spoil_the_row(
    few: Split, tmp_path: Path
) -> None:
    """Their mean cosines are NaN."""
    config = replace(PLAIN, batch_size=4, lr=1e-4, epochs=1)
    with pytest.raises(Stopped):
        trained(config, few, tmp_path, Watcher(config, stop_at=21))
    state, watcher = build_training(config, few), Watcher(config)
    state.restore(Run(tmp_path))
    assert state.cursor is not None
    assert state.cursor.values[:21].isnan().any()
    sp = train_epoch(state, config, few, watcher, watcher.stop)[:, 1]
    row = state.history[-1]
    assert math.isfinite(row.mean_sn)
    assert row.mean_sp == pytest.approx(sp[~sp.isnan()].mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("augment", "epochs", "share", "steps"),
    [(False, 1, 0.4, 0), (True, 1, 0.4, 3), (True, 3, 0.2, 12), (True, 1, 0.0, 5), (True, 2, 1, 0)],
)
def test_images_are_those_of_the_batch_augmented_but_for_the_plain_share_of_the_steps(
    augment: bool, epochs: int, share: float, steps: int, split: Split
) -> None:
    config = replace(CONFIG, augment=augment, epochs=epochs, plain_share=share)
    state, watcher = build_training(config, split), Watcher(config)
    forward, augmented = state.forward, list[bool]()

    def watch(images: Tensor) -> list[Tensor]:
        assert state.cursor is not None
        batch = split.images[state.cursor.order[state.cursor.step], None]
        augmented.append(not torch.allclose(255 * images, batch.float(), atol=1e-3))
        return forward(images)

    state.forward = watch
    for _ in range(epochs):
        train_epoch(state, config, split, watcher, watcher.stop)
    assert augmented == [True] * steps + [False] * (5 * epochs - steps)


def test_batches_hold_as_many_classes_as_are_asked_for(split: Split) -> None:
    config = replace(PLAIN, classes_per_batch=5)
    before = torch.get_rng_state()
    cursor = first_step(config, split, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert cursor.order.shape == (5, 250)
    for batch in split.labels[cursor.order]:
        assert batch.unique(return_counts=True)[1].tolist() == [50] * 5


def test_seconds_of_an_epoch_are_those_of_its_steps(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those between an interruption and the rest of it."""
    now = [1000.0]
    monkeypatch.setattr("circlemnist.training.loop.time.perf_counter", lambda: now[0])
    state, watcher = build_training(PLAIN, split), Watcher(PLAIN, stop_at=3)
    forward = state.forward

    def slow(images: Tensor) -> list[Tensor]:
        now[0] += 2.0001
        return forward(images)

    state.forward = slow
    with pytest.raises(Stopped):
        train_epoch(state, PLAIN, split, watcher, watcher.stop)
    assert state.cursor is not None
    assert (state.cursor.step, state.cursor.seconds) == (3, pytest.approx(6.0003))
    now[0] += 500
    watcher.stop.received = None
    train_epoch(state, PLAIN, split, watcher, watcher.stop)
    assert state.history[0].seconds == 10.0  # to the millisecond
    assert [step for _, step, *_ in watcher.steps] == [1, 2, 3, 4, 5]


def test_signal_in_the_last_step_lets_the_epoch_end(split: Split, tmp_path: Path) -> None:
    watcher = Watcher(PLAIN, stop_at=5)
    with pytest.raises(Stopped):
        trained(PLAIN, split, tmp_path, watcher)
    assert Run(tmp_path).history() == watcher.epochs_shown
    assert len(watcher.epochs_shown) == 1
    assert load_checkpoint(tmp_path / "last.pt")["cursor"] is None


@pytest.mark.parametrize("loss", ["circle", "circle-class"])
def test_values_are_of_the_pairs_of_the_batch_whichever_the_loss(loss: str, split: Split) -> None:
    config = replace(PLAIN, loss=loss, m=0.4)
    state, watcher = build_training(config, split), Watcher(config)
    batches: list[tuple[Tensor, Tensor]] = []
    state.objective.register_forward_pre_hook(
        lambda _, inputs: batches.append((inputs[0][-1].detach(), inputs[1]))
    )
    values = train_epoch(state, config, split, watcher, watcher.stop)
    for row, (embeddings, labels) in zip(values, batches, strict=True):
        s = embeddings @ embeddings.T
        same, other = labels[:, None] == labels, ~torch.eye(250, dtype=torch.bool)
        sp, sn = s[same & other], s[~same]
        assert row[1].item() == pytest.approx(sp.mean().item(), abs=1e-5)
        assert row[2].item() == pytest.approx(sn.mean().item(), abs=1e-5)
        violating = torch.cat([sp < 1 - 0.4, sn > 0.4]).float().mean()
        assert row[3].item() == pytest.approx(violating.item(), abs=1e-3)


def test_same_seed_gives_the_same_bits(few: Split, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = trained(SMALL, few, tmp_path / "a")
    torch.manual_seed(2)
    second = trained(SMALL, few, tmp_path / "b")
    other = trained(replace(SMALL, seed=1), few, tmp_path / "c")
    assert bits(first) == bits(second)
    assert bits(first) != bits(other)


@pytest.mark.parametrize(
    "change",
    [
        *({"loss": loss} for loss in FAMILY),
        {**FOLDED, "classes_per_batch": 10},
        {"pairs": "batch", "momentum": 0.0, "elastic": 0.5, "lr": 0.01},
        {"net": "article", "dim": 32, "augment": False, "lr": 0.001},
        pytest.param({"precision": "bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"net": "medium", "dim": 2, "lr": 0.01}, marks=pytest.mark.slow),
        pytest.param({"net": "large", "hidden_layers": 1, "lr": 0.01}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_interrupted_training_continues_to_the_same_bits(
    change: dict[str, Any], few: Split, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Stopped after an epoch, then within one among the steps without augmentation."""
    if "precision" in change:
        request.getfixturevalue("bfloat16_here")
    fresh = dict.fromkeys(("gamma", "m", "lr"))
    config = replace(SMALL, epochs=3, **{**fresh, **change})
    before = bits(build_training(config, few))
    whole = trained(config, few, tmp_path / "whole")
    first, last = whole.history[0], whole.history[-1]
    assert last.mean_sp - last.mean_sn > first.mean_sp - first.mean_sn
    learned = {k for k, v in whole.objective.named_parameters() if v.requires_grad}
    assert all(bits(whole)[f"objective.{k}"] != before[f"objective.{k}"] for k in learned)
    for stop_at, epochs, step in ((5, 1, 5), (8, 2, 13)):
        with pytest.raises(Stopped):
            trained(config, few, tmp_path / "parts", Watcher(config, stop_at))
        state = load_checkpoint(tmp_path / "parts" / "last.pt")
        assert (len(state["history"]), state["step"]) == (epochs, step)
    rest = trained(config, few, tmp_path / "parts")
    assert bits(rest) == bits(whole)
    assert [row.loss for row in rest.history] == [row.loss for row in whole.history]


@pytest.mark.parametrize("loss", ["circle-class", "arcface", "center"])
def test_fixed_class_weights_stay_where_they_are(loss: str, few: Split, tmp_path: Path) -> None:
    config = Config(net="tiny", epochs=1, loss=loss, class_weights="fixed", dim=2, m=None)
    objective = trained(config, few, tmp_path).objective
    (fixed,) = (p for p in objective.parameters() if not p.requires_grad)
    rows = fixed if fixed.shape == (10, 2) else fixed.T
    assert sorted(rows.tolist()) == sorted(spread_directions(10, 2).tolist())


@pytest.mark.parametrize("fold", [0, 16])
def test_center_loss_leaves_the_sphere(fold: int, split: Split, tmp_path: Path) -> None:
    """Its embeddings have any length; a first embedding, shaped by Circle Loss, has length 1."""
    config = Config(net="tiny", epochs=1, loss="center", dim=2, fold=fold)
    embedder = trained(config, split, tmp_path).embedder
    assert embed(embedder, split.images[:200]).norm(dim=1).std() > 0.1
    first, *_ = embedder.stages(split.images[:9, None].float() / 255)
    ones = torch.ones(9)
    assert torch.allclose(first.norm(dim=1), ones, atol=1e-5) == bool(fold)
    averaged = embed(embedder, split.images[:9], views=5)
    assert not torch.allclose(averaged.norm(dim=1), ones, atol=1e-2)


class Spoiling(Watcher):
    """Spoils a number of a part of the training in one step of an epoch."""

    def __init__(self, state: TrainState, part: str, number: float, moment: tuple[int, int]):
        super().__init__(CONFIG)
        self.state, self.part, self.number, self.moment = state, part, number, moment

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        assert (epoch, step) <= self.moment
        if (epoch, step) == self.moment:
            module = self.state.objective if self.part == "objective" else self.state.embedder
            weight = next(module.parameters())
            momentum = self.state.optimizer.state[weight]["momentum_buffer"]
            (momentum if self.part == "optimizer" else weight.data)[0] = self.number


def test_loss_that_is_not_finite_names_its_step(few: Split, tmp_path: Path) -> None:
    """After a good epoch a weight becomes NaN between two steps: the very next loss shows it.

    The error has the learning rate of that step; the checkpoint is that of the good epoch.
    """
    sound = Watcher(SMALL)
    trained(SMALL, few, tmp_path / "sound", sound)
    state = build_training(SMALL, few)
    watcher = Spoiling(state, "embedder", math.nan, (2, 2))
    words = (
        rf"not finite at step 3 in epoch 2 .*lr {sound.steps[7][3]:g}\): lower `lr`.*last\.pt is"
    )
    with pytest.raises(UserError, match=words):
        fit(state, SMALL, few, Run(tmp_path), watcher, watcher.stop)
    saved = load_checkpoint(tmp_path / "last.pt")
    assert len(saved["history"]) == 1
    assert all(tensor.isfinite().all() for tensor in saved["embedder"].values())


@pytest.mark.parametrize("part", ["embedder", "objective", "optimizer"])
def test_weights_that_are_not_finite_are_not_saved(part: str, few: Split, tmp_path: Path) -> None:
    """The last loss of the epoch was finite; the last step spoiled the weights."""
    config = replace(SMALL, loss="circle-class")
    state = build_training(config, few)
    watcher = Spoiling(state, part, math.inf, (1, 5))
    with pytest.raises(UserError, match=rf"of the {part} is not finite in epoch 1 .*no checkpoint"):
        fit(state, config, few, Run(tmp_path), watcher, watcher.stop)
    assert not (tmp_path / "last.pt").exists()
