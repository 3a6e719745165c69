"""What the explorer computes for its page, and what it refuses; all without a browser."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from circlemnist.evaluation.pair_plane import pair_places
from circlemnist.explorer.pad import plain_network
from circlemnist.models.embedder import Embedder
from tests.conftest import assert_one_line_error, invoke


def test_pair_places_are_of_the_own_class_and_the_next() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    labels = np.append(np.arange(29) % 3, 4)  # nobody in 3, one alone in 4
    s = x @ x.T
    sn, sp = pair_places(x, labels).T
    for i in range(29):
        own = [s[i, j] for j in range(30) if j != i and labels[j] == labels[i]]
        others = [s[i, labels == c].mean() for c in (0, 1, 2, 4) if c != labels[i]]
        assert sp[i] == pytest.approx(np.mean(own))
        assert sn[i] == pytest.approx(max(others))
    assert np.isnan(sp[29])


def test_run_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert_one_line_error(invoke("explore", "--outputs", tmp_path), "train one first")


def test_page_has_a_name_that_a_browser_opens(finished_run: Path, tmp_path: Path) -> None:
    """It is refused ahead of the work."""
    wrong = invoke("explore", finished_run, "--out", tmp_path / "page.txt")
    assert_one_line_error(wrong, "cannot write the page into", "must end in .html")
    assert not (tmp_path / "page.txt").exists()


def test_layer_that_the_page_does_not_know_is_refused() -> None:
    embedder = Embedder(nn.Sequential(nn.Flatten(), nn.Linear(784, 8, bias=False), nn.Sigmoid()))
    with pytest.raises(TypeError, match="Sigmoid"):
        plain_network(embedder)
