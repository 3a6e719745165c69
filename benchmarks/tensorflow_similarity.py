"""Measure the setting of TensorFlow Similarity's notebook on the digits that it leaves out.

    python -m benchmarks.tensorflow_similarity --data-dir data          # 3 seeds, some minutes

Its notebook (tensorflow/similarity, examples/supervised_hello_world.ipynb) trains on 2, 3, 1, 7, 9
and 6 and shows by pictures what becomes of the others. Here its network, its loss (of
pytorch-metric-learning), Adam at its learning rate and its 10 × 1,000 batches of six classes with
six images each are written in torch, and measured as the runs of `benchmarks.unseen` are. Figures
are in %, mean and standard deviation over the seeds; seconds are the processor's, of training.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import nn

from benchmarks.swept import spread
from benchmarks.unseen import COLUMNS, SPLITS
from circlemnist.config import Config
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.measure import measure
from circlemnist.models.embedder import Embedder

UNSEEN = SPLITS[0].replace("+", ",")
IMAGES = 6  # of each class of a batch
LR, EPSILON, ALPHA, BETA, BASE = 1e-4, 0.1, 2, 40, 0.5


def network() -> Embedder:
    """The notebook's network: 168,800 parameters, 64 numbers an image, on the sphere."""
    layers = nn.Sequential(
        nn.Conv2d(1, 32, 7),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 7),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):  # as Keras begins
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return Embedder(layers)


def trained(dataset: Dataset, seed: int, steps: int) -> tuple[Embedder, float]:
    """Train on the seen classes; return the embedder and the seconds of the processor."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    embedder, distance = network(), CosineSimilarity()
    loss = MultiSimilarityLoss(ALPHA, BETA, BASE, distance=distance)
    miner = MultiSimilarityMiner(EPSILON, distance=distance)
    optimizer = torch.optim.Adam(embedder.parameters(), LR)
    images, labels = dataset.train.images, dataset.train.labels
    places = [(labels == label).nonzero()[:, 0].numpy() for label in labels.unique()]
    begun = time.process_time()
    for _ in range(steps):
        batch = torch.from_numpy(np.concatenate([random.choice(one, IMAGES) for one in places]))
        embeddings, of = embedder(images[batch, None].float() / 255), labels[batch]
        value = loss(embeddings, of, miner(embeddings, of))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return embedder, time.process_time() - begun


def main() -> None:
    """Parse the arguments, train and measure with each seed, print a row of the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10_000)
    arguments = parser.parse_args()
    config = Config(dataset="mnist", unseen=UNSEEN)
    dataset = load_dataset("mnist", arguments.data_dir).used_by(config)
    reached: dict[str, list[float]] = {name: [] for name in (*COLUMNS, "seconds")}
    for seed in range(arguments.seeds):
        embedder, seconds = trained(dataset, seed, arguments.steps)
        metrics, _ = measure(embedder, dataset)
        for name, metric in COLUMNS.items():
            reached[name].append(100 * metrics[metric])
        reached["seconds"].append(seconds)
    print(f"unseen {UNSEEN}, {arguments.seeds} seeds, {torch.get_num_threads()} threads")
    print(f"| {' | '.join(reached)} |\n|{' --- |' * len(reached)}")
    print(f"| {' | '.join(map(spread, reached.values()))} |")


if __name__ == "__main__":
    main()
