"""The order of batches, and their augmentation: image by image, seeded, small."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from circlemnist.data import batches as module
from circlemnist.data.batches import balanced_batches, batches, random_affine


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


def blob(batch: int) -> torch.Tensor:
    images = torch.zeros(batch, 1, 28, 28)
    images[:, :, 10:18, 10:18] = 1
    return images


def test_each_image_moves_a_little_by_amounts_of_its_own() -> None:
    images = random_affine(blob(256), seeded())
    assert images.shape == (256, 1, 28, 28)
    assert not torch.allclose(images[0], images[1])
    assert images.min() >= 0
    assert images.max() <= 1
    ink = images.sum((1, 2, 3))
    assert (ink > 64 * 0.8**2).all()
    assert (ink < 64 * 1.25**2).all()
    x = (images.sum((1, 2)) * torch.arange(28.0)).sum(1) / ink
    assert ((x - 13.5).abs() < 2).all()
    assert x.std() > 0.5


def test_no_bending_draws_no_numbers() -> None:
    first, second = seeded(), seeded()
    assert torch.equal(random_affine(blob(4), first), random_affine(blob(4), second, elastic=0.0))
    assert torch.equal(first.get_state(), second.get_state())


@pytest.mark.parametrize("elastic", [0.0, 0.5])
@pytest.mark.parametrize(("dtype", "device"), [(torch.float64, "cpu"), (torch.float32, "meta")])
def test_images_stay_of_their_dtype_where_they_are(
    dtype: torch.dtype, device: str, elastic: float
) -> None:
    """The amounts are drawn on the CPU; the meta device stands for any other."""
    images = blob(3).to(device, dtype)
    moved = random_affine(images, torch.Generator(), elastic)
    assert (moved.dtype, moved.device, moved.shape) == (dtype, images.device, images.shape)


@pytest.mark.filterwarnings("error")
def test_images_are_those_of_the_library_s_grids() -> None:
    """The grid is made as one product; here from torch's functions for it, from the same draws."""
    images, generator = torch.rand(6, 1, 28, 28), seeded()
    moved = random_affine(images, seeded(), elastic=0.5)
    rotation, scale, shear, *shift = torch.rand(5, 6, generator=generator) * 2 - 1
    angle, zoom = torch.deg2rad(rotation * module.ROTATION), 1 + scale * module.SCALE
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(6, 2, 2)
    slant = torch.eye(2).repeat(6, 1, 1)
    slant[:, 0, 1] = shear * module.SHEAR
    pixel = 2 / 28
    offset = torch.stack(shift, 1)[:, :, None] * module.SHIFT * pixel
    theta = torch.cat([turn @ slant / zoom[:, None, None], offset], 2)
    grid = F.affine_grid(theta, [6, 1, 28, 28], align_corners=False)
    knots = torch.randn(6, 2, module.KNOTS, module.KNOTS, generator=generator) * 0.5 * pixel
    grid += F.interpolate(knots, (28, 28), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    torch.testing.assert_close(moved, F.grid_sample(images, grid, align_corners=False))
