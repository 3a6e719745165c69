"""Light and dark."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from circlemnist.plots.draw import save
from circlemnist.plots.kinds import THEME_NAMES
from circlemnist.plots.style import THEMES, new_figure
from tests.plots.figures import boxes_of


@pytest.mark.parametrize("theme", list(THEMES))
def test_themes_colour_paper_and_ink(theme: str, tmp_path: Path) -> None:
    colors = THEMES[theme]
    with new_figure("title", colors, 4, 3) as figure:
        axes = figure.add_subplot()
    assert to_hex(figure.get_facecolor()) == to_hex(axes.get_facecolor()) == colors.paper
    assert to_hex(axes.spines["left"].get_edgecolor()) == colors.ink
    save(figure, tmp_path / "a.png", width=400)
    picture = Image.open(tmp_path / "a.png")
    assert picture.size == (400, 300)
    assert "#{:02x}{:02x}{:02x}".format(*picture.convert("RGB").getpixel((0, 0))) == colors.paper


@pytest.mark.parametrize(("letters", "size"), [(30, 14), (60, None)])
def test_title_is_as_large_as_fits(letters: int, size: int | None) -> None:
    with new_figure("digits\n" + "m" * letters, THEMES["light"], 8, 7) as figure:
        title = figure._suptitle
    (box,) = boxes_of(figure, [title])
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert title.get_fontsize() == size if size else box.width > 0.85 * figure.bbox.width


def test_every_theme_that_is_offered_is_there() -> None:
    assert tuple(THEMES) == THEME_NAMES


# of light of the three colours, as Machado et al. (2009) simulate that a kind of cone is missing
SEEN_BY = {
    "all": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def in_lab(color: str, seen_by: str) -> np.ndarray:
    """A colour in CIE L*a*b*, in which distances are as they are seen; 2.3 is just noticed."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(SEEN_BY[seen_by] @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ linear / to_xyz.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("theme", list(THEMES))
def test_ten_colours_are_told_apart(theme: str, seen_by: str) -> None:
    colors = [*THEMES[theme].classes, THEMES[theme].paper]
    distances = [
        np.linalg.norm(in_lab(a, seen_by) - in_lab(b, seen_by))
        for a, b in itertools.combinations(colors, 2)
    ]
    assert min(distances) > 10
