"""The embedder: images in, embeddings out, unit vectors where the loss wants them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circlemnist.config import Config
from circlemnist.models.networks import PLANS, article, convolutions, hidden

BLOCK = 200  # images whose activations a processor's cache holds; of more each takes longer
# corners in an image with a border of one pixel: the image itself, and moved by a pixel each way
SHIFTED_VIEWS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))


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
        pixels = (images - self.mean) / self.std
        first = self.layers(pixels)
        if self.head is None:
            return [self.placed(first)]
        first = F.normalize(_exact(first))
        return [first, self.placed(self.head(first * first.shape[1] ** 0.5))]

    def placed(self, embeddings: Tensor) -> Tensor:
        """Return embeddings (B, D) at unit length, if they are to lie on the sphere."""
        embeddings = _exact(embeddings)
        return F.normalize(embeddings) if self.on_sphere else embeddings


def _exact(embeddings: Tensor) -> Tensor:
    """Return what autocast left in half precision, too coarse for a loss, in float32."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


def build_embedder(config: Config, mean: float = 0.0, std: float = 1.0) -> Embedder:
    """Build the embedder that `config` names by its network, its sizes and its loss.

    Args:
        mean, std: of the training pixels in 0-1, which the article's network takes as they are;
            weights that are loaded bring their own.
    """
    if config.net == "article":
        embedder = Embedder(article(config.dim), on_sphere=config.member.on_sphere)
    else:
        width, layers = convolutions(PLANS[config.net])
        head = None
        last = hidden(config.fold or width, config.hidden_layers, config.dim, config.last_norm)
        if config.fold:
            head = nn.Sequential(*last)
            last = hidden(width, 0, config.fold, last_norm=True)
        network = nn.Sequential(*layers, *last)
        embedder = Embedder(network, mean, std, head, config.member.on_sphere)
    return embedder.to(memory_format=torch.channels_last)


def embed(embedder: Embedder, images: Tensor, views: int = 1) -> Tensor:
    """Embed images in blocks, in eval mode.

    Args:
        images: (N, 28, 28) uint8.
        views: how many of the `SHIFTED_VIEWS` of each image; the embedding is the mean of theirs,
            at unit length if it is on the sphere.

    Returns:
        (N, D) float32, unit rows if the embedder's are on the sphere.
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
    return embedder.placed(torch.stack([embedder(view) for view in shifted]).mean(0))
