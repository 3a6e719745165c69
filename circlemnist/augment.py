"""Random augmentation of a whole batch, image by image; pure functions with a Generator."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = 10.0
SCALE = 0.1
SHEAR = 0.1
SHIFT = 1.5
KNOTS = 5  # a side, of the grid that bends


def random_affine(images: Tensor, generator: torch.Generator, elastic: float = 0.0) -> Tensor:
    """Rotate, scale, shear and shift each image by amounts of its own, and bend it.

    Each of these amounts is uniform in ±`ROTATION` degrees, 1 ± `SCALE`, ±`SHEAR` (pixels sideways
    a pixel of height) and ±`SHIFT` pixels in x and y; what comes in from outside is 0.

    Bending is the elastic distortion of Simard et al., "Best Practices for Convolutional Neural
    Networks Applied to Visual Document Analysis", ICDAR 2003, with a bicubic interpolation of a
    coarse grid of random shifts in place of the blur of a fine one.

    Args:
        images: (B, 1, H, W) float.
        generator: source of the amounts, on the CPU, so that a seed means the same everywhere.
        elastic: standard deviation, in pixels, of the shifts that bend; 0 for none.

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
    if elastic:
        knots = torch.randn(len(images), 2, KNOTS, KNOTS, generator=generator).to(images)
        bend = F.interpolate(
            knots * (elastic * pixel), size=images.shape[-2:], mode="bicubic", align_corners=False
        )
        grid = grid + bend.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)
