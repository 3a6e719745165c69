"""Our t-SNE beside openTSNE's own settings: seconds, and how many of the nearest stay near.

    circlemnist train --holdout 10000 --name held-out
    python -m benchmarks.projection outputs/held-out

Draws the images that the run was measured on by both, in turn. A point keeps of its 10 nearest
others in the embedding those that are among its 10 nearest in the plane. Expected, on 2 cores: 40 %
kept by both, ours in a seventh of the time.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from openTSNE import TSNE

from benchmarks.swept import spread
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import DISTANCE, nearest_others
from circlemnist.plots.projection import project
from circlemnist.plots.style import Array
from circlemnist.runs.run import Run

NEAREST = 10


def ours(embeddings: Array, seed: int) -> Array:
    """Return the points (N, 2) that `circlemnist plot` draws."""
    return project(embeddings, "tsne", seed)[0]


def of_the_library(embeddings: Array, seed: int) -> Array:
    """Return the points (N, 2) of openTSNE as it is: perplexity 30, 250 and 500 iterations."""
    return np.asarray(TSNE(random_state=seed, n_jobs=-1).fit(embeddings))


WAYS: dict[str, Callable[[Array, int], Array]] = {
    "circlemnist plot": ours,
    "openTSNE's settings": of_the_library,
}


def kept(embeddings: Array, points: Array) -> float:
    """Return how many of the `NEAREST` of each embedding are among those of its point, in %."""
    near, drawn = (
        nearest_others(torch.from_numpy(rows).float(), NEAREST, DISTANCE)[1]
        for rows in (embeddings, points)
    )
    return 100 * float((near[:, :, None] == drawn[:, None]).any(2).double().mean())


def main() -> None:
    """Parse the arguments, draw in turn, print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-dir", default=None, help="folder that holds MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    embeddings = EvaluatedRun(Run(arguments.run), arguments.data_dir).report.arrays.embeddings
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    shares: dict[str, list[float]] = {name: [] for name in WAYS}
    for way in WAYS.values():
        way(embeddings[:1000], 0)  # compiles what it compiles
    for seed in range(arguments.seeds):
        for name, way in WAYS.items():
            began = time.perf_counter()
            points = way(embeddings, seed)
            seconds[name].append(time.perf_counter() - began)
            shares[name].append(kept(embeddings, points))
    for name in WAYS:
        print(f"{name:20} {spread(shares[name])} % kept, {spread(seconds[name])} s")


if __name__ == "__main__":
    main()
