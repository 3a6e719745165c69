"""What losses pull at, over the pair plane: the paper's Fig. 2, for any of the family."""

import numpy as np
import torch
from matplotlib.figure import Figure

from circlemnist.config import Config
from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.losses import AdaCosLoss, CenterLoss, CircleLoss, build_loss
from circlemnist.plots.kinds import FIG_2
from circlemnist.plots.style import Array, Style, Theme, new_figure, shades, write

# named as in Fig. 1; Fig. 2 calls (0.8, 0.8) A
POINTS = {"A": (0.2, 0.2), "B": (0.8, 0.8), "C": (0.5, 0.5)}
SIDE = 201
COLUMNS = 4
AXES, AXIS_CLASSES = torch.eye(2, dtype=torch.float64), torch.arange(2)


def draw(trained: EvaluatedRun | None, style: Style) -> Figure:
    """Draw the gradients of losses: that of the run at its gamma and m, others at their own."""
    own = Config() if trained is None else trained.config
    axis = np.linspace(0, 1, SIDE)
    sn, sp = np.meshgrid(axis, axis)
    magnitudes = {}
    for loss in style.losses or dict.fromkeys((*FIG_2, own.loss)):
        config = own if loss == own.loss else Config(loss=loss)
        magnitudes[config.loss_and_values] = pulls(loss, sn, sp, **config.hyperparameters)
    title = "How hard each loss pulls at a similarity: its gradients"
    return gradients_figure(magnitudes, title, style.theme)


def pulls(name: str, sn: Array, sp: Array, **values: float) -> Array:
    """Return |dL/ds_n| and |dL/ds_p|, (2, …) float64, for one s_n and one s_p (…), by autograd.

    An anchor is its own (s_p, s_n): it is of class 0, and what it is compared with, one embedding,
    weight or centre of either class, are the two axes.
    """
    loss = build_loss(
        name,
        num_classes=10 if name == "adacos" else 2,  # which takes its scale from their number
        embedding_dim=2,
        normalize=False,
        reduction="sum",
        **values,
    )
    class_parts = [part for part in ("W", "weight", "centers") if hasattr(loss, part)]
    for part in class_parts:
        getattr(loss, part).data = AXES
    if isinstance(loss, CenterLoss):
        loss.bias.data = torch.zeros(2, dtype=torch.float64)
    anchors = torch.from_numpy(np.stack([sp, sn], -1).reshape(-1, 2)).double().requires_grad_()
    labels = torch.zeros(len(anchors), dtype=torch.long)
    embeddings = "ref_embeddings" if isinstance(loss, CircleLoss) else "ref_emb"
    references = {} if class_parts else {embeddings: AXES, "ref_labels": AXIS_CLASSES}
    value = loss.eval()(anchors, labels, **references)
    if isinstance(loss, AdaCosLoss | CenterLoss):  # which know the mean alone
        value = len(anchors) * value
    (gradient,) = torch.autograd.grad(value, anchors)
    magnitudes: Array = gradient.abs().flip(1).T.reshape(2, *sn.shape).numpy()
    return magnitudes


def gradients_figure(gradients: dict[str, Array], title: str, theme: Theme) -> Figure:
    """Draw the magnitudes of the gradients by s_n and by s_p of each loss.

    Circle Loss pulls harder at the worse similarity; at A, B and C s_n - s_p is equal.

    Args:
        gradients: by the name of a loss, (2, S, S) over the square from 0 to 1, rows by s_p.
    """
    columns = min(len(gradients), COLUMNS)
    bands = -(-len(gradients) // COLUMNS)
    with new_figure(title, theme, 10 * columns / 3, 0.6 + 6.2 * bands) as figure:
        panels = figure.subplots(2 * bands, columns, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for number, (name, magnitudes) in enumerate(gradients.items()):
            band, column = divmod(number, COLUMNS)
            loss, *values = name.split(", ")
            for row, (by, magnitude) in enumerate(zip(("s_n", "s_p"), magnitudes, strict=True)):
                axes = panels[2 * band + row, column]
                axes.set_axis_on()
                image = axes.imshow(
                    magnitude,
                    origin="lower",
                    extent=(0, 1, 0, 1),
                    cmap=shades(theme.paper, theme.different),
                    vmin=0,
                    vmax=magnitudes.max(),
                )
                settings = ", ".join([*values, rf"$|\partial L / \partial {by}|$"])
                axes.set_title(f"{loss}\n{settings}", fontsize=12)
                figure.colorbar(image, ax=axes, shrink=0.8)
                for letter, (x, y) in POINTS.items():
                    last = len(magnitude) - 1
                    axes.plot(x, y, marker="o", markersize=5, color=theme.ink)
                    text = f"{letter} {magnitude[round(y * last), round(x * last)]:.3g}"
                    font = {"ha": "center", "fontsize": 11, "bbox": theme.box}
                    write(axes, text, (x, y), (0, 6), **font)
        for column in range(columns):
            (*_, lowest) = (axes for axes in panels[:, column] if axes.axison)
            lowest.set_xlabel("$s_n$")
            lowest.tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel("$s_p$")
    return figure
