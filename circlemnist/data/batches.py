"""The batches of an epoch, and the random augmentation of one; each draws from a Generator."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 10.0
SCALE = 0.1
SHEAR = 0.1
SHIFT = 1.5
KNOTS = 5  # a side, of the grid that bends


def batches(size: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Return one epoch of batches: a random order of `size` indices, (steps, batch_size) int64.

    The remainder that fills no batch is left out, other images every epoch.
    """
    steps = size // batch_size
    return torch.randperm(size, generator=generator)[: steps * batch_size].view(steps, batch_size)


def balanced_batches(
    labels: Tensor, classes: int, batch_size: int, generator: torch.Generator
) -> Tensor:
    """Return one epoch of batches of P classes with K images each, (steps, P·K) int64.

    A batch draws its classes without repeats. A class is drawn with a probability proportional to
    its number of images, among the classes left; so the images of a very large class are seen less
    often than others. The images of a class come in a random order. When it is used up, which may
    be within a batch, a new order begins.

    P is `classes`, at most those in `labels` (N,); P·K is `batch_size`.
    """
    present, sizes = labels.unique(return_counts=True)
    steps, k = len(labels) // batch_size, batch_size // classes
    # the first of exponential waits for each class, the shorter the more images it has
    waits = -torch.rand(steps, len(present), generator=generator).log() / sizes
    chosen = waits.topk(classes, largest=False).indices.flatten()  # (steps * P,)
    order = torch.empty(steps * classes, k, dtype=torch.int64)
    for number, label in enumerate(present):
        mine = chosen == number
        images = (labels == label).nonzero()[:, 0]
        count, size = int(mine.sum()) * k, len(images)
        rounds = max(-(-count // size), 1)
        orders = [torch.randperm(size, generator=generator) for _ in range(rounds)]
        order[mine] = images[torch.cat(orders)[:count]].view(-1, k)
    return order.view(steps, batch_size)


def random_affine(images: Tensor, generator: torch.Generator, elastic: float = 0.0) -> Tensor:
    """Rotate, scale, shear and shift each image by random amounts of its own, and bend it.

    The amounts are uniform in ±`ROTATION` degrees, 1 ± `SCALE`, ±`SHEAR` (pixels sideways per pixel
    of height) and ±`SHIFT` pixels in x and y, of the grid that samples the image: with the zoom and
    the rotation the image itself moves by up to 2. Pixels from outside the image are 0.

    Bending is the elastic distortion of Simard et al., "Best Practices for Convolutional Neural
    Networks Applied to Visual Document Analysis", ICDAR 2003, with a bicubic interpolation of a
    coarse grid of random shifts in place of the blur of a fine one.

    Args:
        images: (B, 1, S, S) float.
        generator: on the CPU, so that a seed means the same everywhere.
        elastic: standard deviation, in pixels, of the shifts of the grid that bends; 0 for none.
    """
    amounts = torch.rand(5, len(images), generator=generator).mul_(2).sub_(1)  # (5, B) in ±1
    rotation, scale, shear, shift_x, shift_y = amounts.to(images, non_blocking=True)
    angle = rotation * math.radians(ROTATION)
    zoom = 1 + scale * SCALE
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    side = images.shape[-1]
    pixel = 2 / side  # the sampling grid spans -1 to 1
    row_x = torch.stack([cos, shear * SHEAR * cos - sin, shift_x * SHIFT * pixel], 1)
    row_y = torch.stack([sin, shear * SHEAR * sin + cos, shift_y * SHIFT * pixel], 1)
    weights = torch.stack([row_x, row_y], 1)  # (B, 2, 3)
    if elastic:
        knots = torch.randn(len(images), 2, KNOTS**2, generator=generator) * (elastic * pixel)
        weights = torch.cat([weights, knots.to(images, non_blocking=True)], 2)
    fields = _fields(side, images.device, images.dtype)[: weights.shape[2]]
    # one product, in a tenth of the time of F.affine_grid and F.interpolate
    grid = (weights @ fields).view(-1, 2, side, side)
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)


@lru_cache
def _fields(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What a sampling grid is a sum of: x, y, 1, and the bump of each knot; (3 + KNOTS², S²)."""
    x = ((torch.arange(side) + 0.5) * 2 / side - 1).expand(side, side)
    bumps = F.interpolate(
        torch.eye(KNOTS**2).view(-1, 1, KNOTS, KNOTS), size=(side, side), mode="bicubic"
    )
    fields = torch.cat([torch.stack([x, x.T, torch.ones(side, side)]), bumps[:, 0]])
    return fields.flatten(1).to(device, dtype)
