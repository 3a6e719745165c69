"""The rows that an epoch leaves, from the steps it took."""

import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.losses import pair_statistics
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import first_step, fit, step_images, train_epoch
from circlemnist.training.progress import Progress

CONFIG = Config(dataset="digits", net="tiny", epochs=2, augment=False)


class Kept(Progress):
    """Keeps what it is shown."""

    def __init__(self, config: Config) -> None:
        super().__init__("quiet", config, 1437)
        self.steps: list[tuple[int, int, list[float], float]] = []

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        self.steps.append((epoch, step, values.tolist(), lr))


def test_row_is_the_mean_of_its_steps(split: Split) -> None:
    state, progress = build_training(CONFIG, split), Kept(CONFIG)
    rates = []
    for number in (1, 2):
        values = train_epoch(state, CONFIG, split, progress, StopSignals())
        row = state.history[-1]
        assert row.epoch == number
        assert values.shape == (5, 4)
        found = (row.loss, row.mean_sp, row.mean_sn, row.violating)
        assert found == pytest.approx(values.double().mean(0).tolist(), rel=1e-5)
        assert row.seconds > 0
        shown = progress.steps[-5:]
        assert [(epoch, step) for epoch, step, _, _ in shown] == [(number, i) for i in range(1, 6)]
        assert torch.tensor([v for _, _, v, _ in shown]).equal(values)
        assert row.lr == shown[-1][3]
        rates += [lr for *_, lr in shown]
    assert state.step == 10
    assert state.cursor is None
    assert len(set(rates)) == 10  # the rate of each step, not that after it
    assert rates[0] == pytest.approx(CONFIG.lr / 25)


def test_batches_without_pairs_do_not_spoil_the_row(split: Split) -> None:
    config = replace(CONFIG, batch_size=4, lr=1e-4)
    state = build_training(config, split)
    values = train_epoch(state, config, split, Kept(config), StopSignals())
    assert values[:, 1].isnan().any()
    row = state.history[-1]
    assert math.isfinite(row.mean_sp)
    assert math.isfinite(row.mean_sn)
    with_pairs = values[:, 1][~values[:, 1].isnan()]
    assert row.mean_sp == pytest.approx(with_pairs.mean().item(), rel=1e-5)


def test_images_of_a_step_are_those_of_its_indices_from_0_to_1(split: Split) -> None:
    indices = torch.tensor([7, 1436, 0])
    images = step_images(build_training(CONFIG, split), CONFIG, split, indices)
    for image, index in zip(images.double(), indices.tolist(), strict=True):
        torch.testing.assert_close(255 * image, split.images[index : index + 1].double())


def test_batches_hold_as_many_classes_as_are_asked_for(split: Split) -> None:
    config = replace(CONFIG, classes_per_batch=5)
    before = torch.get_rng_state()
    cursor = first_step(config, split, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert cursor.order.shape == (5, 250)
    for batch in split.labels[cursor.order]:
        assert batch.unique(return_counts=True)[1].tolist() == [50] * 5


class StopAfter(Kept):
    """Lets a signal come when so many steps have been shown: that was the last."""

    def __init__(self, config: Config, steps: int) -> None:
        super().__init__(config)
        self.after, self.stop = steps, StopSignals()

    def step(self, epoch: int, step: int, values: Tensor, lr: float) -> None:
        super().step(epoch, step, values, lr)
        if len(self.steps) == self.after:
            self.stop.received = signal.SIGTERM


def test_seconds_of_an_epoch_are_those_of_its_steps(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those between an interruption and the rest of it."""
    now = [1000.0]
    monkeypatch.setattr("circlemnist.training.loop.time.perf_counter", lambda: now[0])
    state, progress = build_training(CONFIG, split), StopAfter(CONFIG, 3)
    forward = state.forward

    def slow(images: Tensor) -> list[Tensor]:
        now[0] += 2.0001
        return forward(images)

    state.forward = slow
    with pytest.raises(Stopped):
        train_epoch(state, CONFIG, split, progress, progress.stop)
    assert state.cursor is not None
    assert (state.cursor.step, state.cursor.seconds) == (3, pytest.approx(6.0003))
    now[0] += 500
    train_epoch(state, CONFIG, split, progress, StopSignals())
    assert state.history[0].seconds == 10.0  # to the millisecond
    assert [step for _, step, *_ in progress.steps] == [1, 2, 3, 4, 5]


def test_signal_amid_the_last_step_lets_the_epoch_end(split: Split, tmp_path: Path) -> None:
    state, progress = build_training(CONFIG, split), StopAfter(CONFIG, 5)
    with pytest.raises(Stopped):
        fit(state, CONFIG, split, Run(tmp_path), progress, progress.stop)
    assert [row.epoch for row in Run(tmp_path).history()] == [1]
    assert (state.cursor, len(progress.steps)) == (None, 5)


def test_batches_without_pairs_are_no_reason_not_to_save(split: Split, tmp_path: Path) -> None:
    """The mean cosines of those steps of an interrupted epoch are NaN, which is as it should be."""
    config = replace(CONFIG, batch_size=4, lr=1e-4)
    state, progress = build_training(config, split), StopAfter(config, 21)
    with pytest.raises(Stopped):
        fit(state, config, split, Run(tmp_path), progress, progress.stop)
    again = build_training(config, split)
    again.restore(Run(tmp_path))
    assert state.cursor is not None
    assert again.cursor is not None
    assert again.cursor.values[:21].isnan().any()
    torch.testing.assert_close(vars(again.cursor), vars(state.cursor), equal_nan=True)


@pytest.mark.parametrize("loss", ["circle", "circle-class"])
def test_values_are_of_the_pairs_of_the_batch_whichever_the_loss(
    loss: str, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, loss=loss, m=0.4)
    seen = []

    def watched(embeddings: Tensor, of: Tensor, m: float) -> object:
        seen.append((embeddings.clone(), of.clone(), m))
        return pair_statistics(embeddings, of, m)

    monkeypatch.setattr("circlemnist.training.loop.gathered_statistics", watched)
    values = train_epoch(build_training(config, split), config, split, Kept(config), StopSignals())
    assert len(seen) == 5
    for row, (embeddings, of, m) in zip(values, seen, strict=True):
        assert m == 0.4
        s = embeddings @ embeddings.T
        same, other = of[:, None] == of, ~torch.eye(250, dtype=torch.bool)
        assert row[1].item() == pytest.approx(s[same & other].mean().item(), abs=1e-5)
        assert row[2].item() == pytest.approx(s[~same].mean().item(), abs=1e-5)
