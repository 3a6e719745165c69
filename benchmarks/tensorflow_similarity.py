"""Set the recipe `unseen` beside TensorFlow Similarity's notebook, on the digits it leaves out.

    OMP_NUM_THREADS=1 python -m benchmarks.tensorflow_similarity --data-dir data    # 15 minutes

Its notebook (tensorflow/similarity, examples/supervised_hello_world.ipynb) trains on 2, 3, 1, 7, 9
and 6 and shows by pictures what becomes of the others. Here its network, its loss (of
pytorch-metric-learning), Adam at its learning rate and its 10 × 1,000 batches of six classes with
six images each are written in torch, in the precision of the recipe, and both are measured as the
runs of `benchmarks.unseen` are, in turn. Figures are in %, mean and standard deviation over the
seeds; seconds are the processor's, of training.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import nn

from benchmarks.swept import REFUSED, spread
from benchmarks.unseen import COLUMNS, SPLITS
from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.models.embedder import Embedder
from circlemnist.models.precision import resolve_precision, training_forward
from circlemnist.process import StopSignals
from circlemnist.recipes import recipe_files
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress
from circlemnist.training.run import Training

UNSEEN = SPLITS[0].replace("+", ",")
CONFIG = Config(**read_settings(recipe_files()["unseen"]) | {"unseen": UNSEEN})
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


def theirs(whole: Dataset, precision: str, seed: int, steps: int) -> tuple[Embedder, float]:
    """Train on the seen classes; return the embedder and the seconds of the processor."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    embedder, distance = network(), CosineSimilarity()
    forward = training_forward(embedder, precision)
    loss = MultiSimilarityLoss(ALPHA, BETA, BASE, distance=distance)
    miner = MultiSimilarityMiner(EPSILON, distance=distance)
    optimizer = torch.optim.Adam(embedder.parameters(), LR)
    train = whole.leave_out(CONFIG.unseen_classes).train
    images, labels = train.images, train.labels
    places = [(labels == label).nonzero()[:, 0].numpy() for label in labels.unique()]
    begun = time.process_time()
    for _ in range(steps):
        batch = torch.from_numpy(np.concatenate([random.choice(one, IMAGES) for one in places]))
        (embeddings,), of = forward(images[batch, None].float() / 255), labels[batch]
        value = loss(embeddings, of, miner(embeddings, of))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return embedder, time.process_time() - begun


def ours(whole: Dataset, precision: str, seed: int) -> tuple[Embedder, float]:
    """Train the recipe `unseen`, its further classes drawn within the seconds."""
    config = replace(CONFIG, precision=precision, seed=seed)
    begun = time.process_time()
    training = Training(config.on(whole.name), whole, print)
    progress = Progress("quiet", training.config, len(training.split))
    for _ in range(training.config.epochs or 0):
        train_epoch(training.state, training.config, training.split, progress, StopSignals())
    return training.state.embedder, time.process_time() - begun


def main() -> None:
    """Parse the arguments, train and measure both with each seed, print their rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10_000, help="of the notebook's setting")
    parser.add_argument("--precision", default="auto", help="of both")
    arguments = parser.parse_args()
    precision = resolve_precision(arguments.precision, torch.device("cpu"))
    whole = load_dataset("mnist", arguments.data_dir)
    dataset = whole.leave_out(CONFIG.unseen_classes)
    columns = {name: metric for name, metric in COLUMNS.items() if metric != REFUSED}
    reached: dict[str, dict[str, list[float]]] = {}
    for seed in range(arguments.seeds):
        for side, train in (("notebook", partial(theirs, steps=arguments.steps)), ("recipe", ours)):
            embedder, seconds = train(whole, precision, seed)
            metrics, _ = evaluate(embedder, dataset)
            figures = {name: 100 * metrics[metric] for name, metric in columns.items()}
            for name, value in (figures | {"seconds": seconds}).items():
                reached.setdefault(side, {}).setdefault(name, []).append(value)
            print(seed, side, figures, round(seconds), flush=True)
    threads = torch.get_num_threads()
    print(f"unseen {UNSEEN}, {arguments.seeds} seeds, {precision}, {threads} threads")
    print(f"| | {' | '.join((*columns, 'seconds'))} |\n|{' --- |' * (len(columns) + 2)}")
    for side, row in reached.items():
        print(f"| {side} | {' | '.join(map(spread, row.values()))} |")


if __name__ == "__main__":
    main()
