"""Tests and intervals against worked numbers, and what is paired with what."""

import json
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

from circlemnist.config import Config
from circlemnist.evaluation.compare import (
    compare_groups,
    differing_machines,
    holm,
    mcnemar,
    paired_difference,
)
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
    test, alone = mcnemar(report(a), report(b, seed=3))
    back, turned = mcnemar(report(b), report(a))
    assert alone == turned[::-1]
    assert alone == (sum(x and not y for x, y in right), sum(y and not x for x, y in right))
    assert test.p == pytest.approx(float(by_hand(*alone)), abs=1e-12)
    assert test.p == back.p
    assert test.mean == pytest.approx(b.mean() - a.mean())
    if test.interval and back.interval:
        assert test.interval[0] <= test.mean <= test.interval[1]
        assert back.interval == pytest.approx((-test.interval[1], -test.interval[0]))
    # images on which both agree change nothing
    longer = np.array([*right, *[(True, True), (False, False)] * more]).T
    assert mcnemar(*map(report, longer))[0].p == test.p


@pytest.mark.parametrize(
    ("first", "second", "p", "interval"),
    [
        # of Clopper and Pearson for 2 and 1 of 10, as in tables: 0.0252 to 0.5561, 0.0025 to 0.4450
        (8, 2, 0.109375, (-9.496 / 40, 1.122 / 40)),
        (9, 1, 0.021484375, (-9.95 / 40, -1.10 / 40)),
        (5, 5, 1, (-6.258 / 40, 6.258 / 40)),  # 0.1871 to 0.8129
        (0, 0, 1, None),
    ],
)
def test_mcnemar_as_in_tables(
    first: int, second: int, p: float, interval: tuple[float, float] | None
) -> None:
    agree = [(True, True)] * (40 - first - second)
    right = [(True, False)] * first + [(False, True)] * second + agree
    test, _ = mcnemar(*map(report, np.array(right).T))
    assert test.p == pytest.approx(p)
    assert test.mean == (second - first) / 40
    assert test.interval == (interval and pytest.approx(interval, abs=1e-4))


def test_paired_t_test_by_hand() -> None:
    """Mean 2, standard error 1/√3; t has 2 degrees of freedom, whose 97.5 % quantile is 4.3027."""
    test = paired_difference([0.03, 0.05, 0.04], [0.02, 0.02, 0.02])
    t = math.sqrt(12)
    assert test.mean == pytest.approx(0.02)
    assert test.interval == pytest.approx((0.02 - 0.024841, 0.02 + 0.024841), abs=1e-6)
    assert test.p == pytest.approx(1 - t / math.sqrt(2 + t**2))


@pytest.mark.parametrize(
    ("ps", "corrected"),
    [
        # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.6, 0.7], [1, 1]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm(ps: list[float], corrected: list[float]) -> None:
    assert holm(ps) == pytest.approx(corrected)


def groups_of(**seeds: list[int]) -> list[Group]:
    """Losses with these seeds, the accuracy of each lower than that of the one before."""
    random = np.random.default_rng(0)
    runs = [
        report(random.random(400) < 0.9 - 0.1 * number, seed, loss=loss)
        for number, (loss, own) in enumerate(seeds.items())
        for seed in own
    ]
    return group_runs(runs)[0]


def test_each_group_is_paired_with_the_first_by_seed() -> None:
    first, *others = groups_of(circle=[4, 0, 1, 2], arcface=[2, 1, 0, 7], adacos=[0, 1])
    comparison = compare_groups([first, *others], "1nn")
    assert [test.group for test in comparison.tests] == ["arcface", "adacos"]
    assert comparison.tests[0].seeds == [(0, 0), (1, 1), (2, 2)]
    assert comparison.tests[0].unpaired == [4, 7]
    for test, group, count in zip(comparison.tests, others, (3, 2), strict=True):
        values = [runs.values("1nn")[:count] for runs in (group, first)]
        assert test.difference == paired_difference(*values)
        assert test.difference.mean < 0
    # of two tests the smaller p counts twice
    smaller, larger = sorted(comparison.tests, key=lambda test: test.difference.p or 0)
    assert smaller.p_corrected == pytest.approx(2 * (smaller.difference.p or 0))
    assert larger.p_corrected == max(larger.difference.p or 0, smaller.p_corrected or 0)


def test_two_single_trainings_are_a_pair_whatever_their_seeds() -> None:
    groups = groups_of(circle=[0], arcface=[5])
    (test,) = compare_groups(groups, "1nn").tests
    assert test.seeds == [(0, 5)]
    assert (test.difference, test.alone) == mcnemar(groups[0].runs[0], groups[1].runs[0])
    assert test.p_corrected == test.difference.p


def test_the_same_difference_on_each_seed_has_no_spread_to_test_by() -> None:
    better, worse = np.arange(40) < 36, np.arange(40) < 35
    sides = (("circle", better), ("arcface", worse), ("adacos", np.arange(40) < 30))
    runs = [report(right, seed, loss=name) for name, right in sides for seed in (0, 1)]
    same, other = compare_groups(group_runs(runs)[0], "1nn").tests
    assert same.difference == (pytest.approx(-1 / 40), None, None)
    assert same.p_corrected is other.p_corrected is None


@pytest.mark.parametrize(
    ("seeds", "metric", "reason"),
    [
        ({"circle": [0, 1]}, "1nn", "it takes two groups, and this is one group"),
        ({"circle": [0, 1], "arcface": [2, 3]}, "1nn", "they have no seed in common"),
        ({"circle": [0], "arcface": [0]}, "map@r", "a test of map@r takes several seeds in common"),
    ],
)
def test_no_pairs_are_no_test(seeds: dict[str, list[int]], metric: str, reason: str) -> None:
    comparison = compare_groups(groups_of(**seeds), metric)
    assert comparison.tests == []
    assert "; ".join(comparison.untested.values()).startswith(reason)


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
    comparison = compare_groups(group_runs(runs)[0], "1nn")
    assert comparison.tests == []
    assert word in comparison.untested["arcface"]


def test_groups_are_of_runs_that_differ_by_their_seed_alone() -> None:
    right = np.ones(40, bool)
    runs = [
        report(right, 3, loss="circle", data_dir="a"),
        report(right, 0, loss="circle", m=0.4),
        report(right, 1, loss="circle", device="cpu"),
        report(right, 3, loss="circle", data_dir="b"),
    ]
    groups, repeated = group_runs(runs)
    assert [(group.name, group.seeds) for group in groups] == [("m 0.028", [1, 3]), ("m 0.4", [0])]
    assert [group.settings for group in groups] == [{"m": 0.028}, {"m": 0.4}]
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
        ([{}, {"unseen": "0,4"}], ["no unseen", "0,4"]),
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


def test_runs_of_different_machines_are_named(tmp_path: Path) -> None:
    runs = [Run(tmp_path / name) for name in "abcd"]
    machines = ({"processor": "Xeon", "threads": 1}, {"processor": "EPYC", "threads": 1})
    for run, machine in zip(runs, [*machines, machines[0], {}], strict=True):
        run.folder.mkdir()
        run.config_file.write_text(Config(dataset="digits", precision="float32").to_toml())
        run.environment_file.write_text(json.dumps(machine))
    words = "which may explain a small difference"
    assert differing_machines(runs) == [
        f"the runs differ in processor, {words}: Xeon (a and 1 more); EPYC (b)"
    ]
    runs[3].environment_file.write_text("{")
    runs[3].config_file.write_text(Config(dataset="digits", precision="bfloat16").to_toml())
    assert differing_machines(runs[2:]) == [
        f"the runs differ in precision, {words}: float32 (c); bfloat16 (d)"
    ]
    for run, device in zip(runs[:2], ("cuda", "mps"), strict=True):
        run.environment_file.write_text(json.dumps({"device": device}))
    differing = differing_machines(runs[:2])
    assert differing == [f"the runs differ in device, {words}: cuda (a); mps (b)"]
