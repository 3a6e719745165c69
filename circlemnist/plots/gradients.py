"""What three losses pull at, over the (s_n, s_p) square: the paper's Fig. 2."""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import CosFaceLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import SumReducer
from torch import Tensor

from circlemnist.config import Config
from circlemnist.evaluation.trained_run import TrainedRun
from circlemnist.losses import ClassCircleLoss
from circlemnist.plots.style import Array, Blank, Style, Theme, shades

# named as in Fig. 1; Fig. 2 calls (0.8, 0.8) A
POINTS = {"A": (0.2, 0.2), "B": (0.8, 0.8), "C": (0.5, 0.5)}
SIDE = 201


def draw(trained: TrainedRun | None, style: Style) -> Figure:
    """Draw the gradients at the gamma and m of a run, or at the default ones."""
    config = Config() if trained is None else trained.config
    axis = np.linspace(0, 1, SIDE)
    sn, sp = np.meshgrid(axis, axis)
    title = f"How hard each loss pulls: its gradients at gamma {config.gamma:g}, m {config.m:g}"
    return gradients_figure(pulls(sn, sp, config.gamma, config.m), Blank(title, style.theme))


def losses(gamma: float, m: float) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return three losses of anchors (N, 2) float64, each summed over them.

    An anchor is its own (s_p, s_n): it is of class 0, and what it is compared with, one embedding
    or weight of either class, are the two axes.

    Args:
        gamma, m: of AM-Softmax and Circle Loss, > 0 and in (-1, 1); the triplet loss takes m only.
    """
    axes, classes = torch.eye(2, dtype=torch.float64), torch.arange(2)
    cosine = CosineSimilarity()
    cosine.normalize_embeddings = False  # the coordinates are the cosines already
    triplet = TripletMarginLoss(m, distance=cosine, reducer=SumReducer())
    am_softmax = CosFaceLoss(2, 2, margin=m, scale=gamma, distance=cosine, reducer=SumReducer())
    circle = ClassCircleLoss(2, 2, gamma, m, reduction="sum", normalize=False)
    am_softmax.W.data = circle.weight.data = axes

    def of_class_0(anchors: Tensor) -> Tensor:
        return torch.zeros(len(anchors), dtype=torch.long)

    return {
        "triplet loss": lambda x: triplet(x, of_class_0(x), ref_emb=axes, ref_labels=classes),
        "AM-Softmax": lambda x: am_softmax(x, of_class_0(x)),
        "Circle Loss": lambda x: circle(x, of_class_0(x)),
    }


def pulls(sn: Array, sp: Array, gamma: float, m: float) -> dict[str, Array]:
    """Return how hard each loss pulls at one s_n and one s_p, by autograd.

    Args:
        sn, sp: float, of one shape (…).
        gamma, m: as for `losses`.

    Returns:
        (2, …) float64 for each name of a loss: |dL/ds_n| and |dL/ds_p|.
    """
    at = torch.from_numpy(np.stack([sp, sn], -1).reshape(-1, 2)).double().requires_grad_()
    found = {}
    for name, loss in losses(gamma, m).items():
        (gradient,) = torch.autograd.grad(loss(at), at)
        found[name] = gradient.abs().flip(1).T.reshape(2, *sn.shape).numpy()
    return found


def gradients_figure(found: dict[str, Array], blank: Blank) -> Figure:
    """Draw the magnitudes of the gradients by s_n and by s_p of three losses.

    Three points A, B and C with equal s_n - s_p show the difference: the first two losses pull at
    them alike, and at both similarities alike; Circle Loss pulls more at the one that is worse.

    Args:
        found: name of a loss → (2, S, S) magnitudes over the square from 0 to 1, rows by s_p.
    """
    theme = blank.theme
    with blank.figure(10, 6.8) as figure:
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for column, (name, magnitudes) in enumerate(found.items()):
            for row, (by, magnitude) in enumerate(zip(("s_n", "s_p"), magnitudes, strict=True)):
                axes = panels[row, column]
                image = axes.imshow(
                    magnitude,
                    origin="lower",
                    extent=(0, 1, 0, 1),
                    cmap=shades(theme.paper, theme.unlike),
                    vmin=0,
                    vmax=magnitudes.max(),
                )
                axes.set_title(rf"{name}, $|\partial L / \partial {by}|$", fontsize=12)
                figure.colorbar(image, ax=axes, shrink=0.8)
                for letter, (x, y) in POINTS.items():
                    last = len(magnitude) - 1
                    at = magnitude[round(y * last), round(x * last)]
                    _mark(axes, f"{letter} {at:.3g}", x, y, theme)
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
