"""What it costs, and saves, that threads spin briefly: an epoch alone and beside a busy process.

    python -m benchmarks.threads --data-dir data

Expected: with 1,000 spins a tenth more alone, and less than twice that beside a busy process.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SPINS = ("unset", "100000", "30000", "10000", "1000", "0")
STEPS = 80


def busy() -> None:
    while True:
        pass


def train(data_dir: Path) -> float:
    """Seconds of an epoch of `STEPS` steps of the default network, after one that warms up."""
    from circlemnist.config import Config
    from circlemnist.data.datasets import load_dataset
    from circlemnist.process import StopSignals
    from circlemnist.training.build import build_training
    from circlemnist.training.loop import train_epoch
    from circlemnist.training.progress import Progress

    config = Config(dataset="mnist", precision="float32", epochs=2)
    split = load_dataset("mnist", data_dir).first(STEPS * config.batch_size).train
    state = build_training(config, split)
    for _ in range(2):
        begun = time.perf_counter()
        train_epoch(state, config, split, Progress("quiet", config, len(split)), StopSignals())
    return time.perf_counter() - begun


def timed(data_dir: Path, spins: str) -> float:
    """Seconds in a process of its own: torch reads the number when it is loaded."""
    command = [sys.executable, "-m", "benchmarks.threads", "--data-dir", str(data_dir), "--child"]
    environment = os.environ | ({} if spins == "unset" else {"GOMP_SPINCOUNT": spins})
    return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(train(arguments.data_dir))
        return
    for load in ("alone", "beside a busy process"):
        other = multiprocessing.Process(target=busy, daemon=True)
        if load != "alone":
            other.start()
        seconds = {spins: [] for spins in SPINS}
        for _ in range(arguments.rounds):
            for spins in SPINS:
                seconds[spins].append(timed(arguments.data_dir, spins))
        for spins, values in seconds.items():
            print(f"{load}, {spins} spins: {median(values):.1f} s of {STEPS} steps", flush=True)
        if load != "alone":
            other.terminate()


if __name__ == "__main__":
    main()
