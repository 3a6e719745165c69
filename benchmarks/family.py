"""Train every loss of the family over several seeds and print one table.

    python -m benchmarks.family --data-dir data            # 8 epochs of MNIST, 5 seeds; hours
    python -m benchmarks.family --losses circle arcface --seeds 2 -- --epochs 2
    python -m benchmarks.family --plane --data-dir data    # embeddings of two numbers

Each loss has its own gamma, m and lr, which `benchmarks.fair_settings` chose on held-out training
images, and Circle Loss the default ones; the rest is the default recipe. With `--plane` it is
`configs/plane.toml`, and gamma, m and lr are those of `IN_PLANE`, chosen likewise. Each run is a
process of its own with one thread, `--at-once` of them beside each other, and is measured on the
test images after its last epoch. What was reached is kept in a file, a line a run, and is not
trained again.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.kept import Job, add_arguments, trained
from benchmarks.quality import CORES, ROOT, spread
from circlemnist.config import read_settings
from circlemnist.family import FAMILY

PLANE = ROOT / "configs" / "plane.toml"
# gamma, m and lr of the best of 8 trials, in a plane
IN_PLANE: dict[str, dict[str, float]] = {
    "circle": {"gamma": 9.3, "m": 0.503, "lr": 0.223},
    "circle-class": {"gamma": 26.1, "m": 0.565, "lr": 0.0696},
    "triplet": {"m": 0.026, "lr": 0.192},
    "contrastive": {"m": 0.832, "lr": 0.197},
    "softmax": {"gamma": 28.0, "lr": 0.0342},
    "sphereface": {"gamma": 8.96, "m": 2.0, "lr": 0.223},
    "cosface": {"gamma": 20.2, "m": 0.191, "lr": 0.0202},
    "arcface": {"gamma": 14.2, "m": 0.324, "lr": 0.099},
    "adacos": {"lr": 0.0433},
    "center": {"gamma": 0.00413, "lr": 0.0748},
}
# its star is of embeddings of any length, whose directions the softmax chooses
UNBOUND = {"class_weights": "learned", "last_norm": False}


def plane_settings(loss: str) -> dict[str, Any]:
    """Return the settings of a loss in a plane, but for its gamma, m and lr."""
    member, settings = FAMILY[loss], read_settings(PLANE)
    left_out = ("gamma", "m", "lr", *(() if member.of_classes else ("class_weights",)))
    rest = {name: settings[name] for name in settings if name not in left_out}
    return {**rest, "loss": loss, **({} if member.on_sphere else UNBOUND)}


def flags_of(loss: str, arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return what tells the training of a loss from the default one."""
    settings = plane_settings(loss) | IN_PLANE[loss] if arguments.plane else {"loss": loss}
    words = [word for name, value in settings.items() for word in as_flag(name, value)]
    return (*words, *arguments.more)


def as_flag(name: str, value: Any) -> list[str]:
    """Return the words that give `circlemnist train` a setting."""
    spelled = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{spelled}" if value else f"--no-{spelled}"]
    return [f"--{spelled}", str(value)]


def picture_of(loss: str, seed: int, arguments: argparse.Namespace) -> Path | None:
    """Return the file that the embeddings of a run are drawn into, if they are."""
    if arguments.pictures is None or seed > 0:
        return None
    folder: Path = arguments.pictures
    return folder / f"{'plane-' if arguments.plane else ''}{loss}.png"


def main() -> None:
    """Parse the arguments, train what was not trained, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--plane", action="store_true", help="embeddings of two numbers")
    parser.add_argument("--pictures", type=Path, help="folder to draw the first seed of each into")
    add_arguments(parser, seeds=5, kept="family.jsonl")
    arguments = parser.parse_args()
    # seed by seed, so that a table cut short has as many of each
    jobs = [
        Job(flags_of(loss, arguments), seed, picture_of(loss, seed, arguments))
        for seed in range(arguments.seeds)
        for loss in arguments.losses
    ]
    known = trained(jobs, arguments.data_dir, arguments.at_once, arguments.kept)
    print(f"{CORES} cores, {arguments.at_once} at once, {' '.join(arguments.more)}")
    print("| loss | 1-NN, % | MAP@R, % | EER, % | s an epoch |\n| --- | --- | --- | --- | --- |")
    for loss in arguments.losses:
        flags = flags_of(loss, arguments)
        outcomes = [known[flags, seed] for seed in range(arguments.seeds)]
        cells = [
            spread([outcome.percent(metric) for outcome in outcomes])
            for metric in ("1nn", "map@r", "eer")
        ]
        cells.append(spread([outcome.seconds / outcome.epochs for outcome in outcomes]))
        print(f"| {loss} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
