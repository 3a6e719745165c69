"""What each part of a recipe is worth: one change at a time, on held-out images.

    python -m benchmarks.ablation default --data-dir data
    python -m benchmarks.ablation plane --data-dir data --epochs 3 -- --net small

Short runs over some seeds, each change a `circlemnist sweep` of its own: trained on the first
55,000 training images, measured on the last 5,000, and compared with the first 10,000. Prints a
table of `docs/`, and each change beside the first row, seed by seed. What follows `--` goes to
every sweep; the same command goes on where it was stopped.
"""

import argparse
from collections.abc import Sequence

from benchmarks.swept import CORES, ROOT, add_arguments, print_beside_the_first, spread, swept
from circlemnist.config import read_settings
from circlemnist.family import BY_LOSS


def knobs_of(recipe: str) -> tuple[str, ...]:
    """Return gamma, m and lr of a recipe as flags: another loss takes none from a file."""
    settings = read_settings(ROOT / "configs" / f"{recipe}.toml")
    return tuple(word for name in BY_LOSS for word in (f"--{name}", str(settings[name])))


CHANGES: dict[str, dict[str, Sequence[str]]] = {
    "default": {
        "the default": (),
        "one logsumexp over the whole batch, not one an anchor": ("--pairs", "batch"),
        "similarities to learned class weights": ("--loss", "circle-class", *knobs_of("default")),
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
        "not folded, pairs, no class weights": (
            "--fold",
            "0",
            "--loss",
            "circle",
            *knobs_of("plane"),
        ),
    },
}


def main() -> None:
    """Parse the arguments, train every change, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=CHANGES)
    parser.add_argument("--epochs", type=int, default=2)
    add_arguments(parser, seeds=10)
    arguments = parser.parse_intermixed_args()
    config = ROOT / "configs" / f"{arguments.recipe}.toml"
    common = ("--config", str(config), "--epochs", str(arguments.epochs))
    print(f"{arguments.epochs} epochs, {arguments.seeds} seeds, {CORES} cores\n")
    print("| change | 1-NN, % | 20-NN, % |\n| --- | --- | --- |", flush=True)
    reached: dict[str, dict[str, list[float]]] = {}
    for change, flags in CHANGES[arguments.recipe].items():
        outcomes = swept((*common, *flags), arguments)
        outcomes.sort(key=lambda outcome: outcome.config.seed)
        reached[change] = {name: [o.percent(name) for o in outcomes] for name in ("1nn", "20nn")}
        print(f"| {change} | {' | '.join(map(spread, reached[change].values()))} |", flush=True)
    print_beside_the_first(reached)


if __name__ == "__main__":
    main()
