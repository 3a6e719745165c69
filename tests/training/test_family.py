"""Every loss of the family is trained, stopped and continued as Circle Loss is."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.errors import UserError
from circlemnist.family import FAMILY
from circlemnist.losses.class_weights import spread_directions
from circlemnist.models.embedder import embed
from circlemnist.process import Stopped, StopSignals
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.diagnosis import diagnose
from circlemnist.training.loop import fit, train_epoch
from circlemnist.training.progress import Progress
from circlemnist.training.state import TrainState


def config_of(loss: str, **settings: object) -> Config:
    given = {"dataset": "digits", "net": "tiny", "epochs": 2, "loss": loss, **settings}
    return Config(**given)  # type: ignore[arg-type]


def bits(state: TrainState) -> dict[str, bytes]:
    modules = {"embedder": state.embedder, "objective": state.objective}
    return {
        f"{name}.{key}": value.numpy().tobytes()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }


class StopAt(StopSignals):
    """A signal comes at the step that has this number, over all epochs."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped(15)


@pytest.mark.parametrize("loss", FAMILY)
def test_each_trains_and_goes_on_to_the_same_bits(loss: str, split: Split, tmp_path: Path) -> None:
    """Stopped within an epoch, so that class weights, centres and scales are between two steps."""
    config = config_of(loss)
    progress = Progress("quiet", config, len(split))
    whole = build_training(config, split)
    before = bits(whole)
    fit(whole, config, split, Run(tmp_path), progress, StopSignals())
    first, last = whole.history[0], whole.history[-1]
    assert last.mean_sp - last.mean_sn > first.mean_sp - first.mean_sn > 0
    assert all(bits(whole)[name] != value for name, value in before.items() if "loss" in name)

    stopped = build_training(config, split)
    with pytest.raises(Stopped):
        fit(stopped, config, split, Run(tmp_path), progress, StopAt(8))
    rest = build_training(config, split)
    rest.restore(Run(tmp_path))
    assert 5 < rest.step < 10
    fit(rest, config, split, Run(tmp_path), progress, StopSignals())
    assert bits(rest) == bits(whole)


@pytest.mark.parametrize("loss", FAMILY)
def test_all_that_a_loss_learns_is_trained(loss: str, split: Split) -> None:
    state = build_training(config_of(loss), split)
    trained = {id(p) for group in state.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in state.objective.parameters()} <= trained
    assert state.optimizer.param_groups[0]["initial_lr"] == FAMILY[loss].lr / 25


@pytest.mark.slow
@pytest.mark.parametrize("loss", FAMILY)
def test_ordinary_runs_are_told_nothing(loss: str, split: Split) -> None:
    config = config_of(loss, net="small", epochs=40)
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    for _ in range(40):
        values = train_epoch(state, config, split, progress, StopSignals())
        assert list(diagnose(state.history, values, config)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("circle", "triplet"),
        ("triplet", "contrastive"),
        ("cosface", "arcface"),
        ("center", "circle"),
    ],
)
def test_checkpoint_of_one_does_not_go_on_as_another(
    one: str, other: str, split: Split, tmp_path: Path
) -> None:
    config = config_of(one)
    progress = Progress("quiet", config, len(split))
    fit(build_training(config, split), config, split, Run(tmp_path), progress, StopSignals())
    with pytest.raises(UserError, match=r"does not fit config\.toml"):
        build_training(config_of(other), split).restore(Run(tmp_path))


@pytest.mark.parametrize("loss", ["arcface", "center"])
def test_class_weights_may_be_fixed_far_apart(loss: str, split: Split) -> None:
    config = config_of(loss, class_weights="fixed", dim=3)
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    (fixed,) = (p for p in state.objective.parameters() if not p.requires_grad)
    before = fixed.clone()
    train_epoch(state, config, split, progress, StopSignals())
    assert fixed.equal(before)
    rows = before if before.shape == (10, 3) else before.T
    assert sorted(rows.tolist()) == sorted(spread_directions(10, 3).tolist())


@pytest.mark.parametrize("fold", [0, 16])
def test_center_loss_lives_off_the_sphere(fold: int, split: Split) -> None:
    """Its embeddings have any length; a first embedding, shaped by Circle Loss, has not."""
    config = config_of("center", dim=2, fold=fold)
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    train_epoch(state, config, split, progress, StopSignals())
    lengths = embed(state.embedder, split.images[:200]).norm(dim=1)
    assert lengths.std() > 0.1
    first, *_ = state.embedder.stages(split.images[:9, None].float() / 255)
    unit = torch.ones(9)
    assert torch.allclose(first.norm(dim=1), unit, atol=1e-5) == bool(fold)
    # the mean of five views is their mean as they are
    five = embed(state.embedder, split.images[:9], views=5)
    assert not torch.allclose(five.norm(dim=1), unit, atol=1e-2)


def test_centres_are_the_means_of_their_classes_in_the_end(split: Split) -> None:
    config = config_of("center", dim=2, epochs=12, augment=False)
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    for _ in range(12):
        train_epoch(state, config, split, progress, StopSignals())
    embeddings = embed(state.embedder, split.images)
    means = torch.stack([embeddings[split.labels == label].mean(0) for label in range(10)])
    nearest = torch.cdist(means, state.objective.loss.centers).argmin(1)
    assert nearest.tolist() == list(range(10))
