"""Directions far apart: the best codes that are known, and the same at every call."""

import math

import pytest
import torch

from circlemnist.diagnosis import CLOSEST_COSINE, SIMPLEX
from circlemnist.directions import spread_directions


@pytest.mark.parametrize("dim", [2, 3, 4, 5, 8, 9, 64])
def test_ten_directions_are_about_as_far_apart_as_can_be(dim: int) -> None:
    directions = spread_directions(10, dim)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(10))
    cosines = directions @ directions.T
    closest = cosines.fill_diagonal_(-math.inf).max().item()
    best = CLOSEST_COSINE[dim - 1] if dim <= len(CLOSEST_COSINE) else SIMPLEX
    assert best - 1e-5 <= closest <= best + 1e-3


def test_they_are_the_same_at_every_call() -> None:
    assert torch.equal(spread_directions(10, 3), spread_directions(10, 3))
