"""Pictures: those of docs/ drawn again, and letters from fonts.

    python -m benchmarks loss-pictures                  # docs/pictures/loss-*.png; seconds
    python -m benchmarks notebook                       # docs/quickstart.ipynb; two minutes
    apt-get install fonts-liberation fonts-freefont-ttf fonts-comfortaa fonts-cabin \
        fonts-quicksand fonts-tuffy fonts-prociono fonts-play fonts-hack fonts-inconsolata \
        fonts-crosextra-carlito fonts-crosextra-caladea fonts-breip fonts-sil-gentium-basic
    python -m benchmarks letters letters                # a folder for `train --dataset`; seconds

The notebook keeps only its pictures: its text has times in it. docs/own-images.md has a training
on the letters.
"""

import string
import tempfile
from pathlib import Path

import click
import nbformat
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.shared import ROOT
from circlemnist import CircleLoss, ClassCircleLoss

M = 0.25
# Okabe and Ito's palette, which colour-blind readers can read
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
CLASS_COLOURS, CLASS_MARKERS = [BLUE, ORANGE, GREEN], "osD"
FONTS = (
    *("breipfont.ttf", "Cabin-Regular.otf", "Caladea-Regular.ttf", "Carlito-Regular.ttf"),
    *("Comfortaa-Regular.ttf", "DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"),
    *("FreeMono.ttf", "FreeSans.ttf", "FreeSerif.ttf", "GenBasR.ttf", "Hack-Regular.ttf"),
    *("Inconsolata.otf", "Play-Regular.otf", "Prociono.otf"),
)
TEST_FONTS = ("LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf")
TEST_FONTS += ("Quicksand-Regular.ttf", "Tuffy.ttf")
SIDE = 64  # pixels of a letter
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
PICTURE = "image/png"


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


def draw_circle() -> Figure:
    """Without alpha both pairs are pushed equally; with it the pair that lags is pushed more."""
    figure = Figure(figsize=(8, 4.5))
    panels = figure.subplots(1, 2, sharey=True)
    ticks = np.linspace(0.1, 0.9, 7)
    grid = np.array([(sn, sp) for sn in ticks for sp in ticks])
    arrow = {"arrowstyle": "-|>", "color": BLUE, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    angle, radius = np.linspace(np.pi * 1.5, np.pi * 2, 200), np.sqrt(2) * M
    for axes, function, title in (
        (panels[0], equal_slopes, "alpha = 1\nboundary $s_p - s_n = 1 - 2m$"),
        (panels[1], slopes, "Circle Loss\nboundary $s_n^2 + (s_p - 1)^2 = 2m^2$"),
    ):
        gradient = np.array([function(sn, sp, 16.0) for sn, sp in grid])
        steps = -gradient / gradient.max() * 0.16  # of gradient descent
        for start, step in zip(grid, steps, strict=True):
            if np.hypot(*step) > 0.004:
                axes.annotate("", start + step, start, arrowprops=arrow)
        axes.set(title=title, xlabel="$s_n$", xlim=(0, 1), ylim=(0, 1.03), aspect="equal")
    panels[0].set_ylabel("$s_p$")
    panels[0].plot([0, 2 * M], [1 - 2 * M, 1], color=ORANGE, lw=2.5)
    panels[1].plot(radius * np.cos(angle), 1 + radius * np.sin(angle), color=ORANGE, lw=2.5)
    panels[1].plot([M], [1 - M], "o", color=ORANGE, ms=9)
    return figure


def draw_alpha() -> Figure:
    """Slope of one exponent by its similarity: alpha detached, not detached, left out."""
    figure = Figure(figsize=(8, 3.8))
    panels = figure.subplots(1, 2, sharey=True)
    s = torch.linspace(-1, 1, 201, dtype=torch.float64)
    joint_n, joint_p = torch.where(s > -M, 2 * s, 0), 2 * (1 - s)
    for axes, name, alpha, joint, pair, minus, corner in (
        (panels[0], "n", (s + M).relu(), joint_n, "negative", "", "upper left"),
        (panels[1], "p", (1 + M - s).relu(), joint_p, "positive", "−", "lower left"),
    ):
        axes.axhline(0, color=GREY, lw=0.8)
        axes.plot(s, alpha, color=BLUE, lw=2.5, label=rf"$\alpha_{name}$ detached (Eqs. 9, 10)")
        axes.plot(s, joint, color=ORANGE, lw=2.5, ls="--", label="not detached")
        axes.plot(s, torch.ones_like(s), color=GREEN, lw=2, ls=":", label=r"$\alpha = 1$")
        axes.set(xlabel=f"$s_{name}$", ylim=(-2.2, 4.2), title=f"push on a {pair} pair")
        axes.set_ylabel(rf"{minus}slope of its exponent / $\gamma$")
        axes.legend(loc=corner, frameon=False)
    return figure


def draw_batch() -> Figure:
    """Who gets the gradient: each anchor has a say, or the hardest pairs of the batch take it."""
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(10, 16, generator=generator))
    y = torch.arange(250) % 10
    early = centres[y] + 0.3 * torch.randn(250, 16, generator=generator)  # as early in training
    figure = Figure(figsize=(8, 3.8))
    axes = figure.subplots()
    for pairs, label, colour, style, place in (
        ("anchor", 'pairs="anchor": one logsumexp for each anchor', BLUE, "-", (6, 4)),
        ("batch", 'pairs="batch": one logsumexp for all pairs', ORANGE, "--", (6, 88)),
    ):
        x = early.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(CircleLoss(pairs=pairs)(x, y), x)
        lengths = gradient.norm(dim=1).sort(descending=True).values
        share = 100 * lengths.cumsum(0) / lengths.sum()
        axes.plot(range(1, 251), share, color=colour, ls=style, lw=2.5)
        axes.text(*place, label, color=colour)
    axes.set(xlabel="samples of the batch (B = 250), by the length of their gradient")
    axes.set(ylabel="share of all gradient, %", xscale="log", ylim=(0, 103))
    ticks = [1, 2, 5, 10, 25, 50, 100, 250]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    return figure


def descend(loss: torch.nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Embeddings after steps of gradient descent on them and the loss's own weights."""
    x = x.clone().requires_grad_()
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.03)
    for _ in range(200):
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
    figure = Figure(figsize=(8, 3.2))
    panels = figure.subplots(1, 3, subplot_kw={"aspect": "equal"})
    sides = {
        "before": start,
        "pair-level": descend(CircleLoss(gamma=16), start, y),
        "class-level": descend(by_class, start, y),
    }
    for axes, (title, points) in zip(panels, sides.items(), strict=True):
        axes.add_patch(Circle((0, 0), 1, fill=False, color=GREY, lw=0.8))
        for c in range(3):
            # a little off the circle, so that points on one spot can be seen
            spots = points[y == c] * (1 + 0.04 * torch.arange(20)[:, None] / 20)
            axes.scatter(*spots.T, s=22, color=CLASS_COLOURS[c], marker=CLASS_MARKERS[c], alpha=0.7)
        axes.set(title=title, xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        axes.axis("off")
    for c, weight in enumerate(F.normalize(by_class.weight.detach())):
        arrow = {"arrowstyle": "-|>", "color": CLASS_COLOURS[c], "lw": 2.5}
        panels[2].annotate("", weight.tolist(), (0, 0), arrowprops=arrow)
    return figure


@click.command()
def loss_pictures() -> None:
    """Draw docs/circle-loss.md's pictures, with gradients of CircleLoss."""
    style = {"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}
    for draw in (draw_circle, draw_alpha, draw_batch, draw_levels):
        path = ROOT / "docs" / "pictures" / f"{draw.__name__.replace('draw_', 'loss-')}.png"
        with rc_context(style):
            figure = draw()
            figure.tight_layout()
            figure.savefig(path, dpi=110)
        print(path)


def read_notebook() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a folder, by this Python; CellExecutionError where a cell fails."""
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()


def keep_pictures(notebook: NotebookNode) -> None:
    """Take everything out of a notebook that running it has left there, but its pictures."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            shown = [output.data for output in cell.outputs if PICTURE in output.get("data", {})]
            pictures = [{PICTURE: data[PICTURE]} for data in shown]
            cell.outputs = [nbformat.v4.new_output("display_data", data) for data in pictures]


@click.command("notebook")
def notebook_command() -> None:
    """Run docs/quickstart.ipynb again, and keep its pictures."""
    notebook = read_notebook()
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder))
    keep_pictures(notebook)
    nbformat.write(notebook, NOTEBOOK)


def letter(text: str, font: str, random: np.random.Generator) -> Image.Image:
    """Draw a letter, dark on light, with a distortion of its own."""
    image = Image.new("L", (SIDE, SIDE), int(random.integers(215, 256)))
    face = ImageFont.truetype(font, int(random.integers(34, 46)))
    place = SIDE / 2 + random.uniform(-4, 4, 2)
    ink = int(random.integers(0, 60))
    ImageDraw.Draw(image).text(tuple(place), text, ink, face, anchor="mm")
    shear, angle = random.uniform(-0.15, 0.15), random.uniform(-8, 8)
    paper = image.getpixel((0, 0))
    slant = (1, shear, -shear * SIDE / 2, 0, 1, 0)
    options = {"resample": Image.Resampling.BICUBIC, "fillcolor": paper}
    slanted = image.transform(image.size, Image.Transform.AFFINE, slant, **options)
    return slanted.rotate(angle, **options)


@click.command()
@click.argument("folder", type=Path)
def letters(folder: Path) -> None:
    """Write pictures of 26 letters from 20 fonts, in a folder each."""
    random = np.random.default_rng(0)
    files = {Path(path).name: path for path in font_manager.findSystemFonts()}
    for name in (*FONTS, *TEST_FONTS):
        part = folder / ("test" if name in TEST_FONTS else "train")
        for text in string.ascii_lowercase:
            (part / text).mkdir(parents=True, exist_ok=True)
            for number in range(8):
                picture = letter(text, files[name], random)
                picture.save(part / text / f"{Path(name).stem}-{number}.png")
