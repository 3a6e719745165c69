"""Train every loss of the family over several seeds and print one table.

    python -m benchmarks.family --data-dir data            # 8 epochs of MNIST, 5 seeds; hours
    python -m benchmarks.family --losses circle arcface --seeds 2 -- --epochs 2
    python -m benchmarks.family --plane --data-dir data    # embeddings of two numbers

Each loss has its own gamma, m and lr, which `benchmarks.fair_settings` chose on held-out training
images, and Circle Loss the default ones; the rest is the default recipe, or with `--plane` that
of `PLANE`. Each run is a process of its own with one thread, `--at-once` of them beside each other,
and is measured on the test images after its last epoch. What was reached is kept in a file, a line
a run, and is not trained again.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality import CORES, Outcome, spread, train
from circlemnist.family import FAMILY, OF_CLASSES

PLANE = ("--dim", "2", "--fold", "64", "--hidden-layers", "2")


def flags_of(loss: str, plane: bool) -> list[str]:
    """Return what tells the training of a loss from the default one."""
    flags = ["--loss", loss]
    if plane:
        flags += PLANE
        if loss in OF_CLASSES and FAMILY[loss].on_sphere:
            flags += ["--class-weights", "fixed"]
    return flags


def main() -> None:
    """Parse the arguments, train what was not trained, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--plane", action="store_true", help="embeddings of two numbers")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=CORES)
    parser.add_argument("--kept", type=Path, default=Path("family.jsonl"))
    parser.add_argument("more", nargs="*", help="flags of `circlemnist train`, after --")
    arguments = parser.parse_args()
    data = ["--dataset", "mnist", "--data-dir", str(arguments.data_dir.resolve())]
    lines = arguments.kept.read_text("utf-8").splitlines() if arguments.kept.exists() else []
    known = {
        (tuple(row["flags"]), row["outcome"]["seed"]): Outcome(**row["outcome"])
        for row in map(json.loads, lines)
    }
    # seed by seed, so that a table cut short has as many of each
    todo = [
        ([*flags_of(loss, arguments.plane), *arguments.more], seed)
        for seed in range(arguments.seeds)
        for loss in arguments.losses
    ]
    left = [(flags, seed) for flags, seed in todo if (tuple(flags), seed) not in known]
    with (
        ThreadPoolExecutor(arguments.at_once) as pool,
        arguments.kept.open("a", encoding="utf-8") as file,
    ):
        found = pool.map(lambda job: train([*job[0], *data], job[1], threads=1), left)
        for (flags, seed), outcome in zip(left, found, strict=True):
            known[tuple(flags), seed] = outcome
            row = {"flags": flags, "outcome": asdict(outcome)}
            print(json.dumps(row), file=file, flush=True)
    print(f"{CORES} cores, {arguments.at_once} at once, {' '.join(arguments.more)}")
    print("| loss | 1-NN, % | MAP@R, % | EER, % | s an epoch |\n| --- | --- | --- | --- | --- |")
    for loss in arguments.losses:
        flags = (*flags_of(loss, arguments.plane), *arguments.more)
        outcomes = [known[flags, seed] for seed in range(arguments.seeds)]
        cells = [
            spread([outcome.percent(metric) for outcome in outcomes])
            for metric in ("1nn", "map@r", "eer")
        ]
        cells.append(spread([outcome.seconds / outcome.epochs for outcome in outcomes]))
        print(f"| {loss} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
