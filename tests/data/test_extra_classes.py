"""Extra classes to train on: turned images, halves of two, and characters drawn at random."""

import numpy as np
import pytest
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import (
    IMAGES,
    halves,
    invented,
    trained_classes,
    turned,
    with_extra_classes,
)

TURNS = {"none": 1, "quarters": 4, "mirrored": 8}


@pytest.fixture
def images() -> Split:
    """200 images of ten classes: noise, but each begins and ends with its number."""
    numbers = torch.arange(200)
    pixels = torch.randint(256, (200, 28, 28), dtype=torch.uint8)
    pixels[:, 0, 0] = pixels[:, 27, 27] = numbers.byte()
    return Split(pixels, numbers % 10)


@pytest.mark.parametrize("kind", TURNS)
def test_images_are_turned_and_labels_tell_the_turns_apart(kind: str, images: Split) -> None:
    config = Config(dataset="kmnist", turned=kind)
    found = turned(images, config)
    assert len(found) == 200 * TURNS[kind]
    assert trained_classes(config) == tuple(range(10 * TURNS[kind]))
    for place, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        turn, source = divmod(place, 200)
        wanted = images.images[source].numpy()
        wanted = np.rot90(np.fliplr(wanted) if turn >= 4 else wanted, turn % 4)
        assert np.array_equal(image.numpy(), wanted)
        assert label == source % 10 + 10 * turn


@pytest.mark.parametrize("kind", ["quarters", "mirrored"])
def test_digits_that_look_alike_in_two_turns_are_one_class_in_these(
    kind: str, images: Split
) -> None:
    config = Config(dataset="digits", turned=kind, unseen="2,3")
    seen = images.where((images.labels != 2) & (images.labels != 3))
    of_turns = turned(seen, config).labels.view(TURNS[kind], -1)
    for label in config.seen_classes:
        turns = of_turns[:, seen.labels == label]
        assert (turns == turns[:, :1]).all()
        looks = len(turns[:, 0].unique())
        if label in (1, 8):
            assert turns[0, 0] == turns[2, 0] != turns[1, 0] == turns[3, 0]
        assert looks == {0: 1, 8: 2, 1: TURNS[kind] // 2}.get(label, TURNS[kind])
    assert trained_classes(config) == tuple(of_turns.unique().tolist())


def test_halves_are_of_two_classes_and_labelled_by_both(images: Split) -> None:
    found = halves(images, 100, seed=3)
    assert len(found) == 200
    lower_halves = found.images[:, 27, 27].tolist()
    for upper, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        lower = lower_halves[upper]
        assert torch.equal(image[:14], images.images[upper, :14])
        assert torch.equal(image[14:], images.images[lower, 14:])
        assert upper % 10 != lower % 10
        assert label == 100 + 100 * (upper % 10) + lower % 10
    assert len(set(lower_halves)) > 100  # of many images, and
    assert len(set(found.labels.tolist())) > 70  # of most of the 90 pairs


def test_halves_and_characters_are_of_the_seed(images: Split) -> None:
    for draw in (lambda seed: halves(images, 100, seed), lambda seed: invented(3, 0, seed)):
        first, again, other = draw(0), draw(0), draw(1)
        assert torch.equal(first.images, again.images)
        assert not torch.equal(first.images, other.images)


def test_characters_are_ink_in_the_middle_and_similar_within_a_class() -> None:
    found = invented(30, 7, seed=0)
    assert found.images.shape == (30 * IMAGES, 28, 28)
    assert found.images.dtype == torch.uint8
    assert found.labels.tolist() == [7 + place // IMAGES for place in range(30 * IMAGES)]
    ink = found.images.float() / 255
    assert (ink.amax((1, 2)) == 1).all()
    share = ink.mean((1, 2))
    assert ((share > 0.01) & (share < 0.5)).all()
    spans = []
    for lines in (ink.amax(2) > 0.5, ink.amax(1) > 0.5):
        assert not lines[:, :2].any()
        assert not lines[:, -2:].any()
        first, last = lines.float().argmax(1), lines.flip(1).float().argmax(1)
        spans.append(lines.shape[1] - last - first)
    longer = torch.maximum(*spans)
    assert ((longer >= 18) & (longer <= 24)).all()
    flat = torch.nn.functional.normalize(ink.flatten(1) - ink.flatten(1).mean(0))
    cosines = flat @ flat.T
    same = found.labels[:, None] == found.labels
    others = same & ~torch.eye(len(same), dtype=torch.bool)
    assert cosines[others].mean() > cosines[~same].mean() + 0.3
    assert (cosines[others] < 0.9999).all()


def test_extra_classes_come_after_the_images_as_they_are(images: Split) -> None:
    config = Config(dataset="kmnist", unseen="0,1", halves=True, invented=5, turned="quarters")
    seen = images.where(images.labels > 1)
    found = with_extra_classes(seen, config)
    assert torch.equal(found.images[: len(seen)], seen.images)
    assert torch.equal(found.labels[: len(seen)], seen.labels)
    assert len(found) == 2 * 4 * len(seen) + 5 * IMAGES
    classes = trained_classes(config)
    assert len(classes) == 32 + 32 * 31 + 5 == len(set(classes))
    assert list(classes) == sorted(classes)
    # a pair of classes may have been drawn for no image
    assert set(found.labels.tolist()) <= set(classes)
    of_turns, last = found.labels[found.labels < 80], found.labels[-5 * IMAGES :]
    assert of_turns.unique().numel() == 32
    assert len(of_turns) == 4 * len(seen)
    assert last.unique().tolist() == list(classes[-5:])
    assert last.min() > found.labels[: -5 * IMAGES].max()


def test_nothing_is_copied_without_extra_classes(images: Split) -> None:
    assert with_extra_classes(images, Config(dataset="mnist")) is images
