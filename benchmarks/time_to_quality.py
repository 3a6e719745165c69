"""Seconds of training to given levels of 1-NN: the article's recipe against ours, alternating.

    python -m benchmarks.time_to_quality --data-dir data

The article's recipe is measured after each of its 20 epochs, with the clock stopped; ours is run
to the end of its schedule. Seconds begin with the data in memory (ours) or unpacked on disk (the
article's), so neither reading archives nor starting Python counts. Five minutes a round on 2
cores.
"""

import argparse
import math
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks import article
from benchmarks.swept import ROOT, Outcome, circlemnist, outcome_of, spread
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.evaluation.metrics import knn_accuracy, nearest
from circlemnist.runs.run import Run

LEVELS = (97.0, 98.0, 98.5, 98.8, 99.0)


def one_nn(net: article.Net, dataset: Dataset) -> float:
    """Return the share, in per cent, of test images whose nearest training image is alike."""
    gallery, queries = (article.embed(net, s.images) for s in (dataset.train, dataset.test))
    of_neighbors = dataset.train.labels[nearest(queries, gallery, 1)[1]]
    return 100 * knn_accuracy(of_neighbors, dataset.test.labels, 1)


def article_curve(data_dir: Path, epochs: int, seed: int) -> list[tuple[float, float]]:
    """Return (seconds, 1-NN) after each epoch of the article's recipe."""
    dataset = load_dataset("mnist", data_dir)
    return [
        (seconds, one_nn(net, dataset)) for seconds, net in article.train(data_dir, epochs, seed)
    ]


def our_training(recipe: str, data_dir: Path, seed: int) -> Outcome:
    """Train a recipe from its beginning."""
    with tempfile.TemporaryDirectory() as folder:
        config = str(ROOT / "configs" / f"{recipe}.toml")
        data = ("--dataset", "mnist", "--data-dir", str(data_dir), "--seed", str(seed))
        place = ("--outputs", folder, "--name", "run", "--quiet")
        circlemnist("train", "--config", config, *data, *place)
        return outcome_of(Run(Path(folder, "run")))


def reached(curve: list[tuple[float, float]], level: float) -> float:
    """Return the seconds after which `level` was first reached; infinite where it was not."""
    return min((seconds for seconds, share in curve if share >= level), default=math.inf)


def shown(values: list[float]) -> str:
    """Return median and range of seconds, or that a level was missed."""
    if any(map(math.isinf, values)):
        return f"not reached in {sum(map(math.isinf, values))} of {len(values)}"
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def ratios(values: list[float], others: list[float]) -> str:
    """Return median and range of the ratios, round by round."""
    return shown([one / other for one, other in zip(values, others, strict=True)])


def main() -> None:
    """Parse the arguments, train in turn, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="of the article's recipe")
    parser.add_argument("--recipes", nargs="+", default=["fast", "default"])
    arguments = parser.parse_args()
    data_dir = arguments.data_dir.resolve()
    curves: list[list[tuple[float, float]]] = []
    ours: dict[str, list[Outcome]] = {recipe: [] for recipe in arguments.recipes}
    for seed in range(arguments.rounds):
        curves.append(article_curve(data_dir, arguments.epochs, seed))
        for recipe in arguments.recipes:
            ours[recipe].append(our_training(recipe, data_dir, seed))
    print(f"{os.cpu_count()} cores, {arguments.rounds} rounds; seconds are median (range)")
    whole = [curve[-1][0] for curve in curves]
    epoch = [seconds / arguments.epochs for seconds in whole]
    print(f"article, {arguments.epochs} epochs: 1-NN {spread([c[-1][1] for c in curves])} %")
    print(f"article, {arguments.epochs} epochs: {shown(whole)} s; one: {shown(epoch)} s")
    for level in LEVELS:
        print(f"article to {level} %: {shown([reached(curve, level) for curve in curves])} s")
    for recipe, outcomes in ours.items():
        one, twenty = ([o.percent("1nn") for o in outcomes], [o.percent("20nn") for o in outcomes])
        seconds = [sum(outcome.seconds) for outcome in outcomes]
        each = ", ".join(f"{value:.2f}" for value in one)
        print(f"{recipe}: 1-NN {spread(one)} % ({each}), 20-NN {spread(twenty)} %")
        print(f"{recipe}: {shown(seconds)} s, in epochs of the article {ratios(seconds, epoch)}")
        print(
            f"{recipe}: {arguments.epochs} epochs of the article, over it: {ratios(whole, seconds)}"
        )


if __name__ == "__main__":
    main()
