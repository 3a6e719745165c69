"""Directions far apart: the best codes that are known, and the same at every call."""

import math
from itertools import permutations

import pytest
import torch

from circlemnist.losses.class_weights import arrange_directions, spread_directions
from circlemnist.training.diagnosis import closest_cosine


@pytest.mark.parametrize("dim", [2, 3, 4, 5, 8, 9, 64])
def test_ten_directions_are_about_as_far_apart_as_can_be(dim: int) -> None:
    directions = spread_directions(10, dim)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(10))
    cosines = directions @ directions.T
    closest = cosines.fill_diagonal_(-math.inf).max().item()
    best = closest_cosine(10, dim)
    assert best - 1e-5 <= closest <= best + 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_in_the_plane_they_are_the_corners_of_a_regular_polygon(count: int) -> None:
    turns = [2 * math.pi * corner / count for corner in range(count)]
    wanted = torch.tensor([[math.cos(turn), math.sin(turn)] for turn in turns])
    torch.testing.assert_close(spread_directions(count, 2), wanted, rtol=0, atol=1e-7)


def test_they_are_the_same_at_every_call() -> None:
    assert torch.equal(spread_directions(10, 3), spread_directions(10, 3))


def test_like_classes_come_beside_each_other() -> None:
    """A ring of classes, numbered at random, is found again around the circle."""
    ring = torch.randperm(10)
    place = ring.argsort()
    steps = (place[:, None] - place).abs()
    likeness = -torch.minimum(steps, 10 - steps).float()
    directions = arrange_directions(spread_directions(10, 2), likeness)
    around = torch.atan2(directions[:, 1], directions[:, 0]).argsort()
    found = (place[around] - place[around[0]]) % 10
    assert found.tolist() in ([*range(10)], [0, *range(9, 0, -1)])


def test_arranging_keeps_the_directions() -> None:
    directions = spread_directions(10, 3)
    likeness = torch.randn(10, 10)
    found = arrange_directions(directions, likeness + likeness.T)
    assert sorted(found.tolist()) == sorted(directions.tolist())


def agreement(directions: torch.Tensor, likeness: torch.Tensor) -> float:
    return (likeness.double() * (directions @ directions.T).double()).sum().item()


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_no_exchange_of_two_directions_is_better(dim: int) -> None:
    likeness = torch.randn(10, 10)
    likeness = likeness + likeness.T
    found = arrange_directions(spread_directions(10, dim), likeness)
    assert torch.equal(found, arrange_directions(spread_directions(10, dim), likeness))
    best = agreement(found, likeness)
    for pair in torch.combinations(torch.arange(10)):
        exchanged = found.clone()
        exchanged[pair] = found[pair.flip(0)]
        assert agreement(exchanged, likeness) <= best + 1e-6


def test_the_best_of_all_orders_is_found() -> None:
    """Exchanges alone may end at an order that is not the best."""
    orders = torch.tensor(list(permutations(range(7))))
    for _ in range(6):
        similarity = torch.randn(7, 7)
        similarity = similarity + similarity.T
        directions = spread_directions(7, 2)
        cosines = directions @ directions.T
        sums = (similarity * cosines[orders[:, :, None], orders[:, None]]).sum((1, 2))
        arranged = arrange_directions(directions, similarity)
        assert agreement(arranged, similarity) == pytest.approx(sums.max().item(), rel=1e-5)
