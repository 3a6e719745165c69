"""Frequent mistakes are reported once, with the remedy; ordinary runs get no warning."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circlemnist.config import Config
from circlemnist.data.datasets import Split
from circlemnist.family import FAMILY
from circlemnist.runs.history import Epoch
from circlemnist.training.diagnosis import diagnose, unreachable_margin
from tests.conftest import invoke
from tests.training.helpers import Watcher, trained

CONFIG = Config(dataset="digits", net="small", augment=False)
TINY = replace(CONFIG, net="tiny")
ARTICLE = replace(
    CONFIG, net="article", dim=32, batch_size=64, lr=1e-3, weight_decay=1e-5, pairs="batch"
)


def notes(config: Config, split: Split, folder: Path) -> list[str]:
    watcher = Watcher(config)
    trained(config, split, folder, watcher)
    return watcher.notes


@pytest.mark.slow  # trains until the loss has not fallen for 200 steps
def test_collapse(split: Split, tmp_path: Path) -> None:
    """No BatchNorm before the normalisation, and a large step: all cosines stay near 1."""
    lines = notes(replace(ARTICLE, lr=0.5, epochs=12, scheduler="none"), split, tmp_path)
    assert "collapsed to a point" in lines[0]
    assert "lower `lr`" in lines[0]
    assert "the loss does not fall" in lines[1]
    assert len(lines) == 2


def warnings(
    losses: list[float], sp: list[float], sn: list[float], config: Config = CONFIG
) -> dict[str, str]:
    """The warnings after epochs of these losses, the last of steps with these mean cosines."""
    history = [Epoch(i, loss, 0, 0, 0, 0, 0) for i, loss in enumerate(losses, 1)]
    nothing = torch.zeros(len(sp))
    values = torch.stack([nothing, torch.tensor(sp), torch.tensor(sn), nothing], 1)
    findings = [*diagnose(history, values, config)]
    assert len(dict(findings)) == len(findings)
    return dict(findings)


def test_batches_without_a_positive_or_a_negative_pair_are_counted() -> None:
    """With class-level labels, a batch without pairs teaches as well as any other."""
    sp, sn = [math.nan, 0.5, math.nan, 0.5], [0.1, math.nan, math.nan, 0.1]
    config = replace(CONFIG, batch_size=7)
    assert warnings([9, 8], sp, sn, config) == {
        "pairless": "3 of 4 batches of epoch 2 had no positive or no negative pair, and taught "
        "nothing: raise `batch_size` above 7"
    }
    assert warnings([9, 8], sp, sn, replace(config, loss="circle-class")) == {}


@pytest.mark.parametrize(
    ("epochs", "sp", "sn", "collapsed"),
    [
        (20, [0.95] * 10, [0.91] * 10, True),
        (20, [0.95] * 10, [0.89] * 10, False),
        (20, [0.97] * 10, [0.91] * 10, False),
        (19, [0.95] * 10, [0.91] * 10, False),
        (20, [0.2] * 5 + [0.95] * 5, [0.1] * 5 + [0.91] * 5, True),
        (20, [0.95] * 5 + [0.2] * 5, [0.91] * 5 + [0.1] * 5, False),
        (20, [0.95] * 9 + [math.nan], [0.91] * 9 + [math.nan], True),
    ],
    ids=["near", "apart", "gap", "young", "late", "early", "pairless"],
)
def test_collapse_is_all_cosines_near_1_in_the_later_half_of_an_epoch(
    epochs: int, sp: list[float], sn: list[float], collapsed: bool
) -> None:
    falling = [100 * 0.9**epoch for epoch in range(epochs)]
    kinds = warnings(falling, sp, sn, replace(CONFIG, loss="circle-class"))
    assert [*kinds] == ["collapse"] * collapsed


def test_collapse_is_reported_with_the_cosines_and_the_remedy() -> None:
    assert warnings([9, 8], [0.96] * 100, [0.94] * 100) == {
        "collapse": "the embeddings have collapsed to a point, mean s_n 0.940 at mean s_p 0.960 "
        "after epoch 2: lower `lr`, or take a `net` that ends in BatchNorm: all but article, with "
        "`last_norm`"
    }


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        ([10] * 5, True),
        ([10] * 4, False),
        ([10, 9, 9, 9, 9.95], True),
        ([10, 9, 9, 9, 9.85], False),
        ([10, 9.1, 9.1, 9.1, 9.1, 9.1], True),
        ([10, 8.9, 8.9, 8.9, 8.9, 8.9], False),
        ([10, 3, 9, 9, 9, 4.1], True),
        ([10, 3, 9, 9, 9, 3.9], False),
    ],
    ids=["flat", "young", "hardly", "slowly", "high", "low", "up", "noise"],
)
def test_loss_is_compared_with_that_of_200_steps_before(losses: list[float], warned: bool) -> None:
    """Of 60 steps an epoch: four epochs before."""
    line = warnings(losses, [0.5] * 60, [0.1] * 60).get("no fall", "")
    before, now, last = losses[-5:][0], losses[-1], len(losses)
    assert line == warned * (
        f"the loss does not fall: {before:.3f} in epoch {last - 4}, {now:.3f} in epoch {last}: "
        "try a lower `lr`, or a higher one if it is tiny"
    )


ORDINARY = [
    replace(TINY, epochs=9, batch_size=50),
    replace(CONFIG, epochs=42, augment=True),
    replace(CONFIG, epochs=40, pairs="batch"),
    replace(CONFIG, epochs=40, gamma=256.0, m=0.4),
    replace(CONFIG, epochs=40, scheduler="none"),
    replace(ARTICLE, epochs=20, scheduler="multistep"),
    *(replace(CONFIG, epochs=40, loss=loss, gamma=None, m=None, lr=None) for loss in FAMILY),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    ORDINARY,
    ids=lambda config: f"{config.net} {config.loss} {config.pairs} {config.scheduler}",
)
def test_ordinary_runs_get_no_warning(config: Config, split: Split, tmp_path: Path) -> None:
    assert notes(config, split, tmp_path) == []


@pytest.mark.parametrize("dim", range(1, 5))
def test_margin_that_is_advised_is_the_least_of_two_decimals(dim: int) -> None:
    line = unreachable_margin(Config(dim=dim, m=0.01))
    assert line is not None
    advised, _, other = line.partition("take `m` ")[2].partition(" or more")
    least = float(advised)
    assert unreachable_margin(Config(dim=dim, m=least)) is None
    assert unreachable_margin(Config(dim=dim, m=least - 0.01)) is not None
    assert other == ", or a larger `dim`"


def test_margin_below_zero_asks_for_its_size() -> None:
    """alpha_n is 0 up to s_n = -m."""
    assert unreachable_margin(Config(dim=64, m=-0.25)) is None
    line = unreachable_margin(Config(dim=2, m=-0.25))
    assert line is not None
    assert "0.81 at best, above the -m = 0.25 that `m` -0.25 asks for" in line


def test_margin_is_reported_when_training_starts(tmp_path: Path) -> None:
    args = ("--dataset", "digits", "--net", "tiny", "--epochs", 1, "--dim", 2)
    few = ("--holdout", 1337, "--batch-size", 20)
    result = invoke("train", *args, *few, "--outputs", tmp_path)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "10 classes in 2 dimensions have neighbours with a cosine of 0.81 at best, above the "
        "√2·m = 0.04 that --m 0.028 asks for: take --m 0.58 or more, or a larger --dim"
    ]
