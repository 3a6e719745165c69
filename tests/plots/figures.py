"""What is in a figure."""

from collections.abc import Sequence
from importlib import import_module

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.plots.kinds import MODULES
from circlemnist.plots.style import LIGHT, Style, Theme

TITLED = ("the title\nthe subtitle", LIGHT)
DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)


def drawn(kind: str, trained: EvaluatedRun | None, theme: Theme = LIGHT) -> Figure:
    """A kind of picture, of a run."""
    style = Style(theme, projection="pca")
    figure = import_module(f"circlemnist.plots.{MODULES[kind]}").draw(trained, style)
    assert isinstance(figure, Figure)
    return figure


def words(figure: Figure) -> set[str]:
    """All that is written in it."""
    return {text.get_text() for text in figure.findobj(Text)} - {""}


def boxes_of(figure: Figure, texts: Sequence[Text]) -> list[Bbox]:
    """Where texts are, in pixels."""
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


def cloud(dim: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows (N, D) about ten directions, and which of these (N,)."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 10
    points = random.normal(size=(10, dim))[labels] + 0.1 * random.normal(size=(n, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels
