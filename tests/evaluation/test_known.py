"""Known or unknown: what a threshold lets through."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist.evaluation.known import threshold, without_own_class
from circlemnist.evaluation.similarity import COSINE, DISTANCE, Similarity


@pytest.mark.parametrize("similarity", [COSINE, DISTANCE])
def test_image_is_as_alike_as_the_nearest_of_another_class(similarity: Similarity) -> None:
    x = torch.nn.functional.normalize(torch.randn(70, 5))
    labels = torch.arange(70) % 4
    (queries, gallery), (of_queries, of) = x.split([40, 30]), labels.split([40, 30])
    found = without_own_class((queries, of_queries), (gallery, of), similarity)
    for i in range(40):
        others = [
            float(queries[i] @ gallery[j])
            if similarity is COSINE
            else -float((queries[i] - gallery[j]).norm())
            for j in range(30)
            if of[j] != of_queries[i]
        ]
        assert float(found[i]) == pytest.approx(max(others), abs=1e-5)


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
