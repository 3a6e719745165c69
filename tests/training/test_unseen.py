"""Training leaves classes out: no image of them, no weight for them, and no other resumes it."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.errors import SettingError, UserError
from circlemnist.family import FAMILY, OF_CLASSES
from circlemnist.losses import build_loss
from circlemnist.losses.class_weights import spread_directions
from circlemnist.process import StopSignals
from circlemnist.runs.new_run import create_run
from circlemnist.training.build import build_objective, build_training
from circlemnist.training.progress import Progress
from circlemnist.training.run import Training

UNSEEN = "0,3,8"
SEEN = torch.tensor([1, 2, 4, 5, 6, 7, 9])


@pytest.mark.parametrize("loss", FAMILY)
def test_loss_is_that_of_the_seen_classes_counted_from_0(loss: str, split: Split) -> None:
    config = Config(loss=loss, dim=8, unseen=UNSEEN)
    torch.manual_seed(1)
    objective = build_objective(config, split)
    torch.manual_seed(1)
    wanted = build_loss(
        loss,
        num_classes=7,
        embedding_dim=8,
        pairs="anchor",
        normalize=config.member.of_classes,
        **config.knobs,
    )
    places = torch.arange(21) % 7
    embeddings = normalize(torch.randn(21, 8))
    torch.testing.assert_close(
        objective([embeddings], SEEN[places]), wanted(embeddings, places), rtol=0, atol=0
    )


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_fixed_weights_are_as_far_apart_as_so_few_can_be(loss: str, split: Split) -> None:
    config = Config(loss=loss, dim=2, class_weights="fixed", unseen="0,3,5,8")
    module = build_objective(config, split).loss
    weight = module.W.T if hasattr(module, "W") else module.weight
    assert sorted(weight.tolist()) == sorted(spread_directions(6, 2).tolist())


def test_state_of_other_classes_is_refused(split: Split) -> None:
    state = build_objective(Config(unseen="1,2"), split).state_dict()
    build_objective(Config(unseen="2,1"), split).load_state_dict(state)
    for other in ("1,3", None):
        with pytest.raises(ValueError, match="of 0,3,4,5,6,7,8,9"):
            build_objective(Config(unseen=other), split).load_state_dict(state)


def test_state_of_ten_classes_in_turns_is_not_that_of_the_ten(split: Split) -> None:
    """1, 2 and 3 in quarter turns are ten classes, since half turns of 1 are kept together."""
    settings = {"dataset": "digits", "turned": "quarters"}
    turned = [Config(unseen=unseen, **settings) for unseen in ("0,4,5,6,7,8,9", "0,1,4,5,6,7,9")]
    one, other = (build_objective(config, split) for config in turned)
    assert len(one.classes) == len(other.classes) == 10
    for wrong in (other, build_objective(Config(), split)):
        with pytest.raises(ValueError, match="of the loss circle of 1,"):
            wrong.load_state_dict(one.state_dict())


@pytest.mark.parametrize(("invented", "classes"), [(91, "101"), (991, "1,001")])
def test_directions_of_many_classes_are_not_fixed(
    split: Split, invented: int, classes: str
) -> None:
    config = Config(loss="arcface", class_weights="fixed", invented=invented)
    with pytest.raises(SettingError, match=f"with {classes} classes"):
        build_objective(config, split)


def test_too_many_classes_a_batch_are_refused() -> None:
    config = Config(dataset="digits", epochs=1, unseen="0,1,2,3", classes_per_batch=10)
    left = load_dataset("digits", Path()).leave_out(config.unseen_classes)
    with pytest.raises(SettingError, match="must be ≤ 6"):
        build_training(config, left.train)


@pytest.mark.parametrize("loss", ["circle", "arcface"])
def test_turned_images_are_trained_on_as_further_classes_and_measured_as_they_are(
    loss: str, tmp_path: Path
) -> None:
    """And as others than those of a training that turns less."""
    settings = {"dataset": "digits", "net": "tiny", "epochs": 1, "unseen": "0,4,5,8", "loss": loss}
    config = Config(**settings, turned="mirrored", classes_per_batch=25)
    training = Training(config, load_dataset("digits", Path()), print)
    assert len(training.split) == 8 * len(training.dataset.train)
    # 1 looks as it does after half a turn
    assert training.split.labels.unique().numel() == 6 * 8 - 4
    assert set(training.dataset.train.labels.tolist()) == {1, 2, 3, 6, 7, 9}
    progress = Progress("quiet", training.config, len(training.split))
    trained = training.fit(
        create_run(tmp_path, "run", training.config, {}), progress, StopSignals()
    )
    measured = trained.evaluate()
    assert measured.gallery == len(training.dataset.train)
    less = Training(Config(**settings, turned="quarters"), load_dataset("digits", Path()), print)
    with pytest.raises(UserError, match="does not fit config"):
        less.state.restore(trained.run)
