"""What a step makes smaller: the loss of the embedding, and of the first one where it is folded."""

from dataclasses import replace

import torch
from torch.nn.functional import normalize

from circlemnist import CircleLoss
from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.losses.class_weights import spread_directions
from circlemnist.training.build import build_objective, class_similarities

LABELS = torch.arange(30) % 10


def stages(*dims: int) -> list[torch.Tensor]:
    return [normalize(torch.randn(30, dim)) for dim in dims]


def test_pairs_take_the_settings_of_the_run(split: Split) -> None:
    config = Config(gamma=32, m=0.4)
    (last,) = stages(64)
    for pairs in ("anchor", "batch"):
        found = build_objective(replace(config, pairs=pairs), split)([last], LABELS)
        torch.testing.assert_close(found, CircleLoss(32, 0.4, pairs)(last, LABELS))


def test_first_embedding_is_shaped_at_a_gamma_and_m_of_its_own(split: Split) -> None:
    """Whatever those of the run are, and whatever becomes of the defaults."""
    config = Config(gamma=20, m=0.67, dim=2, fold=64)
    first, last = stages(64, 2)
    found = build_objective(config, split)([first, last], LABELS)
    wanted = CircleLoss(20, 0.67)(last, LABELS) + CircleLoss(80, 0.25)(first, LABELS)
    torch.testing.assert_close(found, wanted)


def test_fixed_weights_are_handed_out_by_likeness(split: Split) -> None:
    """No exchange of two classes puts like ones closer together."""
    weight = build_objective(
        Config(loss="circle-class", class_weights="fixed", dim=2, m=0.67), split
    ).loss.weight
    assert not weight.requires_grad
    assert sorted(weight.tolist()) == sorted(spread_directions(10, 2).tolist())
    cosines, likeness = weight @ weight.T, class_similarities(split)
    best = (cosines * likeness).sum()
    for i in range(10):
        for j in range(i):
            order = torch.arange(10)
            order[[i, j]] = order[[j, i]]
            assert (cosines[order][:, order] * likeness).sum() <= best + 1e-5


def test_learned_weights_are_trained(split: Split) -> None:
    weight = build_objective(Config(loss="circle-class"), split).loss.weight
    assert weight.requires_grad
    assert weight.shape == (10, 64)
