"""What each part of a recipe is worth: one change at a time, on held-out images.

    python -m benchmarks.ablation default --data-dir data
    python -m benchmarks.ablation plane --data-dir data --epochs 3 -- --net small

Short runs over some seeds, trained on the first 55,000 training images and measured on the last
5,000. Prints a table of `docs/`. What follows `--` goes to every `circlemnist train`. As many runs
train beside each other as there are cores, a thread each.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.quality import CORES, ROOT, spread, train

CHANGES: dict[str, dict[str, Sequence[str]]] = {
    "default": {
        "the default": (),
        "one logsumexp over the whole batch, not one an anchor": ("--pairs", "batch"),
        "similarities to learned class weights": ("--loss", "circle-class"),
        "without the last BatchNorm": ("--no-last-norm",),
        "without augmentation": ("--no-augment",),
        "with augmentation to the end": ("--plain-share", "0"),
        "P × K batches, 10 × 25": ("--classes-per-batch", "10"),
        "m = 0": ("--m", "0"),
        "m = 0.4": ("--m", "0.4"),
        "gamma = 32": ("--gamma", "32"),
        "gamma = 256": ("--gamma", "256"),
    },
    "plane": {
        "the recipe": (),
        "not folded": ("--fold", "0"),
        "nor with hidden layers": ("--fold", "0", "--hidden-layers", "0"),
        "not folded, class weights learned": ("--fold", "0", "--class-weights", "learned"),
        "not folded, pairs, no class weights": ("--fold", "0", "--loss", "circle"),
    },
}


def main() -> None:
    """Parse the arguments, train every change, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=CHANGES)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of MNIST")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("more", nargs="*", help="flags of `circlemnist train`, after --")
    arguments = parser.parse_intermixed_args()
    config = ROOT / "configs" / f"{arguments.recipe}.toml"
    common = ["--config", str(config), "--dataset", "mnist", *arguments.more]
    common += ["--data-dir", str(arguments.data_dir.resolve()), "--holdout", "5000"]
    common += ["--epochs", str(arguments.epochs)]
    print(f"{arguments.epochs} epochs, {arguments.seeds} seeds, {CORES} cores\n")
    print("| change | 1-NN, % | 20-NN, % |\n| --- | --- | --- |", flush=True)
    with ThreadPoolExecutor(CORES) as pool:
        trained = {
            change: [
                pool.submit(train, [*common, *flags], seed, 1) for seed in range(arguments.seeds)
            ]
            for change, flags in CHANGES[arguments.recipe].items()
        }
        for change, seeds in trained.items():
            outcomes = [seed.result() for seed in seeds]
            one_nn, twenty_nn = (
                [o.percent("1nn") for o in outcomes],
                [o.percent("20nn") for o in outcomes],
            )
            print(f"| {change} | {spread(one_nn)} | {spread(twenty_nn)} |", flush=True)


if __name__ == "__main__":
    main()
