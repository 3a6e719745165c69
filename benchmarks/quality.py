"""Train a recipe over several seeds and print what each reaches, with mean ± standard deviation.

    python -m benchmarks.quality configs/default.toml --data-dir data
    python -m benchmarks.quality configs/default.toml --seeds 3 -- --m 0.4 --holdout 5000

What follows `--` goes to `circlemnist train`. Each seed is a process of its own, measured after
its last epoch. `--at-once` trains several seeds beside each other, each on its share of the cores:
then the seconds are not those of one training alone.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Outcome:
    """What one seed reached: its measures, shares as 0-1, and its epochs and their seconds."""

    seed: int
    metrics: dict[str, float]
    seconds: float
    epochs: int

    def percent(self, metric: str) -> float:
        return 100 * self.metrics[metric]


def train(flags: Sequence[str], seed: int, threads: int, picture: Path | None = None) -> Outcome:
    """Train one seed with `flags` of `circlemnist train`, and read what it left.

    Args:
        picture: file to draw the test embeddings into, small.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        place = ["--seed", str(seed), "--outputs", folder, "--name", "run"]
        circlemnist("train", *flags, "--quiet", *place, threads=threads)
        if picture is not None:
            circlemnist(
                "plot", str(run), "--width", "480", "--out", str(picture.resolve()), threads=threads
            )
        metrics = json.loads((run / "eval.json").read_text())["metrics"]
        with (run / "history.csv").open() as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return Outcome(seed, metrics, sum(seconds), len(seconds))


def circlemnist(*args: str, threads: int) -> None:
    """Run the program in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "circlemnist", *args],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )


def train_seeds(flags: Sequence[str], seeds: Sequence[int], at_once: int) -> Iterator[Outcome]:
    """Train several seeds, `at_once` of them beside each other, and give each when it is done."""
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda seed: train(flags, seed, max(CORES // at_once, 1)), seeds)


def spread(values: Sequence[float]) -> str:
    """Return mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


def main() -> None:
    """Parse the arguments, train, print a line a seed and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("more", nargs="*", help="flags of `circlemnist train`, after --")
    arguments = parser.parse_intermixed_args()
    flags = ["--config", str(arguments.config.resolve()), "--dataset", arguments.dataset]
    flags += ["--data-dir", str(arguments.data_dir.resolve()), *arguments.more]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    print(f"{arguments.config.name} {' '.join(arguments.more)}, {CORES} cores")
    outcomes = []
    for outcome in train_seeds(flags, seeds, arguments.at_once):
        outcomes.append(outcome)
        print(
            f"seed {outcome.seed}  1-NN {outcome.percent('1nn'):.2f} %  "
            f"20-NN {outcome.percent('20nn'):.2f} %  {outcome.seconds:.1f} s",
            flush=True,
        )
    print(
        f"mean ± sd  1-NN {spread([o.percent('1nn') for o in outcomes])} %  "
        f"20-NN {spread([o.percent('20nn') for o in outcomes])} %  "
        f"{spread([o.seconds for o in outcomes])} s"
    )


if __name__ == "__main__":
    main()
