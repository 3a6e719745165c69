"""Random augmentation of a whole batch, image by image; pure functions with a Generator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 10.0
SCALE = 0.1
SHEAR = 0.1
SHIFT = 1.5


def random_affine(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale, shear and shift each image by amounts of its own.

    Each amount is uniform in ±`ROTATION` degrees, 1 ± `SCALE`, ±`SHEAR` (pixels sideways a pixel
    of height) and ±`SHIFT` pixels in x and y; what comes in from outside the image is 0.

    Args:
        images: (B, 1, H, W) float.
        generator: source of the amounts, on the CPU, so that a seed means the same everywhere.

    Returns:
        (B, 1, H, W) of the same dtype and device.
    """
    amounts = torch.rand(5, len(images), generator=generator).mul_(2).sub_(1)  # (5, B) in ±1
    rotation, scale, shear, shift_x, shift_y = amounts.to(images)
    angle = rotation * math.radians(ROTATION)
    zoom = 1 + scale * SCALE
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    pixel = 2 / images.shape[-1]  # the sampling grid spans -1 to 1
    row_x = torch.stack([cos, shear * SHEAR * cos - sin, shift_x * SHIFT * pixel], 1)
    row_y = torch.stack([sin, shear * SHEAR * sin + cos, shift_y * SHIFT * pixel], 1)
    grid = F.affine_grid(
        torch.stack([row_x, row_y], 1), list(images.shape), align_corners=False
    )  # (B, H, W, 2)
    return F.grid_sample(images, grid, align_corners=False)
