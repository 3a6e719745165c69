"""Whether two groups of trainings differ: McNemar's exact test by seed, a paired one over seeds.

McNemar's test takes two trainings on the same images. Those that both get right, or both wrong, say
nothing; of the others, half would be right in each if the two were alike. It speaks of these two
trainings. Whether their settings differ is for several seeds to say, whose accuracies are compared
by a paired t-test: the same images, counted once a seed, must not be added up as if they were more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, ttest_rel

from circlemnist.evaluation.groups import Group, Measured


@dataclass(frozen=True)
class McNemar:
    """Two trainings on the same images.

    Attributes:
        seeds: of the first and of the second.
        accuracies: shares 0-1 that they get right.
        first_alone: images that the first gets right and the second wrong.
        second_alone: the reverse.
        p: how often one as far from even halves would come, or farther, were the two alike.
    """

    seeds: tuple[int, int]
    accuracies: tuple[float, float]
    first_alone: int
    second_alone: int
    p: float


@dataclass(frozen=True)
class OverSeeds:
    """The accuracies of two groups, seed by seed.

    Attributes:
        difference: mean of first minus second, a share.
        deviation: standard deviation of the differences.
        p: of the paired t-test, two-sided; None where all differences are the same number, of
            whose spread nothing is known.
    """

    difference: float
    deviation: float
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """How two groups compare.

    Attributes:
        by_seed: one test a pair.
        over_seeds: of several pairs.
        unpaired: seeds of which only one group has a training.
    """

    by_seed: list[McNemar]
    over_seeds: OverSeeds | None
    unpaired: list[int]


def compared(first: Group, second: Group) -> Comparison | str:
    """Compare two groups by the images that 1-NN gets right, paired by seed.

    Two single trainings are a pair whatever their seeds.

    Returns:
        The comparison, or in a line why there is none.
    """
    for measured in (*first.runs, *second.runs):
        if not measured.same_images(first.runs[0]):
            there, here = first.runs[0].measured_on, measured.measured_on
            other = "" if here == there else f": {there}, and {here}"
            return f"they were measured on different images{other}"
    pairs = _pairs(first, second)
    if not pairs:
        return "they have no seed in common to pair their trainings by"
    tests = [mcnemar(*pair) for pair in pairs]
    paired = {seed for test in tests for seed in test.seeds}
    unpaired = sorted({*first.seeds, *second.seeds} - paired)
    return Comparison(tests, over_seeds(tests) if len(tests) > 1 else None, unpaired)


def mcnemar(first: Measured, second: Measured) -> McNemar:
    """Return the exact test of two trainings that were measured on the same images."""
    first_alone = int((first.right & ~second.right).sum())
    second_alone = int((second.right & ~first.right).sum())
    differ = first_alone + second_alone
    # binomtest takes no experiment of none: the two are as alike as can be
    p = float(binomtest(first_alone, differ).pvalue) if differ else 1.0
    seeds = (first.config.seed, second.config.seed)
    accuracies = (float(first.right.mean()), float(second.right.mean()))
    return McNemar(seeds, accuracies, first_alone, second_alone, p)


def over_seeds(tests: Sequence[McNemar]) -> OverSeeds:
    """Return the paired t-test over two tests or more."""
    first, second = np.array([test.accuracies for test in tests]).T
    # a difference of images, since shares are rounded
    images = [test.first_alone - test.second_alone for test in tests]
    differences = first - second
    p = float(ttest_rel(first, second).pvalue) if len({*images}) > 1 else None
    return OverSeeds(float(differences.mean()), float(differences.std(ddof=1)), p)


def _pairs(first: Group, second: Group) -> list[tuple[Measured, Measured]]:
    if len(first.runs) == len(second.runs) == 1:
        return [(first.runs[0], second.runs[0])]
    by_seed = {measured.config.seed: measured for measured in second.runs}
    return [(each, by_seed[each.config.seed]) for each in first.runs if each.config.seed in by_seed]
