"""The gradients of three losses: those that the papers write down, at every place of the square."""

from pathlib import Path

import numpy as np
import pytest

from circlemnist.plots.gradients import POINTS, pulls
from tests.conftest import invoke
from tests.plots.figures import drawn, words

# (s_n, s_p): the corners of the square, its points with a name, and some between
SN, SP = np.array([*POINTS.values(), (0, 0), (0, 1), (1, 0), (1, 1), (0.1, 0.37), (0.6, 0.7)]).T


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def closed_forms(gamma: float, m: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """|dL/ds_n| and |dL/ds_p| for one pair of each kind."""
    # [s_n - s_p + m]₊ (Eq. 3)
    hinge = np.where(SN - SP + m > 0, 1.0, 0.0)
    # log[1 + exp(gamma (s_n - s_p + m))] (Eq. 2)
    am_softmax = gamma * sigmoid(gamma * (SN - SP + m))
    # Eqs. 9 and 10 with K = L = 1
    alpha_n, alpha_p = np.maximum(SN + m, 0), np.maximum(1 + m - SP, 0)
    z = sigmoid(gamma * (alpha_n * (SN - m) - alpha_p * (SP - (1 - m))))
    return {
        "triplet loss": (hinge, hinge),
        "AM-Softmax": (am_softmax, am_softmax),
        "Circle Loss": (z * gamma * alpha_n, z * gamma * alpha_p),
    }


@pytest.mark.parametrize(
    ("gamma", "m"), [(80.0, 0.25), (16.0, 0.4), (256.0, -0.1), (1.0, 0.0), (40.0, 0.9)]
)
def test_autograd_finds_the_closed_forms(gamma: float, m: float) -> None:
    found, expected = pulls(SN, SP, gamma, m), closed_forms(gamma, m)
    assert list(found) == list(expected)
    for name, (by_sn, by_sp) in expected.items():
        np.testing.assert_allclose(found[name], [by_sn, by_sp], rtol=1e-9, atol=1e-12, err_msg=name)


def test_triplet_loss_is_flat_at_its_hinge() -> None:
    sp = np.array([0.75, 0.5, 0.5])
    sn = np.array([0.5, 0.25, 0.25 + 1e-9])
    np.testing.assert_array_equal(pulls(sn, sp, 80, 0.25)["triplet loss"], [[0, 0, 1]] * 2)


def test_shape_of_the_places_is_kept() -> None:
    sn, sp = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 3))
    for found in pulls(sn, sp, 80, 0.25).values():
        assert found.shape == (2, 3, 4)
        # the pull at s_n grows with s_n, along the columns
        assert (np.diff(found[0], axis=1) >= 0).all()


def test_picture_names_the_value_at_each_point() -> None:
    written = words(drawn("gradients", None))
    at = pulls(*np.array(list(POINTS.values())).T, 80, 0.25)
    for found in at.values():
        for values in found:
            for letter, value in zip(POINTS, values, strict=True):
                assert f"{letter} {value:.3g}" in written


def test_gradients_need_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("plot", "--kind", "gradients")
    assert (result.exit_code, result.output) == (0, "picture: gradients.png\n")
    assert Path("gradients.png").exists()
