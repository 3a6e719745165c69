"""Time the commands as a user meets them, as whole processes, and print a table.

    python -m benchmarks.main_job --data-dir data

What `train` reaches, and in which time, is for `benchmarks.time_to_quality` and
`benchmarks.quality`; one epoch of it is enough here. About two minutes on 2 cores.
"""

import argparse
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


def main() -> None:
    """Parse the arguments, train, time the other commands, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = ("--dataset", "mnist", "--data-dir", str(arguments.data_dir.resolve()))
        place = ("--outputs", folder, "--name", "run", "--quiet")
        circlemnist("train", "--epochs", "1", *data, *place)
        run, seconds = str(Path(folder) / "run"), {}
        for command in (("--help",), ("eval", run), ("plot", run)):
            seconds[command[0]] = [circlemnist(*command) for _ in range(arguments.repeats)]
    print(f"{os.cpu_count()} cores\n\n| | seconds, median (range) |\n| --- | --- |")
    for command, values in seconds.items():
        row = f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        print(f"| `circlemnist {command}` | {row} |")


if __name__ == "__main__":
    main()
