"""McNemar's exact test against the sum of binomials by hand, and what is paired with what."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from circlemnist.config import Config
from circlemnist.evaluation.compare import PairedTests, mcnemar, paired_tests
from circlemnist.evaluation.group import Group, group_runs
from circlemnist.evaluation.report import Arrays, Report
from circlemnist.runs.run import Run

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def report(right: NDArray[Any], seed: int = 0, **settings: Any) -> Report:
    """The report of a run whose 1-NN classifies the images correctly that `right` says."""
    config = Config(**settings, seed=seed)
    run = Run(Path(f"{config.loss}-{seed}"))
    labels = np.arange(len(right)) % 10
    nearest = np.where(right, labels, 9 - labels)[:, None]
    arrays = Arrays(np.zeros((len(right), 0)), labels, nearest, nearest, nearest)
    about = ("digits", "test", "cosine", (), None)
    return Report(run, config, *about, {"1nn": float(right.mean())}, arrays, gallery=60)


def by_hand(first: int, second: int) -> Fraction:
    """Twice the lesser tail of Binomial(first + second, 1/2), no more than 1."""
    n, least = first + second, min(first, second)
    return min(Fraction(2 * sum(math.comb(n, k) for k in range(least + 1)), 2**n), Fraction(1))


@given(answers, st.integers(1, 30))
def test_mcnemar_is_the_sum_of_binomials(right: list[tuple[bool, bool]], more: int) -> None:
    a, b = np.array(right).T
    test, back = mcnemar(report(a), report(b, seed=3)), mcnemar(report(b), report(a))
    assert test.first_alone == back.second_alone == sum(x and not y for x, y in right)
    assert test.second_alone == back.first_alone == sum(y and not x for x, y in right)
    assert test.p == pytest.approx(float(by_hand(test.first_alone, test.second_alone)), abs=1e-12)
    assert test.p == back.p
    assert test.accuracies == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert test.seeds == (0, 3)
    # images on which both agree change nothing
    longer = np.array([*right, *[(True, True), (False, False)] * more]).T
    assert mcnemar(*map(report, longer)).p == test.p


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(8, 2, 0.109375), (9, 1, 0.021484375), (5, 5, 1), (0, 0, 1)],
)
def test_values_known_from_tables(first: int, second: int, p: float) -> None:
    right = [(True, False)] * first + [(False, True)] * second + [(True, True)] * 30
    assert mcnemar(*map(report, np.array(right).T)).p == pytest.approx(p)


def groups_of(first: list[int], second: list[int]) -> list[Group]:
    """Two losses with these seeds."""
    random = np.random.default_rng(0)
    runs = [report(random.random(400) < 0.9, seed, loss="circle") for seed in first]
    runs += [report(random.random(400) < 0.8, seed, loss="arcface") for seed in second]
    return group_runs(runs)[0]


def paired_runs(*groups: Group) -> PairedTests:
    tests = paired_tests(*groups)
    assert isinstance(tests, PairedTests)
    return tests


def test_several_seeds_are_paired_by_seed() -> None:
    first, second = groups_of([4, 0, 1, 2], [2, 1, 0, 7])
    tests = paired_runs(first, second)
    # in order of the seeds: 0, 1, 2, 4 and 0, 1, 2, 7
    assert tests.by_seed == [mcnemar(first.runs[n], second.runs[n]) for n in range(3)]
    assert [test.seeds for test in tests.by_seed] == [(0, 0), (1, 1), (2, 2)]
    assert tests.unpaired == [4, 7]
    differences = [test.accuracies[0] - test.accuracies[1] for test in tests.by_seed]
    over = tests.over_seeds
    assert over is not None
    assert over.difference == pytest.approx(np.mean(differences))
    assert over.deviation == pytest.approx(np.std(differences, ddof=1))
    assert over.p == pytest.approx(ttest_1samp(differences, 0).pvalue)


def test_two_single_trainings_are_a_pair_whatever_their_seeds() -> None:
    tests = paired_runs(*groups_of([0], [5]))
    assert [test.seeds for test in tests.by_seed] == [(0, 5)]
    assert (tests.over_seeds, tests.unpaired) == (None, [])


def test_the_same_difference_on_each_seed_has_no_spread_to_test_by() -> None:
    better, worse = np.arange(40) < 36, np.arange(40) < 35
    runs = [
        report(r, s, loss=n) for n, r in (("circle", better), ("arcface", worse)) for s in (0, 1)
    ]
    over = paired_runs(*group_runs(runs)[0]).over_seeds
    assert over is not None
    assert over.p is None
    assert over.difference == pytest.approx(1 / 40)


def test_no_seed_in_common_is_no_test() -> None:
    reason = paired_tests(*groups_of([0, 1], [2, 3]))
    assert reason == "they have no seed in common to pair their trainings by"


OTHER_LABELS = replace(report(np.ones(40, bool)).arrays, labels=np.zeros(40, int))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dataset": "mnist"}, "mnist, 40 test images"),
        ({"split_name": "validation"}, "40 validation images"),
        ({"per_image": report(np.ones(50, bool)).per_image}, "50 test images"),
        ({"per_image": OTHER_LABELS}, "different images"),
        ({"gallery": 20}, "against 60 training images, and digits, 40 test images, against 20"),
        ({"gallery": None}, "against 60 training images, and digits, 40 test images"),
    ],
)
def test_different_images_are_no_test(change: dict[str, Any], word: str) -> None:
    right = np.arange(40) < 36
    other = replace(report(right, 1, loss="arcface"), **change)
    runs = [report(right, loss="circle"), report(right, loss="arcface"), other]
    reason = paired_tests(*group_runs(runs)[0])
    assert isinstance(reason, str)
    assert word in reason


def test_groups_are_of_runs_that_differ_by_their_seed_alone() -> None:
    right = np.ones(40, bool)
    runs = [
        report(right, 3, loss="circle", data_dir="a"),
        report(right, 0, loss="circle", m=0.4),
        report(right, 1, loss="circle", device="cpu"),
        report(right, 3, loss="circle", data_dir="b"),
    ]
    groups, repeated = group_runs(runs)
    assert [(group.name, group.seeds) for group in groups] == [("m 0.25", [1, 3]), ("m 0.4", [0])]
    assert [group.settings for group in groups] == [{"m": 0.25}, {"m": 0.4}]
    assert repeated == [runs[3]]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (
            [{"loss": "circle"}, {"loss": "arcface"}, {"loss": "adacos"}],
            ["circle", "arcface", "adacos"],
        ),
        ([{"m": 0.1}, {"m": 0.4, "augment": False}], ["m 0.1", "m 0.4"]),
        (
            [{"gamma": g, "m": m} for g in (16, 32) for m in (0.0, 0.4)],
            ["gamma 16, m 0", "gamma 16, m 0.4", "gamma 32, m 0", "gamma 32, m 0.4"],
        ),
        ([{"augment": True}, {"augment": False}], ["augment on", "augment off"]),
        ([{"loss": "triplet", "m": 0.4}], ["triplet loss, m 0.4"]),
    ],
)
def test_groups_are_named_by_what_tells_them_apart(
    settings: list[dict[str, Any]], names: list[str]
) -> None:
    runs = [report(np.ones(40, bool), **own) for own in settings]
    assert [group.name for group in group_runs(runs)[0]] == names


def test_means_and_deviations_are_over_the_seeds() -> None:
    shares = (0.5, 0.6, 0.85)
    runs = [report(np.arange(40) < 40 * share, seed) for seed, share in enumerate(shares)]
    ((group,), _) = group_runs(runs)
    assert group.mean("1nn") == pytest.approx(np.mean(shares))
    assert group.deviation("1nn") == pytest.approx(np.std(shares, ddof=1))
    ((alone,), _) = group_runs(runs[:1])
    assert alone.deviation("1nn") is None
