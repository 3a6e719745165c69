"""The embedder networks: images in, unit vectors out."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.data import SIDE

BLOCK = 500
HIDDEN = 128


class Convolution(NamedTuple):
    """A convolution that keeps height and width, and whether they are halved after it."""

    channels: int
    kernel: int
    pool: bool


PLANS = {
    # 61,000 parameters at D = 64
    "small": (Convolution(16, 5, True), Convolution(32, 3, True), Convolution(64, 3, True)),
    # 352,000
    "deep": (
        Convolution(32, 5, True),
        Convolution(64, 3, False),
        Convolution(64, 3, True),
        Convolution(128, 3, False),
        Convolution(128, 3, True),
    ),
}


class Embedder(nn.Module):
    """A network that maps images to points on the unit sphere.

    Args:
        layers: maps (B, 1, 28, 28) float to (B, D).
        mean, std: of the pixels, subtracted and divided first; kept with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: nn.Module, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 1, 28, 28), float in 0-1, as unit vectors (B, D)."""
        pixels = (images - self.mean) / self.std
        return F.normalize(self.layers(pixels.contiguous(memory_format=torch.channels_last)))


def build_embedder(
    net: str,
    dim: int,
    mean: float = 0.0,
    std: float = 1.0,
    hidden_layers: int = 0,
    last_norm: bool = True,
) -> Embedder:
    """Build the embedder `net` ("article" or one of `PLANS`) with embeddings of size `dim`.

    Args:
        mean, std: of the training pixels in 0-1; the article's network takes them as they are.
        hidden_layers: of `HIDDEN` numbers between the convolutions and the embedding; the
            article's network has none.
        last_norm: end in BatchNorm; the article's network never does.
    """
    if net == "article":
        embedder = Embedder(_article(dim))
    elif net in PLANS:
        embedder = Embedder(_network(PLANS[net], hidden_layers, dim, last_norm), mean, std)
    else:
        raise ValueError(f"no network is named {net!r}")
    return embedder.to(memory_format=torch.channels_last)


def embed(embedder: Embedder, images: Tensor) -> Tensor:
    """Return the embeddings (N, D) float32 of images (N, 28, 28) uint8, in blocks, in eval mode."""
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        blocks = [embedder(block[:, None].float() / 255) for block in images.split(BLOCK)]
    embedder.train(training)
    return torch.cat(blocks)


def _network(
    plan: Sequence[Convolution], hidden_layers: int, dim: int, last_norm: bool
) -> nn.Sequential:
    """Convolutions, hidden layers, and a projection to the embedding.

    The last BatchNorm has no affine part: it spreads the embeddings over the sphere from the first
    step, where they would otherwise start close together, all cosines near 1.
    """
    layers: list[nn.Module] = []
    channels, side = 1, SIDE
    for convolution in plan:
        layers += _convolution(channels, convolution)
        channels, side = convolution.channels, side // 2 if convolution.pool else side
    layers.append(nn.Flatten())
    width = channels * side**2
    for _ in range(hidden_layers):
        layers += [nn.Linear(width, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU()]
        width = HIDDEN
    layers.append(nn.Linear(width, dim, bias=False))
    if last_norm:
        layers.append(nn.BatchNorm1d(dim, affine=False))
    return nn.Sequential(*layers)


def _convolution(channels: int, convolution: Convolution) -> list[nn.Module]:
    """Pooling comes ahead of BatchNorm to spare memory traffic, which is what a CPU waits for."""
    kernel = convolution.kernel
    return [
        nn.Conv2d(channels, convolution.channels, kernel, padding=kernel // 2, bias=False),
        *([nn.MaxPool2d(2)] if convolution.pool else []),
        nn.BatchNorm2d(convolution.channels),
        nn.ReLU(inplace=True),
    ]


def _article(dim: int) -> nn.Sequential:
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
