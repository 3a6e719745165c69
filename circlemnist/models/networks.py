"""The layers of the embedder networks."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from circlemnist.config import SIDE

HIDDEN = 128


class Convolution(NamedTuple):
    """A convolution, whether pooling halves height and width after it, or its stride before.

    The first of a network is not padded: 28 pixels become 24 (12 with stride 2), which halve
    without a remainder, for three quarters of the work. The others keep height and width.
    """

    channels: int
    kernel: int
    pool: bool
    stride: int = 1


PLANS = {
    # 24,500 parameters at D = 64
    "tiny": (Convolution(8, 5, False, 2), Convolution(16, 3, True), Convolution(32, 3, True)),
    # 61,000
    "small": (Convolution(16, 5, True), Convolution(32, 3, True), Convolution(64, 3, True)),
    # 116,000
    "medium": (
        Convolution(16, 5, True),
        Convolution(32, 3, False),
        Convolution(48, 3, True),
        Convolution(96, 3, True),
    ),
    # 331,000
    "large": (
        Convolution(16, 5, True),
        Convolution(48, 3, False),
        Convolution(64, 3, True),
        Convolution(128, 3, False),
        Convolution(128, 3, True),
    ),
}


def convolutions(plan: Sequence[Convolution]) -> tuple[int, list[nn.Module]]:
    """Return how many numbers the layers of a plan give, and the layers, flattened at the end."""
    layers: list[nn.Module] = []
    channels, side = 1, SIDE - plan[0].kernel + 1
    for number, convolution in enumerate(plan):
        padding = convolution.kernel // 2 if number else 0
        layers += _convolution(channels, convolution, padding)
        channels = convolution.channels
        side //= convolution.stride * (2 if convolution.pool else 1)
    return channels * side**2, [*layers, nn.Flatten()]


def hidden(width: int, count: int, dim: int, last_norm: bool) -> list[nn.Module]:
    """Return `count` hidden layers and a projection to the embedding.

    The last BatchNorm has no affine part: it spreads the embeddings over the sphere from the first
    step, where they would otherwise start close together, all cosines near 1.
    """
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Linear(width, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU()]
        width = HIDDEN
    layers.append(nn.Linear(width, dim, bias=False))
    if last_norm:
        layers.append(nn.BatchNorm1d(dim, affine=False))
    return layers


def _convolution(channels: int, convolution: Convolution, padding: int) -> list[nn.Module]:
    """Pooling comes ahead of BatchNorm to spare memory traffic, which is what a CPU waits for."""
    kernel, stride = convolution.kernel, convolution.stride
    return [
        nn.Conv2d(channels, convolution.channels, kernel, stride, padding, bias=False),
        *([nn.MaxPool2d(2)] if convolution.pool else []),
        nn.BatchNorm2d(convolution.channels),
        nn.ReLU(inplace=True),
    ]


def article(dim: int) -> nn.Sequential:
    """The network of the article's MNIST example: no BatchNorm; 8,064 parameters at D = 32."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),  # (B, 8, 12, 12)
        nn.Conv2d(8, 16, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),  # (B, 16, 4, 4)
        nn.Conv2d(16, dim, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),  # (B, D, 1, 1)
        nn.Flatten(),
    )
