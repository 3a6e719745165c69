"""The embedder networks: images in, unit vectors out."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.config import Config
from circlemnist.data.datasets import SIDE

BLOCK = 500
# corners in an image with a border of one pixel: the image itself, and moved by a pixel each way
VIEWS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
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


class Embedder(nn.Module):
    """A network that maps images to points on the unit sphere.

    Args:
        layers: maps (B, 1, 28, 28) float to (B, D), or to (B, F) where there is a head.
        mean, std: of the pixels, subtracted and divided first; kept with the weights.
        head: maps unit vectors (B, F), times √F, to (B, D): it folds a first embedding.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: nn.Module,
        mean: float = 0.0,
        std: float = 1.0,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.head = head
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 1, 28, 28), float in 0-1, as unit vectors (B, D)."""
        return self.stages(images)[-1]

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the first embedding (B, F), where it is folded, and the embedding (B, D)."""
        pixels = (images - self.mean) / self.std
        first = F.normalize(self.layers(pixels.contiguous(memory_format=torch.channels_last)))
        if self.head is None:
            return [first]
        return [first, F.normalize(self.head(first * first.shape[1] ** 0.5))]


def build_embedder(
    net: str,
    dim: int,
    mean: float = 0.0,
    std: float = 1.0,
    hidden_layers: int = 0,
    last_norm: bool = True,
    fold: int = 0,
) -> Embedder:
    """Build the embedder `net` ("article" or one of `PLANS`) with embeddings of size `dim`.

    Args:
        mean, std: of the training pixels in 0-1; the article's network takes them as they are.
        hidden_layers: of `HIDDEN` numbers between the convolutions and the embedding; the
            article's network has none.
        last_norm: end in BatchNorm; the article's network never does.
        fold: size of a first embedding, which the hidden layers fold into `dim`; 0 for none.
    """
    if net == "article":
        embedder = Embedder(_article(dim))
    elif net in PLANS:
        width, layers = _convolutions(PLANS[net])
        if fold:
            head = nn.Sequential(*_hidden(fold, hidden_layers, dim, last_norm))
            layers += _hidden(width, 0, fold, last_norm=True)
            embedder = Embedder(nn.Sequential(*layers), mean, std, head)
        else:
            layers += _hidden(width, hidden_layers, dim, last_norm)
            embedder = Embedder(nn.Sequential(*layers), mean, std)
    else:
        raise ValueError(f"no network is named {net!r}")
    return embedder.to(memory_format=torch.channels_last)


def embedder_of(config: Config, mean: float = 0.0, std: float = 1.0) -> Embedder:
    """Build the embedder that `config` names, as `build_embedder` does.

    Args:
        mean, std: of the training pixels in 0-1; weights that are loaded bring their own.
    """
    return build_embedder(
        config.net,
        config.dim,
        mean,
        std,
        hidden_layers=config.hidden_layers,
        last_norm=config.last_norm,
        fold=config.fold,
    )


def embed(embedder: Embedder, images: Tensor, views: int = 1) -> Tensor:
    """Embed images in blocks, in eval mode.

    Args:
        images: (N, 28, 28) uint8.
        views: of each image, the first `views` of `VIEWS`; the embedding is the mean of theirs, at
            unit length.

    Returns:
        (N, D) float32, unit rows.
    """
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        blocks = [
            _mean_of_views(embedder, block[:, None].float() / 255, views)
            for block in images.split(BLOCK)
        ]
    embedder.train(training)
    return torch.cat(blocks)


def _mean_of_views(embedder: Embedder, images: Tensor, views: int) -> Tensor:
    """Return the embeddings (B, D) of images (B, 1, 28, 28); what a shift leaves open is 0."""
    padded = F.pad(images, (1, 1, 1, 1))
    shifted = [padded[..., y : y + SIDE, x : x + SIDE] for y, x in VIEWS[:views]]
    return F.normalize(torch.stack([embedder(view) for view in shifted]).sum(0))


def _convolutions(plan: Sequence[Convolution]) -> tuple[int, list[nn.Module]]:
    """Return the layers of a plan, flattened at the end, and how many numbers they give."""
    layers: list[nn.Module] = []
    channels, side = 1, SIDE - plan[0].kernel + 1
    for number, convolution in enumerate(plan):
        padding = convolution.kernel // 2 if number else 0
        layers += _convolution(channels, convolution, padding)
        channels = convolution.channels
        side //= convolution.stride * (2 if convolution.pool else 1)
    return channels * side**2, [*layers, nn.Flatten()]


def _hidden(width: int, count: int, dim: int, last_norm: bool) -> list[nn.Module]:
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
