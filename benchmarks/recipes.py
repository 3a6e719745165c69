"""How long each recipe trains, in trainings of the default.

    python -m benchmarks.recipes --data-dir data

Trains each recipe on 4,000 images of MNIST for four epochs, in turn, on one thread, and counts the
seconds that the processor works, which other programs disturb less than the clock. Times the images
of the whole training, this is set beside the default's. Expected: plane and sphere 1.4, article
1.3; times the seconds of the default in docs/benchmarks.md, the durations that
`circlemnist recipes` lists. That of fast was measured by itself: here most of it is overhead.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import Split, load_dataset
from circlemnist.process import StopSignals
from circlemnist.recipes import recipe_files
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress

IMAGES, EPOCHS = 4000, 4


def seconds_per_image(config: Config, split: Split) -> float:
    """Return the processor's seconds an image of a whole training, short as it is."""
    config = replace(config, epochs=EPOCHS)
    state, progress = build_training(config, split), Progress("quiet", config, len(split))
    begun = time.process_time()
    for _ in range(EPOCHS):
        train_epoch(state, config, split, progress, StopSignals())
    return (time.process_time() - begun) / (EPOCHS * len(split))


def main() -> None:
    """Train in turn, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default="data", type=Path, help="folder that holds MNIST")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole = load_dataset("mnist", arguments.data_dir).train
    split = Split(whole.images[:IMAGES], whole.labels[:IMAGES])
    configs = {
        name: Config(**read_settings(path)).on("mnist") for name, path in recipe_files().items()
    }
    del configs["unseen"]  # most of whose images are of further classes
    times: dict[str, list[float]] = {name: [] for name in configs}
    for turn in range(arguments.rounds + 1):
        for name, config in configs.items():
            assert config.epochs is not None
            seconds = config.epochs * seconds_per_image(config, split)
            if turn:  # the first is not counted
                times[name].append(seconds)
    default = times["default"]
    for name, values in times.items():
        ratios = [value / other for value, other in zip(values, default, strict=True)]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{name:<8} {middle:6.2f} ({low:.2f} to {high:.2f}) times the default")


if __name__ == "__main__":
    main()
