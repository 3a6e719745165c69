"""The gradients of losses: those that the papers write down, at every place of the square."""

import math
from pathlib import Path

import numpy as np
import pytest

from circlemnist.config import Config
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.family import FAMILY
from circlemnist.plots.gradients import POINTS, pulls
from circlemnist.plots.kinds import FIG_2
from tests.conftest import invoke
from tests.plots.figures import drawn, words

# (s_n, s_p): the corners of the square, its points with a name, and some between
SN, SP = np.array([*POINTS.values(), (0, 0), (0, 1), (1, 0), (1, 1), (0.1, 0.37), (0.6, 0.7)]).T


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def closed_forms(name: str, gamma: float, m: float) -> tuple[np.ndarray, np.ndarray]:
    """|dL/ds_n| and |dL/ds_p| for one pair of each kind."""
    if name == "triplet":  # [s_n - s_p + m]₊ (Eq. 3)
        hinge = np.where(SN - SP + m > 0, 1.0, 0.0)
        return hinge, hinge
    if name == "contrastive":  # 1 - s_p + [s_n - m]₊
        return np.where(m < SN, 1.0, 0.0), np.where(SP < 1, 1.0, 0.0)
    if name in ("softmax", "cosface"):  # log[1 + exp(gamma (s_n - s_p + m))] (Eq. 2)
        pull = gamma * sigmoid(gamma * (SN - SP + (m if name == "cosface" else 0)))
        return pull, pull
    if name == "adacos":  # its scale is that of ten classes
        pull = math.sqrt(2) * math.log(9) * sigmoid(math.sqrt(2) * math.log(9) * (SN - SP))
        return pull, pull
    if name == "center":  # softmax, and gamma / 2 |x - c|²
        pull = sigmoid(SN - SP)
        return np.abs(pull + gamma * SN), np.abs(-pull + gamma * (SP - 1))
    if name == "arcface":  # d cos(theta + m) / d cos(theta) = sin(theta + m) / sin(theta)
        theta = np.arccos(np.minimum(SP, 1 - 1e-6))
        z = gamma * sigmoid(gamma * (SN - np.cos(theta + m)))
        return z, np.where(SP < 1, z * np.sin(theta + m) / np.sin(theta), 0)
    if name == "sphereface":  # m = 2: psi is cos(2 theta) = 2 s² - 1 up to a right angle
        z = gamma * sigmoid(gamma * (SN - (2 * SP**2 - 1)))
        return z, z * 4 * SP
    # Eqs. 9 and 10 with K = L = 1
    alpha_n, alpha_p = np.maximum(SN + m, 0), np.maximum(1 + m - SP, 0)
    z = sigmoid(gamma * (alpha_n * (SN - m) - alpha_p * (SP - (1 - m))))
    return z * gamma * alpha_n, z * gamma * alpha_p


@pytest.mark.parametrize(
    ("gamma", "m"), [(80.0, 0.25), (16.0, 0.4), (256.0, -0.1), (1.0, 0.0), (40.0, 0.9)]
)
@pytest.mark.parametrize("name", FAMILY)
def test_autograd_finds_the_closed_forms(name: str, gamma: float, m: float) -> None:
    given = {"gamma": gamma, "m": 2.0 if name == "sphereface" else m}
    values = {key: value for key, value in given.items() if key in FAMILY[name].hyperparameters}
    gradients = pulls(name, SN, SP, **values)
    # the scale of AdaCos is kept in single precision
    rtol = 1e-6 if name == "adacos" else 1e-9
    np.testing.assert_allclose(gradients, closed_forms(name, gamma, m), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize(
    ("own", "chosen"),
    [
        (None, ()),
        (Config(gamma=16, m=0.4), ()),
        (Config(loss="arcface", m=0.3), ()),
        (None, tuple(FAMILY)),
    ],
    ids=str,
)
def test_picture_names_the_values_of_the_run_and_of_the_paper(
    own: Config | None, chosen: tuple[str, ...], trained: EvaluatedRun
) -> None:
    trained.config = own or trained.config
    written = words(drawn("gradients", trained if own else None, losses=chosen))
    configs = {loss: Config(loss=loss) for loss in chosen or FIG_2}
    configs |= {own.loss: own} if own else {}
    for loss, config in configs.items():
        name, *own = config.loss_and_values.split(", ")
        assert any(text.startswith(f"{name}\n{', '.join(own)}") for text in written)
        for values in pulls(loss, *np.array(list(POINTS.values())).T, **config.hyperparameters):
            named = zip(POINTS, values, strict=True)
            assert {f"{letter} {value:.3g}" for letter, value in named} <= written
    assert len([text for text in written if r"\partial L" in text]) == 2 * len(configs)


def test_gradients_need_no_run_and_chosen_losses_have_a_picture_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for chosen, name in (((), "gradients.png"), (("center",), "gradients-center.png")):
        result = invoke("plot", "--kind", "gradients", *(f"--loss={loss}" for loss in chosen))
        assert (result.exit_code, result.output) == (0, f"picture: {name}\n")
        assert Path(name).exists()
