"""What three losses pull at, over the (s_n, s_p) square: the paper's Fig. 2."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from circlemnist.plots.style import Theme, shades, themed

Array = NDArray[Any]
# named as in Fig. 1; Fig. 2 calls (0.8, 0.8) A
POINTS = {"A": (0.2, 0.2), "B": (0.8, 0.8), "C": (0.5, 0.5)}
SIDE = 201


def triplet(sn: Array, sp: Array, gamma: float, m: float) -> tuple[Array, Array]:
    """Return |dL/ds_n| and |dL/ds_p| of [s_n - s_p + m]₊ (Eq. 3, Eq. 1 as gamma → ∞)."""
    pull = (sn - sp + m > 0).astype(float)
    return pull, pull


def am_softmax(sn: Array, sp: Array, gamma: float, m: float) -> tuple[Array, Array]:
    """Return both magnitudes of log[1 + exp(gamma (s_n - s_p + m))] (Eq. 2, one pair)."""
    pull = gamma * _sigmoid(gamma * (sn - sp + m))
    return pull, pull


def circle(sn: Array, sp: Array, gamma: float, m: float) -> tuple[Array, Array]:
    """Return both magnitudes of Circle Loss for one s_n and one s_p (Eqs. 9 and 10)."""
    alpha_n, alpha_p = np.maximum(sn + m, 0), np.maximum(1 + m - sp, 0)
    z = _sigmoid(gamma * (alpha_n * (sn - m) - alpha_p * (sp - (1 - m))))
    return z * gamma * alpha_n, z * gamma * alpha_p


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))  # no overflow


LOSSES: dict[str, Callable[[Array, Array, float, float], tuple[Array, Array]]] = {
    "triplet loss": triplet,
    "AM-Softmax": am_softmax,
    "Circle Loss": circle,
}


def gradients_figure(gamma: float, m: float, theme: Theme) -> Figure:
    """Draw the magnitudes of the gradients by s_n and by s_p of three losses.

    Three points A, B and C with equal s_n - s_p show the difference: the first two losses pull at
    them alike, and at both similarities alike; Circle Loss pulls more at the one that is worse.

    Args:
        gamma, m: of AM-Softmax and Circle Loss, > 0 and in (-1, 1); the triplet loss takes m only.
    """
    axis = np.linspace(0, 1, SIDE)
    sn, sp = np.meshgrid(axis, axis)
    with themed(theme):
        figure = Figure(figsize=(10, 6.8), layout="constrained")
        figure.suptitle(f"How hard each loss pulls: its gradients at gamma {gamma:g}, m {m:g}")
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for column, (name, loss) in enumerate(LOSSES.items()):
            magnitudes = loss(sn, sp, gamma, m)
            most = max(float(magnitude.max()) for magnitude in magnitudes)
            for row, (by, magnitude) in enumerate(zip(("s_n", "s_p"), magnitudes, strict=True)):
                axes = panels[row, column]
                image = axes.imshow(
                    magnitude,
                    origin="lower",
                    extent=(0, 1, 0, 1),
                    cmap=shades(theme.paper, theme.unlike),
                    vmin=0,
                    vmax=most,
                )
                axes.set_title(rf"{name}, $|\partial L / \partial {by}|$", fontsize=12)
                figure.colorbar(image, ax=axes, shrink=0.8)
                for letter, (x, y) in POINTS.items():
                    at = loss(np.array(x), np.array(y), gamma, m)[row]
                    _mark(axes, f"{letter} {float(at):.3g}", x, y, theme)
        for axes in panels[-1]:
            axes.set_xlabel("$s_n$")
        for axes in panels[:, 0]:
            axes.set_ylabel("$s_p$")
    return figure


def _mark(axes: Axes, text: str, x: float, y: float, theme: Theme) -> None:
    axes.plot(x, y, marker="o", markersize=5, color=theme.ink)
    axes.annotate(
        text,
        (x, y),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        bbox={"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )
