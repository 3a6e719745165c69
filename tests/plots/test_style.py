"""Light and dark."""

from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from circlemnist.plots.draw import save
from circlemnist.plots.kinds import THEME_NAMES
from circlemnist.plots.style import THEMES, Blank
from tests.plots.figures import boxes_of


@pytest.mark.parametrize("theme", list(THEMES))
def test_themes_colour_paper_and_ink(theme: str, tmp_path: Path) -> None:
    colors = THEMES[theme]
    with Blank("title", colors).figure(4, 3) as figure:
        axes = figure.add_subplot()
    assert to_hex(figure.get_facecolor()) == to_hex(axes.get_facecolor()) == colors.paper
    assert to_hex(axes.spines["left"].get_edgecolor()) == colors.ink
    save(figure, tmp_path / "a.png", width=400)
    picture = Image.open(tmp_path / "a.png")
    assert picture.size == (400, 300)
    assert "#{:02x}{:02x}{:02x}".format(*picture.convert("RGB").getpixel((0, 0))) == colors.paper


@pytest.mark.parametrize(("letters", "size"), [(30, 14), (60, None)])
def test_title_is_as_large_as_fits(letters: int, size: int | None) -> None:
    with Blank("digits\n" + "m" * letters, THEMES["light"]).figure(8, 7) as figure:
        title = figure._suptitle
    (box,) = boxes_of(figure, [title])
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert title.get_fontsize() == size if size else box.width > 0.85 * figure.bbox.width


def test_every_theme_that_is_offered_is_there() -> None:
    assert tuple(THEMES) == THEME_NAMES


def test_ten_colours_for_ten_classes() -> None:
    for theme in THEMES.values():
        assert len({*theme.classes, theme.paper}) == 11
