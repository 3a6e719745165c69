"""Directions far apart: the best codes that are known, and the same at every call."""

import math
from itertools import permutations

import pytest
import torch

from circlemnist.losses.class_weights import arrange_directions, spread_directions
from circlemnist.training.diagnosis import closest_cosine


def symmetric(size):
    similarity = torch.randn(size, size)
    return similarity + similarity.T


@pytest.mark.parametrize("dim", [3, 4, 5, 64])
def test_ten_directions_are_about_as_far_apart_as_can_be(dim):
    directions = spread_directions(10, dim)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(10))
    closest = (directions @ directions.T).fill_diagonal_(-math.inf).max().item()
    best = closest_cosine(10, dim)
    assert best - 1e-5 <= closest <= best + 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_in_the_plane_they_are_the_corners_of_a_regular_polygon(count):
    turns = [2 * math.pi * corner / count for corner in range(count)]
    wanted = torch.tensor([[math.cos(turn), math.sin(turn)] for turn in turns])
    torch.testing.assert_close(spread_directions(count, 2), wanted, rtol=0, atol=1e-7)


def test_the_best_of_all_orders_is_found():
    """Exchanges alone may end at an order that is not the best."""
    orders = torch.tensor(list(permutations(range(7))))
    directions = spread_directions(7, 2)
    cosines = directions @ directions.T
    for _ in range(6):
        similarity = symmetric(7)
        sums = (similarity * cosines[orders[:, :, None], orders[:, None]]).sum((1, 2))
        arranged = arrange_directions(directions, similarity)
        agreement = (similarity * (arranged @ arranged.T)).sum().item()
        assert agreement == pytest.approx(sums.max().item(), rel=1e-5)
