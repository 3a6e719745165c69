"""The embedder: images in, embeddings out, unit vectors where the loss wants them; its layers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.config import SIDE, Config

BLOCK = 200  # images whose activations a processor's cache holds; of more each takes longer
# corners in an image with a border of one pixel: the image itself, and moved by a pixel each way
SHIFTED_VIEWS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
HIDDEN = 128  # numbers of a hidden layer
Forward = Callable[[Tensor], list[Tensor]]


class Embedder(nn.Module):
    """A network that maps images to points, on the unit sphere or not.

    Args:
        layers: maps (B, 1, 28, 28) float to (B, D), or to (B, F) where there is a head.
        mean, std: of the pixels, subtracted and divided first; kept with the weights.
        head: maps unit vectors (B, F), times √F, to (B, D): it folds a first embedding.
        on_sphere: embeddings have unit length; else they are what the last layer gives. A first
            embedding has unit length always.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: nn.Module,
        mean: float = 0.0,
        std: float = 1.0,
        head: nn.Module | None = None,
        on_sphere: bool = True,
    ) -> None:
        super().__init__()
        self.layers, self.head, self.on_sphere = layers, head, on_sphere
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 1, 28, 28), float in 0-1, as (B, D)."""
        return self.stages(images)[-1]

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the first embedding (B, F), where it is folded, and the embedding (B, D)."""
        first = self.layers((images - self.mean) / self.std)
        if self.head is None:
            return [self.output(first)]
        first = F.normalize(_at_least_float32(first))
        return [first, self.output(self.head(first * first.shape[1] ** 0.5))]

    def output(self, embeddings: Tensor) -> Tensor:
        """Return embeddings (B, D) at unit length, if they are to lie on the sphere."""
        embeddings = _at_least_float32(embeddings)
        return F.normalize(embeddings) if self.on_sphere else embeddings


def _at_least_float32(embeddings: Tensor) -> Tensor:
    """Autocast leaves half precision, too coarse for a loss."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


def build_embedder(config: Config, mean: float = 0.0, std: float = 1.0) -> Embedder:
    """Build the embedder that `config` names; the article's takes pixels as they are.

    Args:
        mean, std: of the training pixels in 0-1; weights that are loaded bring their own.
    """
    if config.net == "article":
        embedder = Embedder(article(config.dim), on_sphere=config.loss_info.on_sphere)
    else:
        width, layers = convolutions(PLANS[config.net])
        head = None
        last = hidden(config.fold or width, config.hidden_layers, config.dim, config.last_norm)
        if config.fold:
            head = nn.Sequential(*last)
            last = hidden(width, 0, config.fold, last_norm=True)
        network = nn.Sequential(*layers, *last)
        embedder = Embedder(network, mean, std, head, config.loss_info.on_sphere)
    return embedder.to(memory_format=torch.channels_last)


def forward_in(embedder: Embedder, precision: str) -> Forward:
    """Return the `stages` of an embedder, in float32 or, by autocast, in bfloat16."""
    kind = embedder.mean.device.type

    def forward(images: Tensor) -> list[Tensor]:
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
            return embedder.stages(images)

    return forward


def embed(embedder: Embedder, images: Tensor, views: int = 1) -> Tensor:
    """Embed images (N, 28, 28) uint8 as (N, D) float32, in blocks and in eval mode.

    Args:
        views: how many of the `SHIFTED_VIEWS` of each image are embedded, for the mean of them.
    """
    training = embedder.training
    embedder.eval()
    with torch.inference_mode():
        blocks = [
            mean_of_shifted_views(embedder, block[:, None].float() / 255, views)
            for block in images.split(BLOCK)
        ]
    embedder.train(training)
    return torch.cat(blocks)


def mean_of_shifted_views(embedder: Embedder, images: Tensor, views: int) -> Tensor:
    """Return the embeddings (B, D) of images (B, 1, 28, 28); what a shift leaves open is 0."""
    side = images.shape[-1]
    padded = F.pad(images, (1, 1, 1, 1))
    shifted = [padded[..., y : y + side, x : x + side] for y, x in SHIFTED_VIEWS[:views]]
    return embedder.output(torch.stack([embedder(view) for view in shifted]).mean(0))


class Conv(NamedTuple):
    """A convolution, whether pooling halves height and width after it, or its stride before.

    The first of a network is not padded: 28 pixels become 24 (12 with stride 2), which halve
    without a remainder, for three quarters of the work. The others keep height and width.
    """

    channels: int
    kernel: int
    pool: bool = False
    stride: int = 1


FIRST = Conv(16, 5, True)
PLANS = {
    # 24,500 parameters at D = 64
    "tiny": (Conv(8, 5, stride=2), Conv(16, 3, True), Conv(32, 3, True)),
    # 61,000
    "small": (FIRST, Conv(32, 3, True), Conv(64, 3, True)),
    # 116,000
    "medium": (FIRST, Conv(32, 3), Conv(48, 3, True), Conv(96, 3, True)),
    # 331,000
    "large": (FIRST, Conv(48, 3), Conv(64, 3, True), Conv(128, 3), Conv(128, 3, True)),
}


def convolutions(plan: Sequence[Conv]) -> tuple[int, list[nn.Module]]:
    """Return how many numbers the layers of a plan give, and the layers, flattened at the end."""
    layers: list[nn.Module] = []
    channels, side = 1, SIDE - plan[0].kernel + 1
    for number, (wider, kernel, pool, stride) in enumerate(plan):
        padding = kernel // 2 if number else 0
        layers += [
            nn.Conv2d(channels, wider, kernel, stride, padding, bias=False),
            # ahead of BatchNorm, to spare memory traffic, which is what a CPU waits for
            *([nn.MaxPool2d(2)] if pool else []),
            nn.BatchNorm2d(wider),
            nn.ReLU(inplace=True),
        ]
        channels = wider
        side //= stride * (2 if pool else 1)
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


def article(dim: int) -> nn.Sequential:
    """The network of the article's MNIST example: no BatchNorm; 8,064 parameters at D = 32."""
    layers: list[nn.Module] = []
    for channels, wider, kernel in ((1, 8, 5), (8, 16, 5), (16, dim, 3)):  # 12, 4 and 1 pixel wide
        layers += [nn.Conv2d(channels, wider, kernel), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())
