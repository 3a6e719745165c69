"""Characters that nobody writes, drawn at random, as classes of their own to learn from.

A character is one to three strokes, each a cubic Bézier curve between random points. Its images
differ as handwriting does: the points have moved a little, and the pen is wider or finer.
"""

import torch
from torch import Tensor

from circlemnist.config import SIDE
from circlemnist.data.datasets import Split

IMAGES = 40  # of a character
STROKES, POINTS, DOTS = 3, 4, 25  # at most; that span a curve; that a curve is drawn with
UNSTEADY = 0.12  # standard deviation of a point about its place in a character, which spans ±1
BOX = 18.0  # pixels, of the larger side of a character's curves
PEN = (1.0, 1.7)  # radius in pixels
EDGE = 0.8  # pixels beyond the radius in which ink fades, half of them within 0.3
REACH = 3  # pixels about a dot that it may ink
BLOCK = 500


def invented(count: int, first_label: int, seed: int) -> Split:
    """Draw `IMAGES` images of each of `count` characters, on the CPU.

    Args:
        first_label: the label of the first character; the others follow it.
        seed: of the characters and of their images; the same seed gives the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    skeletons = 2 * torch.rand(count, STROKES, POINTS, 2, generator=generator) - 1
    strokes = torch.randint(1, STROKES + 1, (count, 1), generator=generator)
    # one that has fewer draws its last stroke again
    drawn = torch.arange(STROKES).minimum(strokes - 1)  # (count, STROKES)
    of_image = torch.arange(count).repeat_interleave(IMAGES)
    images = []
    for block in of_image.split(BLOCK):
        moved = UNSTEADY * torch.randn(len(block), STROKES, POINTS, 2, generator=generator)
        points = skeletons[block] + moved
        points = points.take_along_dim(drawn[block][..., None, None], 1)
        radius = torch.empty(len(block)).uniform_(*PEN, generator=generator)
        images.append(_inked(_curves(points), radius))
    return Split(torch.cat(images), first_label + of_image)


def _curves(points: Tensor) -> Tensor:
    """The dots of the curves, in pixels, in the middle of the image: (B, STROKES·DOTS, 2)."""
    t = torch.linspace(0, 1, DOTS)
    bernstein = torch.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    dots = (bernstein @ points).flatten(1, 2)
    least, most = dots.amin(1, keepdim=True), dots.amax(1, keepdim=True)
    span = (most - least).amax(2, keepdim=True)
    return (dots - (least + most) / 2) * (BOX / span) + (SIDE - 1) / 2


def _inked(dots: Tensor, radius: Tensor) -> Tensor:
    """Images (B, 28, 28) uint8 of dots (B, T, 2) in pixels, drawn with a pen of radius (B,)."""
    steps = torch.arange(-REACH, REACH + 1)
    around = torch.cartesian_prod(steps, steps)  # (A, 2)
    pixels = dots.round().long()[:, :, None] + around  # (B, T, A, 2)
    distance = (dots[:, :, None] - pixels).norm(dim=3)
    ink = (radius[:, None, None] + EDGE - distance).clamp(0, 1)
    pixels = pixels.clamp(0, SIDE - 1)
    place = (pixels[..., 1] * SIDE + pixels[..., 0]).flatten(1)
    canvas = torch.zeros(len(dots), SIDE * SIDE).scatter_reduce_(1, place, ink.flatten(1), "amax")
    return (255 * canvas).round().to(torch.uint8).view(-1, SIDE, SIDE)
