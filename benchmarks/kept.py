"""Many trainings, each kept in a file when it is done: what was stopped goes on where it was."""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.quality import CORES, Outcome, train


@dataclass(frozen=True)
class Job:
    """One training with one thread: its flags, its seed, and the file of its picture, if any."""

    flags: tuple[str, ...]
    seed: int
    picture: Path | None = None


def add_arguments(parser: argparse.ArgumentParser, seeds: int, kept: str) -> None:
    """Add the arguments that such tables share: data, seeds, what is kept, flags of `train`."""
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--at-once", type=int, default=CORES)
    parser.add_argument("--kept", type=Path, default=Path(kept))
    parser.add_argument("more", nargs="*", help="flags of `circlemnist train`, after --")


def trained(
    jobs: Sequence[Job], data_dir: Path, at_once: int, kept: Path
) -> dict[tuple[tuple[str, ...], int], Outcome]:
    """Train on MNIST what is not in `kept` yet, and return all that is, by flags and seed.

    Args:
        data_dir: folder of MNIST.
        at_once: processes beside each other.
        kept: a file of a line a training.
    """
    lines = kept.read_text("utf-8").splitlines() if kept.exists() else []
    known = {
        (tuple(row["flags"]), row["outcome"]["seed"]): Outcome(**row["outcome"])
        for row in map(json.loads, lines)
    }
    left = [job for job in jobs if (job.flags, job.seed) not in known]
    data = ("--dataset", "mnist", "--data-dir", str(data_dir.resolve()))
    with ThreadPoolExecutor(at_once) as pool, kept.open("a", encoding="utf-8") as file:
        found = pool.map(lambda job: train([*job.flags, *data], job.seed, 1, job.picture), left)
        for job, outcome in zip(left, found, strict=True):
            known[job.flags, job.seed] = outcome
            row = {"flags": job.flags, "outcome": asdict(outcome)}
            print(json.dumps(row), file=file, flush=True)
    return known
