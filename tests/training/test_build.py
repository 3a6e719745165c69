"""From settings to a training: what the seed decides, the pixels, the optimizer, its schedule."""

from dataclasses import replace

import pytest
import torch
from torch.optim import SGD

from circlemnist.config import Config
from circlemnist.data.batches import batches
from circlemnist.data.datasets import Split
from circlemnist.training.build import build_scheduler, build_training
from circlemnist.training.loop import train_step

CONFIG = Config(dataset="digits", net="tiny", epochs=2)


def first_order(config: Config, split: Split) -> list[int]:
    state = build_training(config, split)
    return batches(len(split), config.batch_size, state.generator)[0].tolist()


def test_seed_decides_weights_order_and_augmentation(split: Split) -> None:
    one, again, other = (build_training(replace(CONFIG, seed=seed), split) for seed in (3, 3, 4))
    for a, b, c in zip(*(s.embedder.parameters() for s in (one, again, other)), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c) or a.dim() == 1  # scales and shifts start at 1 and 0
    orders = [first_order(replace(CONFIG, seed=seed), split) for seed in (3, 3, 4)]
    assert orders[0] == orders[1] != orders[2]
    drawn = [torch.rand(5, generator=state.generator) for state in (one, again, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_pixels_are_standardised_by_those_of_the_training_images(split: Split) -> None:
    embedder = build_training(CONFIG, split).embedder
    pixels = split.images.double() / 255
    assert embedder.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-4)
    assert embedder.std.item() == pytest.approx(pixels.std().item(), rel=1e-4)


def test_optimizer_is_sgd_with_the_settings_of_the_run(split: Split) -> None:
    config = replace(CONFIG, lr=0.03, momentum=0.7, weight_decay=0.02, loss="circle-class")
    state = build_training(config, split)
    (group,) = state.optimizer.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.7, 0.02, False)
    trained = {id(parameter) for parameter in group["params"]}
    everything = [*state.embedder.parameters(), *state.objective.parameters()]
    assert trained == {id(parameter) for parameter in everything}


def rates(name: str, steps: int) -> list[tuple[float, float]]:
    """The learning rate and the momentum of every step."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
    scheduler = build_scheduler(name, optimizer, 0.5, steps)
    found = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("name", ["onecycle", "cosine", "multistep", "none"])
def test_schedule_moves_the_rate_alone(name: str) -> None:
    found = rates(name, 20)
    assert {momentum for _, momentum in found} == {0.9}
    assert max(lr for lr, _ in found) == pytest.approx(0.5)


def test_schedules_have_their_shapes() -> None:
    lr = {name: [rate for rate, _ in rates(name, 20)] for name in ("onecycle", "cosine")}
    top = lr["onecycle"].index(max(lr["onecycle"]))
    assert top == 5  # three tenths of the steps less one, from 0
    assert lr["onecycle"][:6] == sorted(lr["onecycle"][:6])
    assert lr["onecycle"][5:] == sorted(lr["onecycle"][5:], reverse=True)
    assert lr["cosine"][10] == pytest.approx(0.25)
    steps = [rate for rate, _ in rates("multistep", 20)]
    assert steps == pytest.approx([0.5] * 10 + [0.05] * 5 + [0.005] * 5)
    assert [rate for rate, _ in rates("none", 20)] == [0.5] * 20


def test_step_counts_and_moves_weights_down_the_gradient(split: Split) -> None:
    """Without momentum and decay, one step is the gradient of the objective times lr."""
    config = replace(CONFIG, momentum=0.0, weight_decay=0.0, scheduler="none", lr=0.01)
    state, same = (build_training(config, split) for _ in range(2))
    images, labels = split.images[:100, None].float() / 255, split.labels[:100]
    stages = same.forward(images)
    wanted = same.objective(stages, labels)
    wanted.backward()
    loss, embeddings = train_step(state, images, labels)
    assert state.step == 1
    torch.testing.assert_close(loss, wanted.detach())
    torch.testing.assert_close(embeddings, stages[-1].detach())
    assert not loss.requires_grad
    assert not embeddings.requires_grad
    for a, b in zip(state.embedder.parameters(), same.embedder.parameters(), strict=True):
        assert b.grad is not None
        torch.testing.assert_close(a.detach(), b.detach() - 0.01 * b.grad)
        b.data.copy_(a.detach())  # to the bit: the gradient of a loss at gamma 80 follows from each
    same.embedder.zero_grad()
    same.objective(same.forward(images), labels).backward()
    train_step(state, images, labels)
    assert state.step == 2
    for a, b in zip(state.embedder.parameters(), same.embedder.parameters(), strict=True):
        assert b.grad is not None
        torch.testing.assert_close(a.detach(), b.detach() - 0.01 * b.grad)
