"""Train a recipe over several seeds and print what each reaches, with mean ± standard deviation.

    python -m benchmarks.quality configs/default.toml --data-dir data
    python -m benchmarks.quality configs/default.toml --seeds 3 --jobs 1 -- --m 0.4 --holdout 5000

It is `circlemnist sweep` without anything varied, on the test images; what follows `--` goes to
it. `--jobs` trains several seeds at once, each on its share of the cores: then the seconds are not
those of one training alone. The same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

from benchmarks.swept import CORES, add_arguments, spread, swept


def main() -> None:
    """Parse the arguments, train, print a line a seed and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    add_arguments(parser, seeds=5)
    arguments = parser.parse_intermixed_args()
    outcomes = swept(("--config", str(arguments.config), "--holdout", "0"), arguments)
    print(f"{arguments.config.name} {' '.join(arguments.more)}, {CORES} cores")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.config.seed):
        print(
            f"seed {outcome.config.seed}  1-NN {outcome.percent('1nn'):.2f} %  "
            f"20-NN {outcome.percent('20nn'):.2f} %  {sum(outcome.seconds):.1f} s"
        )
    print(
        f"mean ± sd  1-NN {spread([o.percent('1nn') for o in outcomes])} %  "
        f"20-NN {spread([o.percent('20nn') for o in outcomes])} %  "
        f"{spread([sum(o.seconds) for o in outcomes])} s"
    )


if __name__ == "__main__":
    main()
