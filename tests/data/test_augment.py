"""Augmentation: image by image, seeded, small."""

import pytest
import torch
import torch.nn.functional as F

from circlemnist.data import batches
from circlemnist.data.batches import random_affine


def blob(batch: int) -> torch.Tensor:
    images = torch.zeros(batch, 1, 28, 28)
    images[:, :, 10:18, 10:18] = 1
    return images


def test_each_image_moves_a_little_by_amounts_of_its_own() -> None:
    images = random_affine(blob(256), torch.Generator().manual_seed(0))
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


def test_bending_moves_points_by_its_pixels_and_smoothly() -> None:
    ramp = torch.arange(28.0).expand(400, 1, 28, 28) / 28
    images = random_affine(ramp, torch.Generator().manual_seed(0), elastic=0.5)
    plain = random_affine(ramp, torch.Generator().manual_seed(0))
    moved = 28 * (images - plain)[:, 0, 8:20, 8:20]  # pixels, away from the edges
    assert 0.25 < moved.std() < 0.6
    assert (moved.diff(dim=2).abs() < 0.8).all()
    assert not torch.allclose(moved[0], moved[1])


def test_no_bending_draws_no_numbers() -> None:
    first, second = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
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
    images, generator = torch.rand(6, 1, 28, 28), torch.Generator().manual_seed(0)
    moved = random_affine(images, torch.Generator().manual_seed(0), elastic=0.5)
    rotation, scale, shear, *shift = torch.rand(5, 6, generator=generator) * 2 - 1
    angle, zoom = torch.deg2rad(rotation * batches.ROTATION), 1 + scale * batches.SCALE
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(6, 2, 2)
    slant = torch.eye(2).repeat(6, 1, 1)
    slant[:, 0, 1] = shear * batches.SHEAR
    pixel = 2 / 28
    offset = torch.stack(shift, 1)[:, :, None] * batches.SHIFT * pixel
    theta = torch.cat([turn @ slant / zoom[:, None, None], offset], 2)
    grid = F.affine_grid(theta, [6, 1, 28, 28], align_corners=False)
    knots = torch.randn(6, 2, batches.KNOTS, batches.KNOTS, generator=generator) * 0.5 * pixel
    grid += F.interpolate(knots, (28, 28), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    torch.testing.assert_close(moved, F.grid_sample(images, grid, align_corners=False))
