"""The order of batches: random, without repeats, or balanced over classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circlemnist.data.batches import balanced_batches, batches


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batches_are_a_random_order_without_repeats() -> None:
    order = batches(103, 10, seeded())
    assert order.shape == (10, 10)
    assert len(order.unique()) == 100
    assert torch.equal(order, batches(103, 10, seeded()))
    assert not torch.equal(order, batches(103, 10, seeded(1)))


@given(st.lists(st.integers(1, 40), min_size=2, max_size=10), st.data(), st.integers(0, 2**32 - 1))
def test_balanced_batches_hold_k_images_of_each_of_p_classes(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    p = data.draw(st.integers(1, len(sizes)))
    k = data.draw(st.integers(1, max(len(labels) // p, 1)))
    order = balanced_batches(labels, p, p * k, seeded(seed))
    assert order.shape == (len(labels) // (p * k), p * k)
    for batch in labels[order]:
        assert batch.unique(return_counts=True)[1].tolist() == [k] * p


def test_balanced_batches_use_up_every_class_before_they_repeat_an_image() -> None:
    labels = torch.arange(10).repeat(20)
    order = balanced_batches(labels, 10, 50, seeded())
    assert torch.equal(order.flatten().sort().values, torch.arange(200))
    assert not torch.equal(order, balanced_batches(labels, 10, 50, seeded(1)))


def test_batches_are_drawn_from_their_generator_alone() -> None:
    before = torch.get_rng_state()
    balanced_batches(torch.arange(10).repeat(20), 5, 50, seeded())
    batches(100, 10, seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_classes_are_drawn_as_often_as_they_have_images() -> None:
    """Of many classes, so that one is seldom left out for being in the batch already."""
    sizes = np.array([100] * 40 + [400] * 10)
    labels = torch.arange(50).repeat_interleave(torch.from_numpy(sizes))
    order = torch.cat([balanced_batches(labels, 2, 4, seeded(seed)) for seed in range(10)])
    counts = np.bincount(labels[order.flatten()], minlength=50)
    assert counts[40:].mean() / counts[:40].mean() == pytest.approx(4, rel=0.1)
    assert counts.sum() == order.numel()
