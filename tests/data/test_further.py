"""Further classes to train on: halves of two images, and characters drawn at random."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circlemnist.config import Config
from circlemnist.data.batches import balanced_batches
from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import (
    IMAGES,
    halves,
    invented,
    trained_classes,
    with_further_classes,
)


@pytest.fixture
def images() -> Split:
    """200 images of ten classes, each pixel of which is the number of the image."""
    numbers = torch.arange(200)
    return Split(numbers.byte()[:, None, None].repeat(1, 28, 28), numbers % 10)


def test_halves_are_of_two_classes_and_labelled_by_both(images: Split) -> None:
    found = halves(images, 100, seed=3)
    assert len(found) == 200
    lower_halves = []
    for place, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        upper, lower = int(image[0, 0]), int(image[27, 27])
        assert upper == place
        assert (image[:14] == upper).all()
        assert (image[14:] == lower).all()
        assert upper % 10 != lower % 10
        assert label == 100 + 80 * (upper % 10) + lower % 10
        lower_halves.append(lower)
    assert len(set(lower_halves)) > 100  # of many images, and
    assert len(set(found.labels.tolist())) > 70  # of most of the 90 pairs


def test_halves_and_characters_are_of_the_seed(images: Split) -> None:
    for draw in (lambda seed: halves(images, 100, seed), lambda seed: invented(3, 0, seed)):
        first, again, other = draw(0), draw(0), draw(1)
        assert torch.equal(first.images, again.images)
        assert not torch.equal(first.images, other.images)


def test_characters_are_ink_in_the_middle_and_alike_within_a_class() -> None:
    found = invented(30, 7, seed=0)
    assert found.images.shape == (30 * IMAGES, 28, 28)
    assert found.images.dtype == torch.uint8
    assert found.labels.tolist() == [7 + place // IMAGES for place in range(30 * IMAGES)]
    ink = found.images.float() / 255
    assert (ink.amax((1, 2)) == 1).all()
    assert (ink.mean((1, 2)) < 0.5).all()
    assert (ink.mean((1, 2)) > 0.01).all()
    rows, columns = ink.amax(2) > 0.5, ink.amax(1) > 0.5
    for lines in (rows, columns):
        assert not lines[:, :2].any()
        assert not lines[:, -2:].any()
    spans = torch.maximum(_span(rows), _span(columns))
    assert ((spans >= 18) & (spans <= 24)).all()
    flat = torch.nn.functional.normalize(ink.flatten(1) - ink.flatten(1).mean(0))
    cosines = flat @ flat.T
    like = found.labels[:, None] == found.labels
    others = like & ~torch.eye(len(like), dtype=torch.bool)
    assert cosines[others].mean() > cosines[~like].mean() + 0.3
    assert (cosines[others] < 0.9999).all()


def _span(lines: torch.Tensor) -> torch.Tensor:
    first = lines.float().argmax(1)
    return lines.shape[1] - lines.flip(1).float().argmax(1) - first


def test_further_classes_come_after_the_images_as_they_are(images: Split) -> None:
    config = Config(dataset="kmnist", unseen="0,1", halves=True, invented=5, turned="quarters")
    seen = images.where(images.labels > 1)
    found = with_further_classes(seen, config)
    assert torch.equal(found.images[: len(seen)], seen.images)
    assert torch.equal(found.labels[: len(seen)], seen.labels)
    assert len(found) == 2 * 4 * len(seen) + 5 * IMAGES
    classes = trained_classes(config)
    assert len(classes) == 32 + 32 * 31 + 5 == len(set(classes))
    assert list(classes) == sorted(classes)
    # a pair of classes may have been drawn for no image
    assert set(found.labels.tolist()) <= set(classes)
    of_one, last = found.labels[found.labels < 80], found.labels[-5 * IMAGES :]
    assert of_one.unique().numel() == 32
    assert len(of_one) == 4 * len(seen)
    assert last.unique().tolist() == list(classes[-5:])
    assert last.min() > found.labels[: -5 * IMAGES].max()


def test_nothing_is_copied_without_further_classes(images: Split) -> None:
    assert with_further_classes(images, Config(dataset="mnist")) is images


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=8), st.data())
def test_batches_are_of_p_classes_with_k_images_each(sizes: list[int], data: st.DataObject) -> None:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    p = data.draw(st.integers(2, len(sizes)))
    k = data.draw(st.integers(2, 4))
    order = balanced_batches(labels, p, p * k, torch.Generator().manual_seed(0))
    assert order.shape == (len(labels) // (p * k), p * k)
    for batch in order:
        assert labels[batch].unique(return_counts=True)[1].tolist() == [k] * p


def test_classes_are_drawn_as_often_as_they_have_images() -> None:
    """Of many classes, so that one is seldom left out for being in the batch already."""
    sizes = np.array([100] * 40 + [400] * 10)
    labels = torch.arange(50).repeat_interleave(torch.from_numpy(sizes))
    order = torch.cat(
        [balanced_batches(labels, 2, 4, torch.Generator().manual_seed(s)) for s in range(10)]
    )
    counts = np.bincount(labels[order.flatten()], minlength=50)
    assert counts[40:].mean() / counts[:40].mean() == pytest.approx(4, rel=0.1)
    assert counts.sum() == order.numel()
