"""Train every loss of the family over several seeds and print one table.

    python -m benchmarks.family --data-dir data            # 10 seeds; an hour
    python -m benchmarks.family --losses circle arcface --seeds 2 -- --epochs 2
    python -m benchmarks.family --plane --data-dir data    # embeddings of two numbers

Each loss has its own gamma, m and lr, which `benchmarks.fair_settings` chose on held-out training
images, and Circle Loss the default ones; the rest is the default recipe. With `--plane` it is
`configs/plane.toml`, and gamma, m and lr are those of `IN_PLANE`, chosen likewise. It is a
`circlemnist sweep`, or one a loss, each training with one thread, measured on the test images after
its last epoch; the same command goes on where it was stopped. At the end each loss is set beside
the first one, seed by seed. `--pictures` draws the embeddings of the first seed of each loss,
small.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.swept import (
    CORES,
    ROOT,
    Outcome,
    add_arguments,
    circlemnist,
    print_beside_the_first,
    spread,
    swept,
)
from circlemnist.config import read_settings
from circlemnist.family import BY_LOSS, FAMILY

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
    left_out = (*BY_LOSS, *(() if member.of_classes else ("class_weights",)))
    rest = {name: settings[name] for name in settings if name not in left_out}
    return {**rest, "loss": loss, **({} if member.on_sphere else UNBOUND)}


def as_flag(name: str, value: Any) -> list[str]:
    """Return the words that give `circlemnist train` a setting."""
    spelled = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{spelled}" if value else f"--no-{spelled}"]
    return [f"--{spelled}", str(value)]


def trained(arguments: argparse.Namespace) -> list[Outcome]:
    """Train every loss, in the plane each by a sweep of its own settings."""
    if not arguments.plane:
        losses = f"loss={','.join(arguments.losses)}"
        return swept(("--vary", losses, "--holdout", "0"), arguments)
    outcomes = []
    for loss in arguments.losses:
        settings = plane_settings(loss) | IN_PLANE[loss] | {"holdout": 0}
        flags = [word for name, value in settings.items() for word in as_flag(name, value)]
        outcomes += swept(flags, arguments)
    return outcomes


def main() -> None:
    """Parse the arguments, train what was not trained, print the table, draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=FAMILY, default=list(FAMILY))
    parser.add_argument("--plane", action="store_true", help="embeddings of two numbers")
    parser.add_argument("--pictures", type=Path, help="folder to draw the first seed of each into")
    add_arguments(parser, seeds=10)
    arguments = parser.parse_args()
    outcomes = trained(arguments)
    print(f"{CORES} cores, {arguments.jobs} at once, {' '.join(arguments.more)}")
    print("| loss | 1-NN, % | MAP@R, % | EER, % | s an epoch |\n| --- | --- | --- | --- | --- |")
    reached_by: dict[str, dict[str, list[float]]] = {}
    for loss in arguments.losses:
        of_loss = [outcome for outcome in outcomes if outcome.config.loss == loss]
        of_loss.sort(key=lambda outcome: outcome.config.seed)
        values = {name: [o.percent(name) for o in of_loss] for name in ("1nn", "map@r", "eer")}
        reached_by[loss] = values
        reached = [spread(each) for each in values.values()]
        reached.append(spread([sum(o.seconds) / len(o.seconds) for o in of_loss]))
        print(f"| {loss} | {' | '.join(reached)} |", flush=True)
        if arguments.pictures is not None:
            picture = arguments.pictures / f"{'plane-' if arguments.plane else ''}{loss}.png"
            small = ("--width", "480", "--out", str(picture))
            circlemnist(
                "plot", str(of_loss[0].run.folder), "--data-dir", str(arguments.data_dir), *small
            )
    print_beside_the_first(reached_by)


if __name__ == "__main__":
    main()
