"""The embedder networks: images in, unit vectors out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 500


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


def build_embedder(net: str, dim: int, mean: float = 0.0, std: float = 1.0) -> Embedder:
    """Build the embedder `net` ("small" or "article") with embeddings of size `dim`.

    Args:
        mean, std: of the training pixels in 0-1; the article's network takes them as they are.
    """
    match net:
        case "small":
            embedder = Embedder(_small(dim), mean, std)
        case "article":
            embedder = Embedder(_article(dim))
        case _:
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


def _small(dim: int) -> nn.Sequential:
    """Three narrow convolutions, the first at full resolution; 61,000 parameters at D = 64.

    Pooling comes ahead of BatchNorm to spare memory traffic, which is what a CPU waits for. The
    last BatchNorm has no affine part: it spreads the embeddings over the sphere from the first
    step, where they would otherwise start close together, all cosines near 1.
    """
    return nn.Sequential(
        *_convolution(1, 16, kernel=5),  # (B, 16, 14, 14)
        *_convolution(16, 32, kernel=3),  # (B, 32, 7, 7)
        *_convolution(32, 64, kernel=3),  # (B, 64, 3, 3)
        nn.Flatten(),
        nn.Linear(64 * 3 * 3, dim, bias=False),
        nn.BatchNorm1d(dim, affine=False),
    )


def _convolution(channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(out_channels),
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
