"""Draw the pictures of docs/circle-loss.md, with gradients taken from CircleLoss itself.

python -m benchmarks.loss_pictures              # writes docs/pictures/loss-*.png, some seconds
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from circlemnist import CircleLoss, ClassCircleLoss

OUT = Path(__file__).parent.parent / "docs" / "pictures"
M = 0.25
# Okabe and Ito's palette, told apart by colour-blind readers too
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
CLASS_COLOURS, CLASS_MARKERS = [BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00"], "osD^v"


def slopes(sn: float, sp: float, gamma: float) -> tuple[float, float]:
    """dL/ds_n and dL/ds_p of an anchor with one pair of each kind."""
    references = torch.tensor([[sp], [sn]], dtype=torch.float64, requires_grad=True)
    anchor, label = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0])
    loss = CircleLoss(gamma, M, normalize=False)(anchor, label, references, torch.tensor([0, 1]))
    (gradient,) = torch.autograd.grad(loss, references)
    return gradient[1].item(), gradient[0].item()


def equal_slopes(sn: float, sp: float, gamma: float) -> tuple[float, float]:
    """The same for alpha = 1: log(1 + exp(gamma (s_n - s_p + 1 - 2m)))."""
    z = 1 / (1 + np.exp(-gamma * (sn - sp + 1 - 2 * M)))
    return gamma * z, -gamma * z


def arrows(axes: Axes, gradient: np.ndarray, grid: np.ndarray) -> None:
    """The way gradient descent moves each (s_n, s_p)."""
    step = -gradient / gradient.max() * 0.16
    for (sn, sp), (dn, dp) in zip(grid, step, strict=True):
        if np.hypot(dn, dp) > 0.004:
            axes.annotate(
                "",
                (sn + dn, sp + dp),
                (sn, sp),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": BLUE,
                    "lw": 1.2,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )


def draw_circle() -> Figure:
    """Without alpha all pairs are pushed alike; with it the one that lags is pushed more."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 4.5), sharey=True)
    ticks = np.linspace(0.1, 0.9, 7)
    grid = np.array([(sn, sp) for sn in ticks for sp in ticks])
    angle = np.linspace(np.pi * 1.5, np.pi * 2, 200)
    radius = np.sqrt(2) * M
    for axes, function, title in (
        (panels[0], equal_slopes, "alpha = 1\nboundary $s_p - s_n = 1 - 2m$"),
        (panels[1], slopes, "Circle Loss\nboundary $s_n^2 + (s_p - 1)^2 = 2m^2$"),
    ):
        arrows(axes, np.array([function(sn, sp, 16.0) for sn, sp in grid]), grid)
        axes.set(title=title, xlabel="$s_n$", xlim=(0, 1), ylim=(0, 1.03), aspect="equal")
    panels[0].set_ylabel("$s_p$")
    panels[0].plot([0, 2 * M], [1 - 2 * M, 1], color=ORANGE, lw=2.5)
    panels[1].plot(radius * np.cos(angle), 1 + radius * np.sin(angle), color=ORANGE, lw=2.5)
    panels[1].plot([M], [1 - M], "o", color=ORANGE, ms=9)
    return figure


def draw_alpha() -> Figure:
    """Slope of one exponent by its similarity: alpha detached, not detached, left out."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.8), sharey=True)
    s = torch.linspace(-1, 1, 201, dtype=torch.float64)
    for axes, name, alpha, joint, sign in (
        (panels[0], "n", (s + M).relu(), torch.where(s > -M, 2 * s, 0), 1),
        (panels[1], "p", (1 + M - s).relu(), 2 * (1 - s), -1),
    ):
        axes.axhline(0, color=GREY, lw=0.8)
        axes.plot(s, alpha, color=BLUE, lw=2.5, label=rf"$\alpha_{name}$ detached (Eqs. 9, 10)")
        axes.plot(s, joint, color=ORANGE, lw=2.5, ls="--", label="not detached")
        axes.plot(s, torch.ones_like(s), color=GREEN, lw=2, ls=":", label=r"$\alpha = 1$")
        minus = "" if sign > 0 else "−"
        axes.set(
            xlabel=f"$s_{name}$",
            ylim=(-2.2, 4.2),
            title=f"push on a {'negative' if sign > 0 else 'positive'} pair",
        )
        axes.set_ylabel(rf"{minus}slope of its exponent / $\gamma$")
        axes.legend(loc="upper left" if sign > 0 else "lower left", frameon=False)
    return figure


def clustered(size: int, classes: int, spread: float) -> tuple[Tensor, Tensor]:
    """Embeddings as they are early in training."""
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(classes, 16, generator=generator))
    y = torch.arange(size) % classes
    return centres[y] + spread * torch.randn(size, 16, generator=generator), y


def draw_batch() -> Figure:
    """Who gets the gradient: each anchor has a say, or the hardest pairs of the batch take it."""
    x, y = clustered(250, 10, 0.3)
    figure, axes = plt.subplots(figsize=(8, 3.8))
    for pairs, label, colour, style, place in (
        ("anchor", 'pairs="anchor": one logsumexp for each anchor', BLUE, "-", (6, 4)),
        ("batch", 'pairs="batch": one logsumexp for all pairs', ORANGE, "--", (6, 88)),
    ):
        x.requires_grad_()
        loss = CircleLoss(pairs=pairs)(x, y)  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(loss, x)
        lengths = gradient.norm(dim=1).sort(descending=True).values
        share = 100 * lengths.cumsum(0) / lengths.sum()
        axes.plot(range(1, 251), share, color=colour, ls=style, lw=2.5)
        axes.text(*place, label, color=colour)
        x = x.detach()
    axes.set(
        xlabel="samples of the batch (B = 250), by the length of their gradient",
        ylabel="share of all gradient, %",
        xscale="log",
        ylim=(0, 103),
    )
    axes.set_xticks(
        [1, 2, 5, 10, 25, 50, 100, 250], ["1", "2", "5", "10", "25", "50", "100", "250"]
    )
    axes.minorticks_off()
    return figure


def descend(loss: torch.nn.Module, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """Embeddings, and the loss's own weights, after steps of gradient descent on both."""
    x = x.clone().requires_grad_()
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    return F.normalize(x.detach())


def draw_levels() -> Figure:
    """Pair-level pulls samples together; class-level pulls them to a weight of their class."""
    torch.manual_seed(1)
    y = torch.arange(60) % 3
    angle = 2 * torch.pi * y / 3 + 0.8 * torch.randn(60)
    start = torch.stack([angle.cos(), angle.sin()], 1)
    by_class = ClassCircleLoss(3, 2, gamma=16)
    figure, panels = plt.subplots(1, 3, figsize=(8, 3.2), subplot_kw={"aspect": "equal"})
    for axes, title, points in (
        (panels[0], "before", start),
        (panels[1], "pair-level", descend(CircleLoss(gamma=16), start, y, 200)),
        (panels[2], "class-level", descend(by_class, start, y, 200)),
    ):
        axes.add_patch(Circle((0, 0), 1, fill=False, color=GREY, lw=0.8))
        for c in range(3):
            # a little off the circle, so that points on one spot can be seen
            spots = points[y == c] * (1 + 0.04 * torch.arange(20)[:, None] / 20)
            axes.scatter(*spots.T, s=22, color=CLASS_COLOURS[c], marker=CLASS_MARKERS[c], alpha=0.7)
        axes.set(title=title, xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        axes.axis("off")
    for c, weight in enumerate(F.normalize(by_class.weight.detach())):
        panels[2].annotate(
            "",
            weight.tolist(),
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": CLASS_COLOURS[c], "lw": 2.5},
        )
    return figure


def main() -> None:
    """Write every picture."""
    OUT.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})
    for name, draw in (
        ("loss-circle", draw_circle),
        ("loss-alpha", draw_alpha),
        ("loss-batch", draw_batch),
        ("loss-levels", draw_levels),
    ):
        figure = draw()
        figure.tight_layout()
        figure.savefig(OUT / f"{name}.png", dpi=110)
        plt.close(figure)
        print(OUT / f"{name}.png")


if __name__ == "__main__":
    main()
