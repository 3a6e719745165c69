"""Images turned and mirrored are what numpy makes of them, and classes of their own."""

import numpy as np
import pytest
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.data.extra_classes import trained_classes, turned

COUNT = {"none": 1, "quarters": 4, "mirrored": 8}


@pytest.fixture
def images() -> Split:
    """Three images of each class."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (30, 28, 28), generator=random, dtype=torch.uint8)
    return Split(pixels, torch.arange(30) % 10)


@pytest.mark.parametrize("kind", COUNT)
def test_images_are_turned_then_labels_tell_the_turns_apart(kind: str, images: Split) -> None:
    config = Config(dataset="kmnist", turned=kind)
    found = turned(images, config)
    assert len(found) == 30 * COUNT[kind]
    assert trained_classes(config) == tuple(range(10 * COUNT[kind]))
    for place, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        turn, source = divmod(place, 30)
        wanted = images.images[source].numpy()
        wanted = np.rot90(np.fliplr(wanted) if turn >= 4 else wanted, turn % 4)
        assert np.array_equal(image.numpy(), wanted)
        assert label == source % 10 + 10 * turn


def test_nothing_is_copied_where_nothing_is_turned(images: Split) -> None:
    assert turned(images, Config(dataset="mnist")) is images


@pytest.mark.parametrize("kind", ["quarters", "mirrored"])
def test_digits_that_look_alike_in_two_turns_are_one_class_in_these(
    kind: str, images: Split
) -> None:
    config = Config(dataset="digits", turned=kind, unseen="2,3")
    seen = images.where((images.labels != 2) & (images.labels != 3))
    of_turns = turned(seen, config).labels.view(COUNT[kind], -1)
    for label in config.seen_classes:
        turns = of_turns[:, seen.labels == label]
        assert (turns == turns[:, :1]).all()
        looks = len(turns[:, 0].unique())
        if label == 0:
            assert looks == 1
        elif label in (1, 8):
            assert turns[0, 0] == turns[2, 0] != turns[1, 0] == turns[3, 0]
            assert looks == (2 if label == 8 else COUNT[kind] // 2)
        else:
            assert looks == COUNT[kind]
    assert trained_classes(config) == tuple(of_turns.unique().tolist())
