"""Time the main job as a user would see it, and print the table that the README quotes.

    python -m benchmarks.main_job --data-dir data

Trains the default on MNIST over several seeds, one epoch of `configs/article.toml` before each,
and times `--help`, `eval` and `plot` as whole processes. About five minutes on 4 cores.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def circlemnist(*args: str) -> float:
    """Run the program and return the seconds it took as a process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "circlemnist", *args]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def training_seconds(run: Path) -> float:
    """Return the seconds of all epochs in a run's history."""
    with (run / "history.csv").open() as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


def spread(values: list[float], unit: str) -> str:
    """Return the median and the range of some values."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Parse the arguments, run everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default="data", help="folder that holds MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    data = ("--data-dir", str(Path(arguments.data_dir).resolve()))
    one_nn, ratios, seconds, epochs = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        for seed in map(str, range(arguments.seeds)):
            article, default = f"article{seed}", f"default{seed}"
            common = ("--dataset", "mnist", *data, "--outputs", folder, "--seed", seed, "--quiet")
            recipe = ("--config", str(ROOT / "configs" / "article.toml"), "--epochs", "1")
            circlemnist("train", *recipe, *common, "--name", article)
            circlemnist("train", "--gamma", "80", "--m", "0.25", *common, "--name", default)
            report = json.loads((outputs / default / "eval.json").read_text())
            one_nn.append(100 * report["metrics"]["1nn"])
            epochs.append(training_seconds(outputs / article))
            seconds.append(training_seconds(outputs / default))
            ratios.append(seconds[-1] / epochs[-1])
        run = str(outputs / default)
        helps = [circlemnist("--help") for _ in range(5)]
        evals = [circlemnist("eval", run) for _ in range(3)]
        plots = [circlemnist("plot", run) for _ in range(3)]
    print(f"{os.cpu_count()} cores, {arguments.seeds} seeds, median (range)")
    mean, deviation = statistics.mean(one_nn), statistics.stdev(one_nn)
    print(f"1-NN of the default          {mean:.3f} ± {deviation:.3f} % (mean ± sd)")
    print(f"1-NN of the default          {spread(one_nn, '%')}")
    print(f"training, default            {spread(seconds, 's')}")
    print(f"one epoch of the article     {spread(epochs, 's')}")
    print(f"default / article epoch      {spread(ratios, 'times')}")
    print(f"circlemnist --help           {spread(helps, 's')}")
    print(f"circlemnist eval             {spread(evals, 's')}")
    print(f"circlemnist plot             {spread(plots, 's')}")


if __name__ == "__main__":
    main()
