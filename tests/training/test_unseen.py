"""Training leaves classes out: no image of them, no weight for them, and no other resumes it."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from circlemnist.config import Config
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.errors import SettingError
from circlemnist.family import FAMILY, OF_CLASSES
from circlemnist.losses import build_loss
from circlemnist.losses.directions import spread_directions
from circlemnist.training.build import build_training
from circlemnist.training.objective import build_objective

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


def test_too_many_classes_a_batch_are_refused() -> None:
    config = Config(dataset="digits", epochs=1, unseen="0,1,2,3", classes_per_batch=10)
    left = load_dataset("digits", Path()).leave_out(config.unseen_classes)
    state = build_training(config, left.train)
    from circlemnist.training.loop import first_step

    with pytest.raises(SettingError, match="must be ≤ 6"):
        first_step(config, left.train, state.generator)
