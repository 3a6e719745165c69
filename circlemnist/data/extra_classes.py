"""Extra classes to train on, beside those of the data set: shapes that no class has.

- turned: every image in several turns, also mirrored. Some turns look like another digit: a 6
  half turned like a 9, a 2 mirrored much like a 5.
- halves: the upper half of an image above the lower half of an image of another class.
- invented: characters drawn at random. A character is one to three strokes, each a cubic Bézier
  curve between random points. Its images differ as handwriting does: the points have moved a
  little, and the pen is wider or finer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from circlemnist.catalog import CATALOG
from circlemnist.config import SIDE, TURNS, Config
from circlemnist.data.datasets import Split

# digits that look alike in several turns: for each turn, the first turn that it looks like
ALIKE = {0: (0, 0, 0, 0, 0, 0, 0, 0), 1: (0, 1, 0, 1, 4, 5, 4, 5), 8: (0, 1, 0, 1, 0, 1, 0, 1)}

IMAGES = 40  # of an invented character
STROKES, POINTS, DOTS = 3, 4, 25  # at most; that span a curve; that a curve is drawn with
UNSTEADY = 0.12  # standard deviation of a point about its place in a character, which spans ±1
BOX = 18.0  # pixels, of the larger side of a character's curves
PEN = (1.0, 1.7)  # radius in pixels
EDGE = 0.8  # pixels beyond the radius in which ink fades, half of them within 0.3
REACH = 3  # pixels about a dot that it may ink
BLOCK = 500


def with_extra_classes(split: Split, config: Config) -> Split:
    """Return training images in all turns, as many of two halves of these, and invented ones.

    It is the split itself where the settings, resolved for its data set, name no extra classes.
    """
    parts = [turned(split, config)]
    if config.halves:
        parts.append(halves(parts[0], _first_half(config), config.seed))
    if config.invented:
        parts.append(invented(config.invented, _first_invented(config), config.seed))
    if len(parts) == 1:
        return parts[0]
    return Split(
        torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    )


def _first_half(config: Config) -> int:
    """Return the first label of halves; the label of class c of C in a turn is c + C·turn."""
    return len(config.class_names) * max(TURNS.values())


def _first_invented(config: Config) -> int:
    return _first_half(config) * (1 + _first_half(config))


def trained_classes(config: Config) -> tuple[int, ...]:
    """Return all labels that are trained on, ascending: of seen and of extra classes."""
    classes = set(_turned_labels(config)[:, list(config.seen_classes)].flatten().tolist())
    if config.halves:
        first = _first_half(config)
        classes |= {first + first * a + b for a in classes for b in classes if a != b}
    classes |= set(range(_first_invented(config), _first_invented(config) + config.invented))
    return tuple(sorted(classes))


def objective_name(name: str, classes: Sequence[int]) -> str:
    """Return the name of a loss and its classes, as the state of an `Objective` keeps them."""
    ten = tuple(classes) == tuple(range(10))  # MNIST's, by which the state has always been named
    return name if ten else f"{name} of {','.join(map(str, classes))}"


def check_objective(state: object, wanted: str) -> None:
    """Raise ValueError where the state of an `Objective` is not of the wanted loss and classes."""
    if state != wanted:
        raise ValueError(f"the state is of the loss {state}, not {wanted}")


def turned(split: Split, config: Config) -> Split:
    """Return the images in 4 or 8 turns, turn after turn; the split itself where there are none.

    The label of class c of C in turn t is c + C·t, or that of an earlier turn that looks alike.
    """
    turns = TURNS[config.turned]
    if turns == 1:
        return split
    sides = (split.images, split.images.flip(-1))
    images = [sides[turn // 4].rot90(turn % 4, (-2, -1)) for turn in range(turns)]
    return Split(torch.cat(images), _turned_labels(config)[:, split.labels].flatten())


def _turned_labels(config: Config) -> Tensor:
    """The label of each class in each turn, (turns, C) int64."""
    classes = len(config.class_names)
    turns = torch.arange(TURNS[config.turned])[:, None].repeat(1, classes)
    if config.dataset in CATALOG and CATALOG[config.dataset].is_digits:
        for label, alike in ALIKE.items():
            turns[:, label] = torch.tensor(alike[: len(turns)])
    return torch.arange(classes) + classes * turns


def halves(split: Split, first_label: int, seed: int) -> Split:
    """Return the upper half of each image above a random lower half of another class.

    The label of class a above class b is `first_label`·(1 + a) + b.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = split.labels.cpu()
    lower = torch.empty_like(labels)
    for label in labels.unique():
        upper, others = (labels == label).nonzero()[:, 0], (labels != label).nonzero()[:, 0]
        lower[upper] = others[torch.randint(len(others), (len(upper),), generator=generator)]
    images = split.images.clone()
    images[:, SIDE // 2 :] = split.images[lower, SIDE // 2 :]
    return Split(images, first_label * (1 + split.labels) + split.labels[lower])


def invented(count: int, first_label: int, seed: int) -> Split:
    """Draw `IMAGES` images of each of `count` characters; their labels begin with `first_label`."""
    generator = torch.Generator().manual_seed(seed)
    skeletons = 2 * torch.rand(count, STROKES, POINTS, 2, generator=generator) - 1
    strokes = torch.randint(1, STROKES + 1, (count, 1), generator=generator)
    # a character of fewer strokes draws its last stroke again
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
