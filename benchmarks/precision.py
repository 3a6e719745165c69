"""An epoch of a recipe in bfloat16 over one in float32, in turn.

    python -m benchmarks.precision configs/default.toml --data-dir data
    python -m benchmarks.precision --data-dir data --compiled     # and float32 by torch.compile

Trains epochs in both precisions by turns, the first of each uncounted, and prints the seconds of
each and the ratio of each turn: median, least and most. With one thread (OMP_NUM_THREADS=1) it
counts the seconds that the processor works, which other programs disturb less than the clock.
Expected: the default at 0.6 to 0.7 on a Xeon with AMX.
"""

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from circlemnist.config import Config, read_settings
from circlemnist.data.datasets import load_dataset
from circlemnist.models.precision import probe, resolve_device
from circlemnist.process import StopSignals
from circlemnist.training.build import build_training
from circlemnist.training.loop import train_epoch
from circlemnist.training.progress import Progress

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Train in turn, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, nargs="?", default=Path("configs/default.toml"))
    parser.add_argument("--data-dir", default="data", type=Path, help="folder that holds MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--compiled", action="store_true", help="a network that torch.compile made, too"
    )
    parser.add_argument(
        "--images", type=int, default=60_000, help="of an epoch, fewer for a glance"
    )
    arguments = parser.parse_args()
    # epochs with augmentation, which cost the most
    settings = read_settings(arguments.config) | {"plain_share": 0.0, "epochs": 100}
    config = Config(**settings).on("mnist")
    device = resolve_device(config.device)
    whole = load_dataset("mnist", arguments.data_dir).train
    count = arguments.images
    split = replace(whole, images=whole.images[:count], labels=whole.labels[:count]).to(device)
    configs = {name: replace(config, precision=name) for name in PRECISIONS}
    states = {name: build_training(configs[name], split) for name in PRECISIONS}
    if arguments.compiled:
        configs["compiled"] = configs["float32"]
        state = build_training(configs["compiled"], split)
        states["compiled"] = replace(state, forward=torch.compile(state.forward))
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in states}
    for turn in range(arguments.rounds + 1):
        for name, state in states.items():
            progress, begun = Progress("quiet", config, len(split)), clock()
            train_epoch(state, configs[name], split, progress, StopSignals())
            if turn:  # the first is not counted
                seconds[name].append(clock() - begun)
    steps = len(split) // config.batch_size
    print(
        f"{arguments.config.name}, {device}, {os.cpu_count()} cores, {torch.get_num_threads()} "
        f"threads, {arguments.rounds} rounds of {len(split):,} images"
    )
    for name, values in seconds.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        step = f"{1e3 * middle / steps:.1f} ms a step"
        print(f"{name:<9} {middle:6.2f} s an epoch ({low:.2f} to {high:.2f}), {step}")
    full = seconds.pop("float32")
    for name, values in seconds.items():
        ratios = [value / other for value, other in zip(values, full, strict=True)]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{name} over float32 {middle:.2f} ({low:.2f} to {high:.2f})")
    if device.type == "cpu":
        print(f"a step of the probe, one thread: {1 / probe().gain:.2f}")


if __name__ == "__main__":
    main()
