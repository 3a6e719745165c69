"""Known or unknown: features of the last convolution, their subspaces, thresholds."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.evaluation.known import (
    RATES,
    class_subspaces,
    embed_with_features,
    mixed_halves,
    operating_points,
    threshold,
    typicality,
    validation,
)
from circlemnist.models.embedder import build_embedder, embed


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({"net": "tiny"}, 288),
        ({"net": "small", "dim": 2, "fold": 16}, 576),
        ({"net": "medium", "loss": "center"}, 864),
        ({"net": "large", "hidden_layers": 1}, 1152),
        ({"net": "article", "dim": 32}, 32),
    ],
    ids=str,
)
def test_features_are_what_the_last_relu_of_the_convolutions_is_given(
    settings: dict[str, object], width: int
) -> None:
    embedder = build_embedder(Config(**settings), 0.13, 0.31).eval()  # type: ignore[arg-type]
    inputs: list[torch.Tensor] = []
    maps = [layer for layer in embedder.layers.children() if isinstance(layer, nn.Conv2d | nn.ReLU)]
    (*_, last) = (b for a, b in pairwise(maps) if isinstance(a, nn.Conv2d))
    last.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        embedder(images[:, None].float() / 255)
    embeddings, features = embed_with_features(embedder.train(), images, views=3)
    assert features.shape == (5, width)
    assert embedder.training
    torch.testing.assert_close(embeddings, embed(embedder, images, views=3))
    assert not last._forward_hooks
    torch.testing.assert_close(features, F.normalize(inputs[0].flatten(1)), atol=1e-5, rtol=0)


def test_typicality_is_the_cosine_to_the_subspace_of_a_class() -> None:
    """Within it 1, across it 0, at half a right angle √½; of a class without images 0."""
    axes = torch.eye(64)
    rows = torch.cat([F.normalize(torch.randn(50, 8)) @ axes[:8], axes[20:22]])
    bases = class_subspaces(rows, torch.tensor([0] * 50 + [3] * 2), 10)
    assert bases.shape == (10, 8, 64)
    asked = torch.stack([axes[2], axes[40], (axes[2] + axes[40]) / 2**0.5, axes[20]])
    wanted = torch.zeros(4, 10)
    wanted[:, 0] = torch.tensor([1, 0, 0.5**0.5, 0])
    wanted[3, 3] = 1
    torch.testing.assert_close(typicality(asked, bases), wanted, atol=2e-3, rtol=0)


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5]),
)
def test_threshold_is_the_least_that_accepts_no_more_than_its_share(
    scores: list[int], rate: float
) -> None:
    bound = threshold(torch.tensor(scores, dtype=torch.float32), rate)
    array = np.array(scores)
    assert (array > bound).mean() <= rate + 1e-12
    assert bound in array
    assert (array >= bound).mean() > rate


def test_share_of_halves_that_pass_is_that_of_a_rate_to_the_power_of_two_thirds() -> None:
    known, unknown = torch.linspace(0.5, 1, 1000), torch.linspace(0, 0.8, 8000)
    points = operating_points(known, unknown)
    assert tuple(point.far for point in points) == RATES
    for point in points:
        share = float((unknown > point.threshold).double().mean())
        assert share == pytest.approx(point.far ** (2 / 3), abs=1 / 4000)
        assert point.false_accepts <= point.far
        assert point.false_accepts == pytest.approx(share**1.5)
        assert point.false_rejects == float((known <= point.threshold).double().mean())


@pytest.mark.parametrize(("count", "least"), [(8000, 0.0001), (240, 0.005), (10, 0.5), (4, 0.5)])
def test_rates_that_few_images_cannot_tell_are_left_out(count: int, least: float) -> None:
    """Five of them pass, at the least; where fewer are there, all images are known."""
    points = operating_points(torch.ones(9), torch.rand(count))
    assert points[0].far == least
    assert (points[0].threshold == 0) == (count < 5)


def test_one_of_six_images_is_for_thresholds_and_never_more_than_5000() -> None:
    assert validation(torch.arange(13) % 2).nonzero()[:, 0].tolist() == [0, 6, 12]
    lonely = torch.arange(13) % 6  # all images of class 0 would be for thresholds
    assert not validation(lonely).any()
    assert validation(torch.arange(60_000) % 10).sum() == 5000
    assert not mixed_halves(Split(torch.ones(3, 28, 28).byte(), torch.ones(3).long())).numel()
