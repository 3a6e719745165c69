"""Names and numbers have their places: nothing is cut off, and nothing hides another."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb

from circlemnist.evaluation.evaluate import EvaluatedRun
from circlemnist.evaluation.metrics import pair_similarities, roc_curve
from circlemnist.plots.confusion import confusion_figure
from circlemnist.plots.kinds import KINDS, STILL, THEME_NAMES
from circlemnist.plots.neighbors import Tile, tiles_figure
from circlemnist.plots.similarities import similarities_figure
from circlemnist.plots.style import DARK, THEMES, Theme, new_figure
from tests.plots.figures import CLOTHES, TITLED, boxes_of, cells, drawn, words

BLANK = np.zeros((28, 28), np.uint8)
STILLS = [name for name, kind in KINDS.items() if kind.formats == STILL]


@pytest.mark.parametrize("kind", STILLS)
def test_nothing_is_clipped_or_of_another_theme(kind: str, trained: EvaluatedRun) -> None:
    figure = drawn(kind, trained, DARK)
    figure.set_dpi(80)
    FigureCanvasAgg(figure).draw()
    edge = figure.bbox
    names = [name for legend in figure.legends for name in legend.get_texts()]
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        beside = text in figure.texts or text in names  # other texts without axes are not shown
        if text.get_text() and text.get_visible() and (beside or text.axes is not None):
            box = text.get_window_extent()
            inside = edge.x0 - 1 <= box.x0 <= box.x1 <= edge.x1 + 1
            assert inside or not text.get_in_layout(), text
    colors = {to_hex(figure.get_facecolor()), *(to_hex(a.get_facecolor()) for a in figure.axes)}
    assert colors == {DARK.paper}
    assert all(axes.has_data() for axes in figure.axes if axes.axison)
    assert to_hex(figure._suptitle.get_color()) == DARK.ink  # type: ignore[attr-defined]


@pytest.mark.parametrize(("letters", "size"), [(30, 14), (60, None)])
def test_title_is_as_large_as_fits(letters: int, size: int | None) -> None:
    with new_figure("digits\n" + "m" * letters, THEMES["light"], 8, 7) as figure:
        title = figure._suptitle
    (box,) = boxes_of(figure, [title])
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert title.get_fontsize() == size if size else box.width > 0.85 * figure.bbox.width


def test_confusion_of_many_classes_has_the_worst_with_shares_of_all_their_images() -> None:
    counts = np.diag([9] * 42)
    counts[6, 8] = 3
    counts[5, 41], counts[41, 0] = 1, 2  # 41 is shown, and 39 is not
    figure = confusion_figure(counts, [f"class {label}" for label in range(42)], *TITLED)
    written = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert (written[5, 5], written[39, 39], written[0, 39]) == ("90", "82", "2")


def test_confusion_has_room_for_long_names_and_no_share_of_a_class_without_images() -> None:
    figure = confusion_figure(np.diag([0, *[900] * 9]), CLOTHES, *TITLED)
    (axes,) = figure.axes
    boxes = boxes_of(figure, axes.get_yticklabels())
    assert len(boxes) == 10
    assert min(box.x0 for box in boxes) >= 0
    written = words(figure)
    assert {*CLOTHES, "900\n100.0 %"} <= written
    assert not any(word.startswith("0") for word in written)


def test_images_with_long_names_do_not_touch() -> None:
    rows = [
        [Tile(BLANK, f"{CLOTHES[row + column]}\n0.98", "right") for column in range(8)]
        for row in range(3)
    ]
    figure = tiles_figure(rows, ("query", "nearest"), *TITLED, 1.2, 10)
    panels = cells(figure)
    for row in range(3):
        labels = [panels[row, column].xaxis.label for column in range(8)]
        boxes = boxes_of(figure, labels)
        assert figure.bbox.x0 <= boxes[0].x0 <= boxes[-1].x1 <= figure.bbox.x1
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_frame_is_dashed_where_it_is_wrong() -> None:
    tiles = [Tile(BLANK, frame, frame) for frame in ("query", "right", "wrong")]
    styles = {
        axes.get_xlabel(): axes.spines["left"].get_linestyle() == "-"
        for axes in tiles_figure([tiles], (), *TITLED, 1.2, 10).axes
    }
    assert styles == {"query": True, "right": True, "wrong": False}


@pytest.mark.parametrize("noise", [1e-3, 0.15, 100.0])
def test_roc_shows_its_point_in_its_panel(noise: float) -> None:
    labels = torch.arange(300) % 10
    noisy = torch.eye(10)[labels] + noise * torch.randn(300, 10)
    pairs = pair_similarities(torch.nn.functional.normalize(noisy), labels)
    curve = roc_curve(pairs)
    figure = similarities_figure([(pairs, curve)], *TITLED)
    right = cells(figure)[0, 1]
    (label,) = right.get_legend().get_texts()
    (box,) = boxes_of(figure, [label])
    assert right.bbox.x0 <= box.x0 <= box.x1 <= right.bbox.x1
    name = f"equal error rate {100 * curve.equal_error:.2f} %"
    assert label.get_text() == name
    (point,) = (line for line in right.lines if line.get_label() == name)
    (x,), (y,) = point.get_data()
    assert right.get_xlim()[0] <= x <= right.get_xlim()[1]
    assert right.get_ylim()[0] < y < right.get_ylim()[1]


# of light of the three colours, as Machado et al. (2009) simulate deuteranopia
DEUTERANOPIA = (
    *((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413)),
    (-0.011820, 0.042940, 0.968881),
)


def in_lab(color: str, seen_as: np.ndarray) -> np.ndarray:
    """A colour in CIE L*a*b*, in which distances are as they are seen; 2.3 is just noticed."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(seen_as @ linear, 0, 1) / to_xyz.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "seen_as", [np.eye(3), np.array(DEUTERANOPIA)], ids=["all", "deuteranopia"]
)
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEME_NAMES)
def test_ten_colours_are_told_apart(theme: Theme, seen_as: np.ndarray) -> None:
    colors = [in_lab(color, seen_as) for color in (*theme.classes, theme.paper)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colors, 2)) > 10
