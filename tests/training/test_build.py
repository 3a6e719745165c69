"""From settings to a training: weights, pixels, precision, optimizer, schedule and loss."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from circlemnist import CircleLoss
from circlemnist.config import Config
from circlemnist.data.batches import batches
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.errors import SettingError
from circlemnist.family import FAMILY
from circlemnist.losses import build_loss
from circlemnist.losses.class_weights import spread_directions
from circlemnist.training.build import Objective, build_training
from circlemnist.training.loop import train_step
from circlemnist.training.processes import Processes
from circlemnist.training.run import Training
from tests.training.helpers import CONFIG

LABELS = torch.arange(30) % 10


def test_seed_decides_weights_order_and_augmentation(split: Split) -> None:
    """And the global random state neither matters nor changes."""
    before = torch.get_rng_state()
    states = [build_training(replace(CONFIG, seed=seed), split) for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(*(state.embedder.parameters() for state in states), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c) or a.dim() == 1  # scales and shifts start at 1 and 0
    orders = [batches(len(split), 250, state.generator)[0].tolist() for state in states]
    assert orders[0] == orders[1] != orders[2]
    drawn = [torch.rand(5, generator=state.generator).tolist() for state in states]
    assert drawn[0] == drawn[1] != drawn[2]


def test_pixels_are_standardised_by_those_of_the_training_images(split: Split) -> None:
    embedder = build_training(CONFIG, split).embedder
    pixels = split.images.double() / 255
    assert embedder.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-4)
    assert embedder.std.item() == pytest.approx(pixels.std().item(), rel=1e-4)


@pytest.mark.parametrize("loss", FAMILY)
def test_optimizer_is_sgd_of_all_that_is_learned(loss: str, split: Split) -> None:
    config = Config(net="tiny", epochs=2, loss=loss, momentum=0.7, weight_decay=0.02)
    state = build_training(config, split)
    (group,) = state.optimizer.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.7, 0.02, False)
    assert group["initial_lr"] == FAMILY[loss].lr / 25
    everything = [*state.embedder.parameters(), *state.objective.parameters()]
    assert {id(p) for p in group["params"]} == {id(p) for p in everything}


def test_schedules_have_their_shapes_and_leave_the_momentum(split: Split) -> None:
    rates: dict[str, list[float]] = {}
    for name in ("onecycle", "cosine", "multistep", "none"):
        state = build_training(replace(CONFIG, scheduler=name, lr=0.5, epochs=4), split)
        group, rates[name] = state.optimizer.param_groups[0], []
        for _ in range(20):
            assert group["momentum"] == 0.9
            rates[name].append(group["lr"])
            state.optimizer.step()
            state.scheduler.step()
        assert max(rates[name]) == pytest.approx(0.5)
    onecycle = rates["onecycle"]
    assert onecycle.index(max(onecycle)) == 5  # three tenths of the steps less one, from 0
    assert onecycle[:6] == sorted(onecycle[:6])
    assert onecycle[5:] == sorted(onecycle[5:], reverse=True)
    assert rates["cosine"][10] == pytest.approx(0.25)
    assert rates["multistep"] == pytest.approx([0.5] * 10 + [0.05] * 5 + [0.005] * 5)
    assert rates["none"] == [0.5] * 20


def test_step_moves_weights_down_the_gradient(split: Split) -> None:
    """Without momentum and decay, a step is the gradient of the objective times lr."""
    config = replace(CONFIG, momentum=0.0, weight_decay=0.0, scheduler="none", lr=0.01)
    state, same = (build_training(config, split) for _ in range(2))
    images, labels = split.images[:100, None].float() / 255, split.labels[:100]
    for step in (1, 2):
        same.embedder.zero_grad()
        stages = same.forward(images)
        expected = same.objective(stages, labels)
        expected.backward()
        loss, embeddings = train_step(state, images, labels)
        assert state.step == step
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(embeddings, stages[-1].detach())
        assert not loss.requires_grad
        assert not embeddings.requires_grad
        for a, b in zip(state.embedder.parameters(), same.embedder.parameters(), strict=True):
            assert b.grad is not None
            torch.testing.assert_close(a.detach(), b.detach() - 0.01 * b.grad)
            b.data.copy_(a.detach())  # a rounding would grow in the next step


def test_directions_of_many_classes_are_not_arranged(split: Split) -> None:
    config = Config(loss="arcface", class_weights="fixed", invented=91)
    with pytest.raises(SettingError, match="must be learned with 101 classes, not fixed"):
        Objective(config, split)


def test_adacos_of_two_classes_is_refused(split: Split) -> None:
    config = Config(loss="adacos", unseen="2,3,4,5,6,7,8,9", epochs=1)
    with pytest.raises(SettingError, match="adacos takes 3 classes or more, not 2"):
        build_training(config, split)


def test_batch_of_fewer_images_than_processes_is_refused(split: Split) -> None:
    with pytest.raises(SettingError, match="`batch_size` must be ≥ 5, the processes"):
        build_training(replace(CONFIG, batch_size=4), split, Processes(0, 5))


def stages(*dims: int) -> list[torch.Tensor]:
    return [normalize(torch.randn(30, dim)) for dim in dims]


def test_pairs_take_the_settings_of_the_run(split: Split) -> None:
    (last,) = stages(64)
    for pairs in ("anchor", "batch"):
        objective = Objective(Config(gamma=32, m=0.4, pairs=pairs), split)
        value = objective([last], LABELS)
        torch.testing.assert_close(value, CircleLoss(32, 0.4, pairs)(last, LABELS))


def test_first_embedding_is_shaped_at_a_gamma_and_m_of_its_own(split: Split) -> None:
    """Independent of those of the run."""
    first, last = stages(64, 2)
    objective = Objective(Config(gamma=20, m=0.67, dim=2, fold=64), split)
    expected = CircleLoss(20, 0.67)(last, LABELS) + CircleLoss(80, 0.25)(first, LABELS)
    torch.testing.assert_close(objective([first, last], LABELS), expected)


def test_fixed_weights_are_arranged_by_similarity(split: Split) -> None:
    """No exchange of two classes puts similar ones, by their mean images, closer together."""
    config = Config(loss="circle-class", class_weights="fixed", dim=2, m=0.67)
    weight = Objective(config, split).loss.weight
    assert not weight.requires_grad
    assert sorted(weight.tolist()) == sorted(spread_directions(10, 2).tolist())
    pixels = split.images.flatten(1).float()
    means = torch.stack([pixels[split.labels == label].mean(0) for label in range(10)])
    centred = normalize(means - means.mean(0))
    cosines, similarities = weight @ weight.T, centred @ centred.T
    best = (cosines * similarities).sum()
    for i in range(10):
        for j in range(i):
            order = torch.arange(10)
            order[[i, j]] = order[[j, i]]
            assert (cosines[order][:, order] * similarities).sum() <= best + 1e-5


@pytest.mark.parametrize("loss", FAMILY)
def test_loss_is_that_of_the_seen_classes_counted_from_0(loss: str, split: Split) -> None:
    seen = torch.tensor([1, 2, 4, 5, 6, 7, 9])
    config = Config(loss=loss, dim=8, unseen="0,3,8")
    torch.manual_seed(1)
    objective = Objective(config, split)
    torch.manual_seed(1)
    expected = build_loss(
        loss,
        num_classes=7,
        embedding_dim=8,
        pairs="anchor",
        normalize=config.loss_info.has_class_weights,
        **config.hyperparameters,
    )
    index = torch.arange(21) % 7
    embeddings = normalize(torch.randn(21, 8))
    value = objective([embeddings], seen[index])
    torch.testing.assert_close(value, expected(embeddings, index), rtol=0, atol=0)


def test_state_of_other_classes_is_refused(split: Split) -> None:
    state = Objective(Config(unseen="1,2"), split).state_dict()
    Objective(Config(unseen="2,1"), split).load_state_dict(state)
    for other in ("1,3", None):
        with pytest.raises(ValueError, match="of 0,3,4,5,6,7,8,9"):
            Objective(Config(unseen=other), split).load_state_dict(state)


def test_turned_images_are_extra_classes_in_training_alone() -> None:
    config = replace(CONFIG, unseen="0,4,5,6,8,9", turned="mirrored", classes_per_batch=10)
    training = Training(config, load_dataset("digits", Path()), torch.device("cpu"), print)
    assert len(training.split) == 8 * len(training.dataset.train)
    # 1 looks as it does after half a turn
    assert training.split.labels.unique().numel() == len(training.state.objective.classes) == 28
    assert set(training.dataset.train.labels.tolist()) == {1, 2, 3, 7}
