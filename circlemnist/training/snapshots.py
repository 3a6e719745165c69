"""Snapshots while a run trains: embeddings of a fixed sample of test images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from circlemnist.data.datasets import Split
from circlemnist.models.embedder import Embedder, embed
from circlemnist.runs.arrays import load_snapshots
from circlemnist.runs.files import atomic_write

# 31 snapshots of 500 images are the work of a tenth of an epoch of MNIST.
INTERVALS = 30
SAMPLE = 500


class Recorder:
    """Embeds a fixed sample of a split at fixed steps of a training, more often at its start."""

    def __init__(self, split: Split, steps: int) -> None:
        self.indices = torch.linspace(0, len(split) - 1, min(SAMPLE, len(split))).long()
        sample = self.indices.to(split.labels.device)
        self.images, self.labels = split.images[sample], split.labels[sample]
        self.due = {round(steps * (i / INTERVALS) ** 2) for i in range(INTERVALS + 1)}
        self.embeddings: dict[int, Tensor] = {}  # by step

    def record(self, step: int, embedder: Embedder) -> None:
        """Embed the sample if that is due after `step` steps."""
        if step in self.due:
            self.embeddings[step] = embed(embedder, self.images).half()

    def save(self, path: Path) -> None:
        steps = sorted(self.embeddings)
        with atomic_write(path) as temporary:
            np.savez(
                temporary,
                steps=np.array(steps),
                indices=self.indices.numpy(),
                labels=self.labels.cpu().numpy(),
                embeddings=np.stack([self.embeddings[step].cpu().numpy() for step in steps]),
            )

    def restore(self, path: Path, done: int) -> None:
        """Load the snapshots of the first `done` steps; raise UserError for a damaged file."""
        saved = load_snapshots(path)
        for step, embeddings in zip(saved.steps.tolist(), saved.embeddings, strict=True):
            if step <= done:
                self.embeddings[step] = torch.from_numpy(embeddings)
