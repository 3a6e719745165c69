"""What `train --snapshots` costs: seconds of the default training without and with it, in turn.

    python -m benchmarks.snapshots --data-dir data

Expected: less than 2 % of the training. The snapshots themselves are timed as well: their share
is less noisy than the difference of two trainings on a machine that others use.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.models.embedder import Embedder
from circlemnist.process import StopSignals
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress
from circlemnist.training.snapshots import Recorder


class Timed(Recorder):
    """A recorder that adds up its seconds."""

    seconds = 0.0

    def record(self, step: int, embedder: Embedder) -> None:
        begun = time.perf_counter()
        super().record(step, embedder)
        self.seconds += time.perf_counter() - begun


def main() -> None:
    """Train without and with snapshots in turn, print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="data", type=Path, help="folder that holds MNIST")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = Config().on("mnist")
    dataset = load_dataset("mnist", arguments.data_dir)
    progress, stop = Progress("quiet", config, len(dataset.train)), StopSignals()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    shares = []
    for turn in range(2 * arguments.rounds):
        watched = turn % 2 == 1
        state = build_training(config, dataset.train)
        recorder = Timed(dataset.test, config.steps(len(dataset.train)))
        state.recorder = recorder if watched else None
        assert config.epochs is not None
        for _ in range(config.epochs):
            train_epoch(state, config, dataset.train, progress, stop)
        seconds[watched].append(sum(epoch.seconds for epoch in state.history))
        if watched:
            shares.append(100 * recorder.seconds / seconds[watched][-1])
    print(f"{os.cpu_count()} cores, {arguments.rounds} rounds, median (range)")
    for watched, values in seconds.items():
        name = "with snapshots" if watched else "without"
        print(
            f"{name:<16}{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"
        )
    print(
        f"{'the snapshots':<16}{statistics.median(shares):.2f} % of it (up to {max(shares):.2f} %)"
    )


if __name__ == "__main__":
    main()
