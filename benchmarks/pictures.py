"""Time the pictures of a run as whole processes, and t-SNE beside scikit-learn's.

    python -m benchmarks.pictures outputs/RUN         # a run on MNIST with --snapshots

Removes the projection that the run keeps ahead of the first picture of each round. Expected on 2
cores: a plot again in about 4 s, the page after it in about 6 s, and a share of the 10 nearest that
stay near in t-SNE of 0.39 or more.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.manifold import TSNE

from circlemnist.evaluation.metrics import DISTANCE, nearest_others
from circlemnist.plots.kinds import KINDS
from circlemnist.plots.projection import project
from circlemnist.runs.run import Run

STILL = [name for name, kind in KINDS.items() if not kind.needs_snapshots]


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def circlemnist(*args: str) -> None:
    """Run the program."""
    command = [sys.executable, "-m", "circlemnist", *args]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def first_plot(run: str) -> None:
    """Draw a run that keeps no projection."""
    Run(Path(run)).projection_file("tsne").unlink(missing_ok=True)
    circlemnist("plot", run)


def kept_near(embeddings: Any, points: Any, k: int = 10) -> float:
    """Return the share of the k nearest embeddings that are among the k nearest points."""
    spaces = [torch.from_numpy(rows).float() for rows in (embeddings, points)]
    near, drawn = (nearest_others(rows, k, DISTANCE)[1] for rows in spaces)
    return float((near[:, :, None] == drawn[:, None]).any(2).double().mean())


def main() -> None:
    """Parse, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run with snapshots")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run = str(arguments.run)
    kinds = [word for kind in STILL for word in ("--kind", kind)]
    embeddings = np.load(Run(arguments.run).embeddings_file)["embeddings"]
    with tempfile.TemporaryDirectory() as folder:
        jobs: dict[str, Callable[[], object]] = {
            "plot": lambda: first_plot(run),
            "plot again": lambda: circlemnist("plot", run, "--theme", "dark"),
            "explore after plot": lambda: circlemnist("explore", run, "--out", f"{folder}/a.html"),
            "eval": lambda: circlemnist("eval", run),
            "all still pictures": lambda: circlemnist("plot", run, *kinds, "--theme", "dark"),
            "animation": lambda: circlemnist(
                "plot", run, "--kind", "animation", "--out", f"{folder}/a.gif"
            ),
            "t-SNE, ours": lambda: project(embeddings, "tsne", 0),
            "t-SNE, scikit-learn": lambda: TSNE(random_state=0, n_jobs=-1).fit_transform(
                embeddings
            ),
        }
        rounds = [
            {name: seconds(job) for name, job in jobs.items()} for _ in range(arguments.rounds)
        ]
        size = Path(folder, "a.html").stat().st_size
    print(f"{os.cpu_count()} cores, {arguments.rounds} rounds, median (range)")
    for name in jobs:
        values = [turn[name] for turn in rounds]
        middle = statistics.median(values)
        print(f"{name:<20}{middle:6.1f} s ({min(values):.1f} to {max(values):.1f})")
    near = kept_near(embeddings, project(embeddings, "tsne", 0)[0])
    print(f"{'10 nearest kept':<20}{near:6.3f}")
    print(f"{'the page':<20}{size / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
