"""The article's MNIST example as its author would have run it: a DataLoader, image by image.

The recipe of TinyZeaMays/CircleLoss (Circle Loss over all pairs of a batch of 64, a network of
8,064 parameters, SGD), written here on its own, without the package: what ours is compared with.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

GAMMA, M = 80.0, 0.25


class Net(nn.Module):
    """Three convolutions, 32 numbers an image, on the unit sphere."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.features(images))


def circle_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """One logsumexp over all pairs i < j of the batch."""
    s = embeddings @ embeddings.T
    like = labels[:, None] == labels
    sp, sn = s[like.triu(1)], s[(~like).triu(1)]
    alpha_p = torch.clamp_min(1 + M - sp.detach(), 0)
    alpha_n = torch.clamp_min(sn.detach() + M, 0)
    positives = -alpha_p * (sp - (1 - M)) * GAMMA
    negatives = alpha_n * (sn - M) * GAMMA
    return F.softplus(torch.logsumexp(negatives, 0) + torch.logsumexp(positives, 0))


def embed(net: Net, images: Tensor) -> Tensor:
    """Embed images (N, 28, 28) uint8."""
    with torch.inference_mode():
        return torch.cat([net(block[:, None].float() / 255) for block in images.split(1000)])


def train(data_dir: Path, epochs: int, seed: int) -> Iterator[tuple[float, Net]]:
    """Train and give, after each epoch, the seconds of training so far and the network."""
    torch.manual_seed(seed)
    dataset = MNIST(str(data_dir), train=True, transform=ToTensor(), download=True)  # unpacks
    loader = DataLoader(dataset, batch_size=64, shuffle=True)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [epochs // 2, epochs * 3 // 4])
    seconds = 0.0
    for _ in range(epochs):
        started = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            circle_loss(net(images), labels).backward()
            optimizer.step()
        schedule.step()
        seconds += time.perf_counter() - started
        yield seconds, net
