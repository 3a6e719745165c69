"""Known or unknown: what a threshold lets through."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist.evaluation.known import RATES, operating_points, threshold


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5]),
)
def test_threshold_is_the_least_that_accepts_no_more_than_its_share(
    scores: list[int], rate: float
) -> None:
    found = threshold(torch.tensor(scores, dtype=torch.float32), rate)
    array = np.array(scores)
    assert (array > found).mean() <= rate + 1e-12
    assert found in array
    assert (array >= found).mean() > rate


def test_images_of_unseen_classes_are_the_strangers_where_there_are_some() -> None:
    """And false rejects are of the other classes alone."""
    labels = torch.tensor([0] * 100 + [1] * 100 + [7] * 200)
    alike = np.concatenate([np.linspace(0.5, 0.99, 200), np.linspace(0, 0.8, 200)])
    typicality = torch.zeros(400, 10)
    typicality[range(400), torch.arange(400) % 2] = torch.from_numpy(alike).float()
    points = operating_points(typicality, labels, (7,))
    assert tuple(point.far for point in points) == RATES
    for point in points:
        assert point.false_accepts == (alike[200:] > point.threshold + 1e-6).mean() <= point.far
        assert point.false_rejects == (alike[:200] <= point.threshold + 1e-6).mean()
    assert points[-1].threshold == pytest.approx(0.4, abs=0.01)


def test_own_class_is_taken_for_a_stranger_where_none_is_unseen() -> None:
    """However typical of it an image is, only how typical it is of others is counted."""
    typicality = torch.full((100, 10), 0.2)
    typicality[:, 3] = 0.9
    typicality[:, 5] = torch.linspace(0.3, 0.7, 100)
    points = operating_points(typicality, torch.full((100,), 3), ())
    assert points[-1].threshold == pytest.approx(0.5, abs=0.01)
    assert all(point.false_rejects == 0 for point in points)
