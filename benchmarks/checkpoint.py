"""What a checkpoint costs: the seconds of an epoch of the default, and of writing it down.

    python -m benchmarks.checkpoint --data-dir data

Writes the checkpoint and the history of a training on MNIST after each epoch, flushed to the disk
of the working folder, as `circlemnist train` does. Expected: less than 2 % of an epoch.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from circlemnist.config import Config
from circlemnist.data.datasets import load_dataset
from circlemnist.process import StopSignals
from circlemnist.runs.run import Run
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress


def main() -> None:
    """Train, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="data", type=Path, help="folder that holds MNIST")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    config = Config(epochs=arguments.epochs).on("mnist")
    split = load_dataset("mnist", arguments.data_dir).train
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    epochs, writes = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run = Run(Path(folder))
        for _ in range(arguments.epochs):
            train_epoch(state, config, split, progress, StopSignals())
            epochs.append(state.history[-1].seconds)
            begun = time.perf_counter()
            state.save(run)
            writes.append(time.perf_counter() - begun)
        size = run.checkpoint_file.stat().st_size
    shares = [100 * write / epoch for write, epoch in zip(writes, epochs, strict=True)]
    print(f"{os.cpu_count()} cores, {arguments.epochs} epochs, median (range)")
    print(
        f"epoch        {statistics.median(epochs):.2f} s ({min(epochs):.2f} to {max(epochs):.2f})"
    )
    print(
        f"checkpoint   {1e3 * statistics.median(writes):.1f} ms "
        f"({1e3 * min(writes):.1f} to {1e3 * max(writes):.1f}), {size:,} bytes"
    )
    print(f"share        {statistics.median(shares):.2f} % (up to {max(shares):.2f} %)")


if __name__ == "__main__":
    main()
