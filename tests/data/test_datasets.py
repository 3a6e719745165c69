"""The data sets as tensors: digits, what is held out and left out, and the order of batches."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from circlemnist.data.batches import balanced_batches, batches
from circlemnist.data.datasets import Dataset, Split, load_dataset
from circlemnist.errors import SettingError


def test_digits_split_keeps_the_last_writers_apart() -> None:
    dataset = load_dataset("digits", Path("unused"))
    assert dataset.train.images.shape == (1437, 28, 28)
    assert dataset.test.images.shape == (360, 28, 28)
    assert dataset.train.images.dtype == dataset.test.images.dtype == torch.uint8
    assert dataset.test.labels.tolist() == load_digits().target[-360:].tolist()
    small = torch.nn.functional.avg_pool2d(dataset.test.images[:, None].float(), 7, 7)
    assert small.max() > 200


def test_held_out_images_are_the_last_of_the_training_split() -> None:
    dataset = load_dataset("digits", Path("unused"))
    held = dataset.hold_out(100)
    assert (len(held.train), len(held.test)) == (1337, 100)
    assert torch.equal(held.test.images, dataset.train.images[-100:])
    assert (held.name, held.measured) == ("digits", "held-out training")
    assert dataset.measured == "test"
    assert len(dataset.hold_out(1337).train) == 100
    assert dataset.hold_out(0) is dataset
    for count in (1, 99, 1338, 1437):
        with pytest.raises(SettingError, match="holdout"):
            dataset.hold_out(count)


def labelled() -> Dataset:
    """A data set whose images carry their label in one pixel, and their place in others."""
    labels = torch.randint(10, (400,), generator=torch.Generator().manual_seed(0))
    images = torch.zeros(400, 28, 28, dtype=torch.uint8)
    images[:, 3, 5] = labels.byte()
    images[:, 0, 0], images[:, 0, 1] = torch.arange(400) // 256, torch.arange(400) % 256
    return Dataset("digits", Split(images[:300], labels[:300]), Split(images[300:], labels[300:]))


def places(split: Split) -> list[int]:
    return (256 * split.images[:, 0, 0].int() + split.images[:, 0, 1].int()).tolist()


def test_images_and_labels_move_together() -> None:
    moved = labelled().train.to(torch.device("meta"))
    assert moved.images.device == moved.labels.device == torch.device("meta")


def test_labels_travel_with_their_images_through_every_split() -> None:
    dataset = labelled()
    held = dataset.hold_out(120)
    for split in (dataset.train, held.train, held.test):
        assert torch.equal(split.images[:, 3, 5].long(), split.labels)
    assert places(held.train) == [*range(180)]
    assert places(held.test) == [*range(180, 300)]


def test_digits_are_those_of_scikit_learn_in_their_order() -> None:
    dataset = load_dataset("digits", Path("unused"))
    source = load_digits()
    for split, place in ((dataset.train, 0), (dataset.test, 1437)):
        for i in (0, 1, len(split) - 1):
            assert split.labels[i] == source.target[place + i]
            small = torch.tensor(source.images[place + i] / 16 * 255, dtype=torch.float32)
            large = torch.nn.functional.interpolate(
                small[None, None], size=(28, 28), mode="bilinear"
            )[0, 0]
            assert (split.images[i].float() - large).abs().max() <= 0.51


def test_classes_left_out_keep_their_labels_and_leave_training_alone() -> None:
    """Each image carries its label in a pixel, and its number in the next."""
    labels = torch.arange(300) % 10

    def split(of: torch.Tensor) -> Split:
        images = torch.zeros(len(of), 28, 28, dtype=torch.uint8)
        images[:, 0, 0], images[:, 0, 1] = of, torch.arange(len(of)) // 10
        return Split(images, of)

    whole = Dataset("digits", split(labels), split(labels[:100]))
    left = whole.leave_out((3, 0))
    assert left.unseen is not None
    for part in (left.train, left.unseen, left.test):
        assert torch.equal(part.images[:, 0, 0].long(), part.labels)
    assert sorted(left.train.labels.unique().tolist()) == [1, 2, 4, 5, 6, 7, 8, 9]
    assert sorted(left.unseen.labels.unique().tolist()) == [0, 3]
    assert (len(left.train), len(left.unseen)) == (240, 60)
    for part in (left.train, left.unseen):  # in the order they had
        assert (part.images[:, 0, 1].diff() >= 0).all()
    assert left.test is whole.test
    assert left.measured == "test"
    assert whole.leave_out(()) is whole
    held = whole.hold_out(100).leave_out((5,))
    assert held.measured == "held-out training"
    assert (len(held.train), len(held.test)) == (180, 100)


@pytest.mark.parametrize(("train", "test"), [(195, 100), (300, 19)])
def test_classes_are_not_left_out_of_too_few_images(train: int, test: int) -> None:
    parts = [
        Split(torch.zeros(n, 28, 28, dtype=torch.uint8), torch.arange(n) % 10)
        for n in (train, test)
    ]
    with pytest.raises(SettingError, match=r"images or more of each class, and \d has (19|1)"):
        Dataset("digits", *parts).leave_out((1,))


def test_checksum_tells_data_sets_apart() -> None:
    dataset = load_dataset("digits", Path("unused"))
    assert dataset.checksum() == load_dataset("digits", Path("unused")).checksum()
    assert dataset.checksum() != dataset.hold_out(100).checksum()


@given(st.lists(st.integers(1, 40), min_size=2, max_size=10), st.data(), st.integers(0, 2**32 - 1))
def test_balanced_batches_hold_k_images_of_each_of_p_classes(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    p = data.draw(st.integers(1, len(sizes)))
    k = data.draw(st.integers(1, max(len(labels) // p, 1)))
    order = balanced_batches(labels, p, p * k, torch.Generator().manual_seed(seed))
    assert order.shape == (len(labels) // (p * k), p * k)
    for batch in labels[order]:
        counts = torch.bincount(batch)
        assert counts[counts > 0].tolist() == [k] * p


def test_balanced_batches_use_up_every_class_before_they_repeat_an_image() -> None:
    labels = torch.arange(10).repeat(20)
    order = balanced_batches(labels, 10, 50, torch.Generator().manual_seed(0))
    assert torch.equal(order.flatten().sort().values, torch.arange(200))
    other = balanced_batches(labels, 10, 50, torch.Generator().manual_seed(1))
    assert not torch.equal(order, other)


def test_batches_are_drawn_from_their_generator_alone() -> None:
    before = torch.get_rng_state()
    balanced_batches(torch.arange(10).repeat(20), 5, 50, torch.Generator().manual_seed(0))
    batches(100, 10, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_a_random_order_without_repeats() -> None:
    order = batches(103, 10, torch.Generator().manual_seed(0))
    assert order.shape == (10, 10)
    assert len(order.unique()) == 100
    again = batches(103, 10, torch.Generator().manual_seed(0))
    other = batches(103, 10, torch.Generator().manual_seed(1))
    assert torch.equal(order, again)
    assert not torch.equal(order, other)
