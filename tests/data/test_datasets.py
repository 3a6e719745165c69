"""The data sets as tensors: digits, the validation set, and the classes left out."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.errors import SettingError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", Path("unused"))


def test_digits_are_those_of_scikit_learn_in_their_order(digits: Dataset) -> None:
    """The last 360 are the test split: they are mostly by other writers."""
    source = load_digits()
    assert digits.train.images.shape == (1437, 28, 28)
    assert digits.test.images.shape == (360, 28, 28)
    for split, place in ((digits.train, 0), (digits.test, 1437)):
        assert split.images.dtype == torch.uint8
        assert split.labels.tolist() == source.target[place : place + len(split)].tolist()
        small = torch.tensor(source.images[place : place + len(split)] / 16 * 255)[:, None]
        large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")[:, 0]
        assert (split.images.double() - large).abs().max() <= 0.51


def labelled(count: int) -> Split:
    """Images that carry their label in one pixel, and their place in two others."""
    labels = torch.randint(10, (count,), generator=torch.Generator().manual_seed(0))
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    images[:, 3, 5] = labels.byte()
    images[:, 0, 0], images[:, 0, 1] = torch.arange(count) // 256, torch.arange(count) % 256
    return Split(images, labels)


def places(split: Split) -> list[int]:
    """The places of the images, whose labels have travelled with them."""
    assert torch.equal(split.images[:, 3, 5].long(), split.labels)
    return (256 * split.images[:, 0, 0].int() + split.images[:, 0, 1].int()).tolist()


def test_validation_images_are_the_last_of_the_training_split(digits: Dataset) -> None:
    held = Dataset("digits", labelled(300), labelled(100)).hold_out(120)
    assert places(held.train) == [*range(180)]
    assert places(held.test) == [*range(180, 300)]
    assert (held.name, held.split_name) == ("digits", "validation")
    assert digits.split_name == "test"
    assert digits.hold_out(0) is digits
    for count in (100, 1337):
        assert len(digits.hold_out(count).test) == count
    for count in (1, 99, 1338, 1437):
        with pytest.raises(SettingError, match="holdout"):
            digits.hold_out(count)


def test_images_and_labels_move_together() -> None:
    moved = labelled(30).to(torch.device("meta"))
    assert moved.images.device == moved.labels.device == torch.device("meta")


def test_classes_left_out_keep_their_labels_and_leave_training_alone() -> None:
    whole = Dataset("digits", labelled(600), labelled(100))
    left = whole.leave_out((3, 0))
    assert left.unseen is not None
    out = [place for place, label in enumerate(whole.train.labels) if label in (0, 3)]
    assert places(left.unseen) == out
    assert places(left.train) == sorted({*range(600)} - {*out})
    assert left.test is whole.test
    assert left.split_name == "test"
    assert whole.leave_out(()) is whole
    held = whole.hold_out(100).leave_out((5,))
    assert held.split_name == "validation"
    assert places(held.test) == [*range(500, 600)]
    assert 5 not in held.train.labels


@pytest.mark.parametrize(("train", "test"), [(195, 100), (300, 19)])
def test_classes_are_not_left_out_of_too_few_images(train: int, test: int) -> None:
    parts = [
        Split(torch.zeros(n, 28, 28, dtype=torch.uint8), torch.arange(n) % 10)
        for n in (train, test)
    ]
    with pytest.raises(SettingError, match=r"images or more of each class, and \d has (19|1)"):
        Dataset("digits", *parts).leave_out((1,))


def test_checksum_tells_data_sets_apart(digits: Dataset) -> None:
    assert digits.checksum() == load_dataset("digits", Path("unused")).checksum()
    assert digits.checksum() != digits.hold_out(100).checksum()
