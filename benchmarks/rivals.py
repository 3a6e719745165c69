"""Recipes of others, written in torch without the package, in turn with ours.

    python -m benchmarks time-to-quality                           # five minutes a round
    OMP_NUM_THREADS=1 python -m benchmarks tensorflow-similarity   # 25 minutes

`time-to-quality`: the MNIST example of TinyZeaMays/CircleLoss, evaluated after each of its epochs
with the clock stopped; ours runs to the end. `tensorflow-similarity`: the recipe `unseen` beside
the notebook examples/supervised_hello_world.ipynb, in the same precision. Seconds are the
processor's, of training. Expected: the tables of docs/benchmarks.md and docs/unseen.md.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from benchmarks import shared
from benchmarks.loss import whole_batch
from benchmarks.shared import mean_sd, median_range, ratios
from benchmarks.sweeps import Training, read_training
from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.evaluate import evaluate
from circlemnist.models.embedder import Embedder, forward_in
from circlemnist.models.precision import resolve_precision
from circlemnist.recipes import recipe_files
from circlemnist.runs.run import Run
from circlemnist.training.run import Training as NewTraining

EPOCHS, LEVELS = 20, (98.0, 98.8, 99.0)  # of the article's recipe; 1-NN in percent
UNSEEN = "0,4,5,8"  # of the notebook
UNSEEN_COLUMNS = {"seen 1-NN": "1nn", "recall@1": "unseen/recall@1", "MAP@R": "unseen/map@r"}
UNSEEN_COLUMNS |= {"AUC": "unseen/roc_auc", "EER": "unseen/eer", "few-shot": "few-shot/unseen"}
CONFIG = Config(**read_settings(recipe_files()["unseen"]) | {"unseen": UNSEEN})
IMAGES = 6  # of each class of the notebook's batch


def article_network() -> nn.Sequential:
    """Three convolutions, 32 numbers an image, to be normalised."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
    )


def train_article(data_dir: Path, seed: int) -> Iterator[tuple[float, nn.Module]]:
    """Give, after each epoch, the seconds of training so far and the network."""
    torch.manual_seed(seed)
    dataset = MNIST(str(data_dir), train=True, transform=ToTensor(), download=True)  # unpacks
    loader = DataLoader(dataset, batch_size=64, shuffle=True)
    net = article_network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [EPOCHS // 2, EPOCHS * 3 // 4])
    seconds = 0.0
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            whole_batch(net(images), labels).backward()
            optimizer.step()
        schedule.step()
        seconds += time.perf_counter() - started
        yield seconds, net


def train_recipe(recipe: str, data_dir: Path, seed: int) -> Training:
    with tempfile.TemporaryDirectory() as folder:
        data = ("--dataset", "mnist", "--data-dir", str(data_dir), "--seed", str(seed))
        place = ("--outputs", folder, "--name", "run", "--quiet")
        shared.circlemnist("train", "--config", str(recipe_files()[recipe]), *data, *place)
        return read_training(Run(Path(folder, "run")))


@click.command()
@shared.data_dir_option
@shared.rounds_option(3)
def time_to_quality(data_dir: Path, rounds: int) -> None:
    """Seconds to levels of 1-NN: the article's recipe against ours."""
    data_dir = data_dir.resolve()
    dataset = load_dataset("mnist", data_dir)
    curves: list[list[tuple[float, float]]] = []
    ours: dict[str, list[Training]] = {"fast": [], "default": []}
    for seed in range(rounds):
        curves.append([])
        for seconds, net in train_article(data_dir, seed):
            metrics, _ = evaluate(Embedder(net), dataset, views=1)
            curves[-1].append((seconds, 100 * metrics["1nn"]))
        for recipe in ours:
            ours[recipe].append(train_recipe(recipe, data_dir, seed))
    print(f"{shared.machine()}, {rounds} rounds; seconds are median (range)")
    whole, article = [curve[-1][0] for curve in curves], f"article, {EPOCHS} epochs"
    print(f"{article}: 1-NN {mean_sd([curve[-1][1] for curve in curves])} %")
    print(f"{article}: {median_range(whole, '.1f')} s")
    for level in LEVELS:
        reached = [[seconds for seconds, one in curve if one >= level] for curve in curves]
        times = median_range([min(seconds) for seconds in reached], ".1f") if all(reached) else "–"
        print(f"article to {level} %: {times} s")
    for recipe, trainings in ours.items():
        seconds = [sum(training.seconds) for training in trainings]
        print(f"{recipe}: 1-NN {mean_sd([t.metrics['1nn'] for t in trainings])} %")
        print(f"{recipe}: {median_range(seconds, '.1f')} s")
        print(f"{article}, over {recipe}: {median_range(ratios(whole, seconds), '.1f')}")


def notebook_network() -> Embedder:
    """The notebook's network: 168,800 parameters, 64 numbers an image, on the sphere."""
    layers = nn.Sequential(
        *(nn.Conv2d(1, 32, 7), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 7), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 64)),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):  # as Keras begins
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return Embedder(layers)


def train_notebook(
    whole: Dataset, precision: str, seed: int, steps: int = 10_000
) -> tuple[Embedder, float]:
    """Train on the seen classes; return the embedder and the seconds of the processor."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    embedder, distance = notebook_network(), CosineSimilarity()
    forward = forward_in(embedder, resolve_precision(precision, embedder.mean.device))
    loss = MultiSimilarityLoss(alpha=2, beta=40, base=0.5, distance=distance)
    miner = MultiSimilarityMiner(epsilon=0.1, distance=distance)
    optimizer = torch.optim.Adam(embedder.parameters(), lr=1e-4)
    split = whole.leave_out(CONFIG.unseen_classes).train
    classes = [(split.labels == c).nonzero()[:, 0].numpy() for c in split.labels.unique()]
    begun = time.process_time()
    for _ in range(steps):
        batch = torch.from_numpy(np.concatenate([random.choice(c, IMAGES) for c in classes]))
        labels = split.labels[batch]
        (embeddings,) = forward(split.images[batch, None].float() / 255)
        value = loss(embeddings, labels, miner(embeddings, labels))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return embedder, time.process_time() - begun


def train_unseen(whole: Dataset, precision: str, seed: int) -> tuple[Embedder, float]:
    """Train the recipe `unseen`, its extra classes drawn within the seconds."""
    config = replace(CONFIG, precision=precision, seed=seed)
    begun = time.process_time()
    training = NewTraining(config, whole, torch.device("cpu"), print)
    shared.train(training.state, training.config, training.split, training.config.epochs)
    return training.state.embedder, time.process_time() - begun


@click.command()
@shared.data_dir_option
@click.option("--seeds", default=3)
def tensorflow_similarity(data_dir: Path, seeds: int) -> None:
    """The recipe `unseen` beside the notebook of TensorFlow Similarity."""
    precision = resolve_precision("auto", torch.device("cpu"))
    whole = load_dataset("mnist", data_dir)
    dataset = whole.leave_out(CONFIG.unseen_classes)
    sides = {"notebook": (train_notebook, 1), "recipe": (train_unseen, CONFIG.views)}
    table: dict[str, list[list[float]]] = {side: [] for side in sides}
    for seed in range(seeds):
        for side, (train_side, views) in sides.items():
            embedder, seconds = train_side(whole, precision, seed)
            metrics, _ = evaluate(embedder, dataset, views)
            table[side].append(
                [*(100 * metrics[name] for name in UNSEEN_COLUMNS.values()), seconds]
            )
    print(f"unseen {UNSEEN}, {seeds} seeds, {precision}, {shared.machine()}")
    shared.print_head("", *UNSEEN_COLUMNS, "seconds")
    for side, rows in table.items():
        shared.print_row(side, *map(mean_sd, zip(*rows, strict=True)))
